"""Common parts of all networks: sequence encoders, dialogue context, heads."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn
from torch.nn.utils.rnn import (
    PackedSequence,
    pack_padded_sequence,
    pad_packed_sequence,
    pad_sequence,
)

from mera_train.fusion.model import Head
from mera_train.msa.data import MODALITIES, Batch
from mera_train.msa.models.bert import Bert
from mera_train.msa.models.inputs import Inputs, Shapes


class ModelConfig(BaseModel):
    """Layer sizes of the networks."""

    model_config = ConfigDict(extra="forbid")

    encoder_dims: dict[str, int] = Field(
        {"text": 128, "audio": 16, "vision": 32}, description="width of each encoded modality"
    )
    context_dim: int = Field(0, ge=0, description="width of the dialogue around it; 0: none")
    fusion_dim: int = Field(128, ge=4, description="width of the fused features")
    unimodal_dim: int = Field(32, ge=4, description="width of each modality's features")
    attention_dim: int = Field(
        40, ge=8, description="width of attention (mult, mag_bert, tfr_net, almt)"
    )
    heads: int = Field(4, ge=1, description="of attention; they divide its width")
    layers: int = Field(2, ge=1, description="of attention (mag_bert, tfr_net, almt)")
    tokens_per_modality: int = Field(8, ge=1, description="that a modality is condensed to (almt)")
    beta_shift: float = Field(
        1.0, gt=0, description="largest shift of a word, in units of its length (mag_bert)"
    )
    rank: int = Field(4, ge=1, description="of the low-rank product (lmf)")
    text_encoder: Path | None = Field(
        None,
        description="directory of a BERT that reads the tokens of the file (text_bert) and is "
        "trained along; else the file's vectors are read",
    )
    corrects_text: bool = Field(
        False, description="the last feature of the first word is a sentiment, to be corrected"
    )
    input_dropout: float = Field(0.0, ge=0, lt=1, description="of the features")
    dropout: float = Field(0.1, ge=0, lt=1, description="of everything encoded")


class Network(nn.Module):
    """Base class of all networks."""

    LOSSES: ClassVar[Mapping[str, float]] = {}
    """Auxiliary losses with their default weights."""

    def __init__(self, config: ModelConfig, shapes: Shapes) -> None:
        super().__init__()
        bert = None if config.text_encoder is None else Bert(config.text_encoder)
        self.inputs = Inputs(shapes, config.input_dropout, bert)
        self.corrects_text = config.corrects_text

    def answer(self, batch: Batch) -> dict[str, Tensor]:
        """Return at least ``sentiment [B]``, the multimodal prediction."""
        raise NotImplementedError

    def losses(self, found: Mapping[str, Tensor], seen: Batch, whole: Batch) -> dict[str, Tensor]:
        """Return the auxiliary losses (scalars), named as in `LOSSES`.

        Args:
            found: outputs of `answer`.
            seen: input of `answer`.
            whole: the input before frames were dropped.
        """
        return {}

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """Return the outputs of `answer`; with ``corrects_text``, added to the text's sentiment."""
        found = self.answer(batch)
        if self.corrects_text:
            read = batch.features["text"][:, 0, -1] * (batch.lengths["text"] > 0)
            for name in found.keys() & {"sentiment", "sentiment_text"}:
                found[name] = found[name] + read
        return found


def packed(x: Tensor, lengths: Tensor) -> PackedSequence:
    """Pack sequences ``[B, T, D]`` for recurrent layers.

    Packing refuses a length of 0: such a row has one frame here, and its output must be masked.
    """
    counts = lengths.clamp(min=1).cpu()
    return pack_padded_sequence(x, counts, batch_first=True, enforce_sorted=False)


class Last(nn.Module):
    """The last state of an LSTM, projected: ``[B, T, D]`` to ``[B, width]``; causal."""

    def __init__(self, inputs: int, width: int) -> None:
        super().__init__()
        self.lstm = nn.LSTM(inputs, width, batch_first=True)
        self.project = nn.Linear(width, width)

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        """Return ``[B, width]`` of ``x`` ``[B, T, inputs]`` with ``lengths`` ``[B]`` in frames;
        zeros where a length is 0."""
        state = self.lstm(packed(x, lengths))[1][0].squeeze(0)
        last: Tensor = self.project(state) * (lengths > 0).unsqueeze(1)
        return last


class Mean(nn.Module):
    """The mean over the frames, through one layer: ``[B, T, D]`` to ``[B, width]``."""

    def __init__(self, inputs: int, width: int) -> None:
        super().__init__()
        self.layer = nn.Linear(inputs, width)

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        """Return ``[B, width]`` in (-1, 1) of ``x`` ``[B, T, inputs]``, whose padding is zeros,
        with ``lengths`` ``[B]`` in frames; zeros where a length is 0."""
        mean = x.sum(dim=1) / lengths.clamp(min=1).unsqueeze(1)
        return torch.tanh(self.layer(mean)) * (lengths > 0).unsqueeze(1)


class First(nn.Module):
    """The first frame as it is, ``[B, T, D]`` to ``[B, D]``: BERT's [CLS]."""

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        """Return ``[B, D]`` of ``x`` ``[B, T, D]``; zeros where ``lengths`` ``[B]`` is 0."""
        return x[:, 0] * (lengths > 0).unsqueeze(1)


class Context(nn.Module):
    """Dialogue context: ``[B, D]`` to ``[B, width]``.

    A bidirectional GRU over the utterances, as in bc-LSTM (Poria et al., ACL 2017), plus the
    utterance itself.
    """

    def __init__(self, inputs: int, width: int) -> None:
        super().__init__()
        self.gru = nn.GRU(inputs, width // 2, batch_first=True, bidirectional=True)
        self.itself = nn.Linear(inputs, width)

    def forward(self, x: Tensor, dialogues: list[int]) -> Tensor:
        """Return ``[B, width]`` for utterances ``x`` ``[B, inputs]``.

        Args:
            x: utterances, in the order of the dialogues.
            dialogues: lengths of the dialogues; their sum is ``B``.
        """
        utterances = packed(by_dialogue(x, dialogues), torch.tensor(dialogues))
        around = pad_packed_sequence(self.gru(utterances)[0], batch_first=True)[0]
        context: Tensor = by_utterance(around, dialogues) + self.itself(x)
        return context


def by_dialogue(x: Tensor, dialogues: list[int]) -> Tensor:
    """Arrange utterances ``[B, D]`` as padded dialogues ``[V, U, D]``."""
    return pad_sequence(list(x.split(dialogues)), batch_first=True)


def by_utterance(x: Tensor, dialogues: list[int]) -> Tensor:
    """Invert `by_dialogue`."""
    return torch.cat([row[:length] for row, length in zip(x, dialogues, strict=True)])


class Encoders(nn.Module):
    """Encodes each modality to one vector, ``[B, widths[name]]``.

    Args:
        config: layer sizes.
        shapes: shapes of the features.
        kinds: `Last`, `Mean` or `First` by modality; a modality with one vector per utterance
            always uses `Mean`.
    """

    def __init__(self, config: ModelConfig, shapes: Shapes, kinds: Mapping[str, type]) -> None:
        super().__init__()
        self.encoders, self.contexts = nn.ModuleDict(), nn.ModuleDict()
        self.dropout = nn.Dropout(config.dropout)
        self.widths = {}
        for name in MODALITIES:
            longest, width = shapes[name]
            kind = Mean if longest == 1 else kinds[name]
            if kind is First:
                self.encoders[name], encoded = First(), width
            else:
                encoded = config.encoder_dims[name]
                self.encoders[name] = kind(width, encoded)
            if config.context_dim:
                self.contexts[name] = Context(encoded, config.context_dim)
            self.widths[name] = config.context_dim or encoded

    def forward(self, values: Mapping[str, Tensor], batch: Batch) -> dict[str, Tensor]:
        """Encode the normalised features of ``batch``."""
        found = {}
        for name, value in values.items():
            encoded = self.dropout(self.encoders[name](value, batch.lengths[name]))
            if batch.dialogues and self.contexts:
                encoded = self.dropout(self.contexts[name](encoded, batch.dialogues))
            found[name] = encoded
        return found


class Heads(nn.ModuleDict):
    """Multi-task heads with outputs ``features_NAME [B, width]`` and ``sentiment_NAME [B]``.

    Args:
        inputs: input width by name.
        widths: feature width by name.
    """

    def __init__(self, inputs: Mapping[str, int], widths: Mapping[str, int]) -> None:
        super().__init__({name: Head(width, widths[name]) for name, width in inputs.items()})

    def forward(self, encoded: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return the outputs of all heads from ``[B, inputs[name]]``."""
        found: dict[str, Tensor] = {}
        for name, head in self.items():
            features, value = head(encoded[name])
            found |= {f"features_{name}": features, f"sentiment_{name}": value.squeeze(1)}
        return found


class InDialogue(nn.Module):
    """Predicts sentiment ``[B]`` from vectors ``[B, inputs]`` and their dialogue, if any."""

    def __init__(self, inputs: int, config: ModelConfig) -> None:
        super().__init__()
        self.dropout = nn.Dropout(config.dropout)
        self.context = Context(inputs, config.context_dim) if config.context_dim else None
        self.head = Head(config.context_dim or inputs, config.fusion_dim)

    def forward(self, x: Tensor, batch: Batch) -> Tensor:
        """Return the sentiment ``[B]`` of encoded utterances ``x`` ``[B, inputs]``. Dialogues are
        taken from the batch; without them utterances are independent.
        """
        x = self.dropout(x)
        if self.context is not None and batch.dialogues:
            x = self.dropout(self.context(x, batch.dialogues))
        value: Tensor = self.head(x)[1]
        return value.squeeze(1)
