"""``misa``: modality-invariant and modality-specific representations."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_packed_sequence

from mera_train.fusion.model import Head
from mera_train.msa.data import MODALITIES, Batch
from mera_train.msa.models.encode import Encoders, Mean, ModelConfig, Network, packed
from mera_train.msa.models.inputs import Shapes

MOMENTS = 5
"""Highest moment of the central moment discrepancy."""


class Misa(Network):
    """MISA (Hazarika et al., ACM Multimedia 2020, arXiv 2005.03545).

    The vector u of each modality is projected to a common width and encoded twice: by a shared
    encoder, c = E(u), and by a private one, p = E_M(u). The six codes are combined by
    self-attention, and the sentiment is predicted from them. Three auxiliary losses make the c
    alike (``similar``: the mean `moment_discrepancy` of the three pairs), the p different from
    their c and from each other (``different``: the `overlap` of six pairs, summed), and both
    sufficient for reconstruction (``rebuilt``: the mean square of u - D(c + p)). The weights are
    MMSA's for CH-SIMS.

    Differences from the paper: the task loss is the absolute error, as for all networks here, and
    the text encoder is not trained.
    """

    LOSSES: ClassVar[Mapping[str, float]] = {"similar": 1.0, "different": 0.3, "rebuilt": 0.8}

    def __init__(self, config: ModelConfig, shapes: Shapes) -> None:
        super().__init__(config, shapes)
        kinds = {"text": Mean, "audio": Stacked, "vision": Stacked}
        self.encoders = Encoders(config, shapes, kinds)
        width = config.fusion_dim
        self.project = nn.ModuleDict(
            {
                name: nn.Sequential(nn.Linear(inputs, width), nn.ReLU(), nn.LayerNorm(width))
                for name, inputs in self.encoders.widths.items()
            }
        )
        self.shared = nn.Sequential(nn.Linear(width, width), nn.Sigmoid())
        self.own = nn.ModuleDict(
            {name: nn.Sequential(nn.Linear(width, width), nn.Sigmoid()) for name in MODALITIES}
        )
        self.rebuild = nn.ModuleDict({name: nn.Linear(width, width) for name in MODALITIES})
        self.look = nn.TransformerEncoderLayer(
            width, config.heads, 4 * width, config.dropout, batch_first=True
        )
        self.head = Head(6 * width, 3 * width)

    def answer(self, batch: Batch) -> dict[str, Tensor]:
        """Return ``sentiment [B]``, and ``whole_M``, ``shared_M``, ``own_M`` and ``rebuilt_M``,
        ``[B, width]``, for each modality M.
        """
        encoded = self.encoders(self.inputs(batch), batch)
        found: dict[str, Tensor] = {}
        for name in MODALITIES:
            whole = self.project[name](encoded[name])
            shared, own = self.shared(whole), self.own[name](whole)
            found |= {f"whole_{name}": whole, f"shared_{name}": shared, f"own_{name}": own}
            found[f"rebuilt_{name}"] = self.rebuild[name](shared + own)
        codes = [found[f"{kind}_{name}"] for kind in ("shared", "own") for name in MODALITIES]
        looked = self.look(torch.stack(codes, dim=1))
        found["sentiment"] = self.head(looked.flatten(1))[1].squeeze(1)
        return found

    def losses(self, found: Mapping[str, Tensor], seen: Batch, whole: Batch) -> dict[str, Tensor]:
        """Return MISA's three losses (Hazarika et al., ACM MM 2020): ``similar``, the mean
        `moment_discrepancy` of shared parts; ``different``, the summed `overlap` of what should
        be orthogonal; ``rebuilt``, the mean squared error of reconstruction."""
        pairs = list(combinations(MODALITIES, 2))
        shared, own, encoded, rebuilt = (
            {name: found[f"{kind}_{name}"] for name in MODALITIES}
            for kind in ("shared", "own", "whole", "rebuilt")
        )
        alike = [moment_discrepancy(shared[a], shared[b]) for a, b in pairs]
        common = [overlap(shared[name], own[name]) for name in MODALITIES]
        common += [overlap(own[a], own[b]) for a, b in pairs]
        errors = [(encoded[name] - rebuilt[name]).square().mean() for name in MODALITIES]
        return {
            "similar": torch.stack(alike).mean(),
            "different": torch.stack(common).sum(),
            "rebuilt": torch.stack(errors).mean(),
        }


def moment_discrepancy(x: Tensor, y: Tensor) -> Tensor:
    """Return the central moment discrepancy of two sets of rows ``[B, D]`` in [0, 1].

    Zellinger et al., ICLR 2017: ``|E x - E y| + sum_k |C_k x -
    C_k y|`` with the central moments ``C_k x = E (x - E x)^k`` of orders 2 to `MOMENTS`.
    """
    far: Tensor = torch.linalg.vector_norm(x.mean(dim=0) - y.mean(dim=0))
    x, y = x - x.mean(dim=0), y - y.mean(dim=0)
    for order in range(2, MOMENTS + 1):
        moments = x.pow(order).mean(dim=0) - y.pow(order).mean(dim=0)
        far = far + torch.linalg.vector_norm(moments)
    return far


def overlap(x: Tensor, y: Tensor) -> Tensor:
    """Return the deviation of two sets of rows ``[B, D]`` from orthogonality.

    For zero-mean columns and unit-length rows, the mean of the squares of ``x' y``, as in the
    authors' code, to which their weight applies; the paper has the sum.
    """
    x, y = x - x.mean(dim=0), y - y.mean(dim=0)
    # Detached, as in the authors' code: shrinking the rows is no way to orthogonality.
    x, y = (v / (torch.linalg.vector_norm(v, dim=1, keepdim=True).detach() + 1e-6) for v in (x, y))
    found: Tensor = (x.T @ y).square().mean()
    return found


class Stacked(nn.Module):
    """Two bidirectional LSTMs with a norm in between; returns their last states ``[B, width]``."""

    def __init__(self, inputs: int, width: int) -> None:
        super().__init__()
        hidden = max(1, width // 4)
        self.first = nn.LSTM(inputs, hidden, batch_first=True, bidirectional=True)
        self.norm = nn.LayerNorm(2 * hidden)
        self.second = nn.LSTM(2 * hidden, hidden, batch_first=True, bidirectional=True)
        self.project = nn.Linear(4 * hidden, width)

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        """Return ``[B, width]`` of ``x`` ``[B, T, inputs]`` with ``lengths`` ``[B]`` in frames;
        zeros where a length is 0."""
        states, (first, _) = self.first(packed(x, lengths))
        normed = self.norm(pad_packed_sequence(states, batch_first=True)[0])
        _, (second, _) = self.second(packed(normed, lengths))
        together: Tensor = self.project(torch.cat([*first, *second], dim=1))
        return together * (lengths > 0).unsqueeze(1)
