"""``tfr_net``: reconstruction of dropped frames."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, cast

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_packed_sequence

from mera_train.msa.data import MODALITIES, Batch
from mera_train.msa.models.attention import Attention
from mera_train.msa.models.encode import InDialogue, ModelConfig, Network, packed
from mera_train.msa.models.inputs import Shapes, frames_there

KERNELS = {"text": 1, "audio": 5, "vision": 3}
"""Kernel sizes of the convolutions."""


class TfrNet(Network):
    """TFR-Net (Yuan et al., ACM Multimedia 2021), robust to randomly missing frames.

    Every modality, after a convolution, attends to itself and to the two others. From the three
    results H a linear layer reconstructs its frames, W H + b; the loss ``rebuilt`` is the smooth L1
    error of the dropped frames only, summed over the modalities. `GatedEncoder` reduces H to one
    vector. It is trained with a ``missing_rate`` of frames.

    Differences from the paper: normalised features are reconstructed, so one loss weight instead of
    three suffices; there is no attention along the feature axis before that; the text encoder is
    not trained.
    """

    LOSSES: ClassVar[Mapping[str, float]] = {"rebuilt": 1.0}

    def __init__(self, config: ModelConfig, shapes: Shapes) -> None:
        super().__init__(config, shapes)
        width, heads = config.attention_dim, config.heads
        self.convolve, self.places = nn.ModuleDict(), nn.ParameterDict()
        self.views, self.rebuild, self.read = nn.ModuleDict(), nn.ModuleDict(), nn.ModuleDict()
        for name, (longest, inputs) in shapes.items():
            kernel = KERNELS[name]
            self.convolve[name] = nn.Conv1d(inputs, width, kernel, padding=kernel // 2, bias=False)
            self.places[name] = nn.Parameter(0.02 * torch.randn(longest, width))
            for source in MODALITIES:
                self.views[f"{name}_{source}"] = nn.ModuleList(
                    Attention(width, heads, config.dropout) for _ in range(config.layers)
                )
            self.rebuild[name] = nn.Linear(3 * width, inputs)
            self.read[name] = GatedEncoder(3 * width, width)
        self.ending = InDialogue(3 * width, config)

    def answer(self, batch: Batch) -> dict[str, Tensor]:
        """Return ``sentiment [B]``, and ``rebuilt_M [B, T, D]`` for each modality M."""
        inputs = self.inputs(batch)
        there = {name: frames_there(batch, name) for name in MODALITIES}
        frames = {}
        for name, value in inputs.items():
            convolved = self.convolve[name](value.transpose(1, 2)).transpose(1, 2)
            frames[name] = (convolved + self.places[name]) * there[name].unsqueeze(-1)
        found, encoded = {}, []
        for name in MODALITIES:
            views = torch.cat([self._view(name, s, frames, there) for s in MODALITIES], dim=2)
            found[f"rebuilt_{name}"] = self.rebuild[name](views)
            encoded.append(self.read[name](views, batch.lengths[name]))
        found["sentiment"] = self.ending(torch.cat(encoded, dim=1), batch)
        return found

    def _view(
        self, name: str, source: str, frames: dict[str, Tensor], there: dict[str, Tensor]
    ) -> Tensor:
        x, layers = frames[name], cast(nn.ModuleList, self.views[f"{name}_{source}"])
        for layer in layers:
            x = layer(x, x if source == name else frames[source], there[source])
        return x

    def losses(self, found: Mapping[str, Tensor], seen: Batch, whole: Batch) -> dict[str, Tensor]:
        """Return ``rebuilt``: the smooth L1 error of the frames that ``seen`` lacks and
        ``whole`` has, per value, summed over the modalities (Yuan et al., ACM MM 2021)."""
        wanted, errors = self.inputs.normalised(whole), []
        for name in MODALITIES:
            gone = (seen.features[name] != whole.features[name]).any(dim=2)
            gone = (gone & frames_there(seen, name)).unsqueeze(-1)
            error = nn.functional.smooth_l1_loss(
                found[f"rebuilt_{name}"] * gone, wanted[name] * gone, reduction="sum"
            )
            errors.append(error / (gone.sum() * wanted[name].shape[2]).clamp(min=1))
        return {"rebuilt": torch.stack(errors).sum()}


class GatedEncoder(nn.Module):
    """Reduces frames ``[B, T, D]`` to one vector ``[B, width]``, gated by a convolution.

    With states s of a bidirectional GRU over the frames x, ``g = sigmoid(conv(s))`` and ``tanh(W
    [x; tanh(s) * g] + b)``, followed by max pooling over the frames.
    """

    def __init__(self, inputs: int, width: int) -> None:
        super().__init__()
        self.gru = nn.GRU(inputs, width, batch_first=True, bidirectional=True)
        self.gate = nn.Conv1d(2 * width, 1, 3, padding=1)
        self.project = nn.Linear(2 * width + inputs, width)

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        """Return ``[B, width]`` of ``x`` ``[B, T, inputs]`` with ``lengths`` ``[B]`` in frames;
        zeros where a length is 0."""
        read_on = self.gru(packed(x, lengths))[0]
        states = pad_packed_sequence(read_on, batch_first=True, total_length=x.shape[1])[0]
        gate = torch.sigmoid(self.gate(states.transpose(1, 2))).transpose(1, 2)
        read = torch.tanh(self.project(torch.cat([x, torch.tanh(states) * gate], dim=2)))
        frame = torch.arange(x.shape[1], device=x.device)
        beyond = (frame >= lengths.unsqueeze(1)).unsqueeze(-1)
        # tanh is above -1, so padding with -1 never wins the maximum.
        largest = read.masked_fill(beyond, -1.0).amax(dim=1)
        return largest * (lengths > 0).unsqueeze(1)
