"""A BERT that is trained along with the network, as Self-MM does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from mera_edge.errors import InputError, MissingExtra

COLUMNS = 3
"""Of a token: its number, whether it is one, its sentence (the rows of MMSA's ``text_bert``)."""

_REMEDY = "give the directory that save_pretrained of transformers wrote; nothing is downloaded"


class Bert(nn.Module):
    """Token ids to vectors; its weights are random until `begin`.

    Args:
        directory: of a BERT or RoBERTa, with ``config.json``.

    Raises:
        InputError: there is none.
        MissingExtra: transformers is not installed.
    """

    def __init__(self, directory: Path) -> None:
        super().__init__()
        model, shape = _classes(directory)
        self.encoder: Any = model.from_config(shape, add_pooling_layer=False)

    def begin(self, directory: Path) -> None:
        """Load the weights of ``directory``.

        Raises:
            InputError: it has none.
        """
        model = _classes(directory)[0]
        try:
            known = model.from_pretrained(directory, local_files_only=True, add_pooling_layer=False)
        except (OSError, ValueError) as error:
            why = str(error).partition("\n")[0]
            raise InputError(f"{directory} has no weights ({why})", _REMEDY) from error
        self.encoder.load_state_dict(known.state_dict())

    def save(self, directory: Path) -> None:
        """Write ``config.json``, beside weights that a checkpoint holds."""
        self.encoder.config.save_pretrained(directory)

    def forward(self, tokens: Tensor, here: Tensor) -> Tensor:
        """Return ``[B, T, D]``, zeros where there is no token.

        Args:
            tokens: ``[B, T, COLUMNS]``.
            here: bool ``[B, T]``.
        """
        ids, _, sentences = tokens.long().unbind(2)
        # Attention needs something to look at, even where the text is missing.
        seen = here | (torch.arange(here.shape[1], device=here.device) == 0)
        states: Tensor = self.encoder(
            input_ids=ids, attention_mask=seen.long(), token_type_ids=sentences
        ).last_hidden_state
        return states * here.unsqueeze(2)


def width(directory: Path, largest: int) -> int:
    """Return the width of a BERT's vectors.

    Args:
        directory: of the BERT.
        largest: the largest token that it is to read.

    Raises:
        InputError: it does not know so many tokens, or is none.
    """
    shape = _classes(directory)[1]
    if largest >= shape.vocab_size:
        raise InputError(
            f"{directory} knows {shape.vocab_size} tokens, but the features have number {largest}",
            "give the BERT whose tokens text_bert holds",
        )
    return int(shape.hidden_size)


def _classes(directory: Path) -> tuple[Any, Any]:
    """Return the model factory and the configuration of a directory."""
    try:
        from transformers import AutoConfig, AutoModel
    except ImportError as error:
        raise MissingExtra("transformers", "train") from error
    if not (directory / "config.json").is_file():
        raise InputError(f"{directory} is no BERT: it has no config.json", _REMEDY)
    try:
        return AutoModel, AutoConfig.from_pretrained(directory, local_files_only=True)
    except (OSError, ValueError) as error:
        why = str(error).partition("\n")[0]
        raise InputError(f"{directory} is no BERT ({why})", _REMEDY) from error
