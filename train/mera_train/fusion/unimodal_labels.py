"""Unimodal labels, generated during training from the multimodal label.

The generation module of Self-MM (Yu et al., AAAI 2021, arXiv 2102.04830, section 3.3), with guards
where its published code divides by zero or takes the mean of an empty set.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from mera_train import parallel

SMALL = 0.1
"""Relative distance below which the ratio of the formula says nothing."""


def relative_distance(features: Tensor, positive: Tensor, negative: Tensor) -> Tensor:
    """Return the relative distance ``[n]`` of ``features [n, D]`` to the two centres ``[D]``.

    ``(d_n - d_p) / (d_p + eps)`` with Euclidean distances: positive nearer to the positive centre,
    0 if both are equally far.
    """
    to_positive = torch.linalg.vector_norm(features - positive, dim=1)
    to_negative = torch.linalg.vector_norm(features - negative, dim=1)
    distance: Tensor = (to_negative - to_positive) / (to_positive + 1e-8)
    return distance


def generate(whole: Tensor, alpha_whole: Tensor, alpha: Tensor, bound: float = 1.0) -> Tensor:
    """Return the labels of one modality, ``[n]``, from the multimodal labels, ``[n]``.

    The mean of two estimates: by the ratio of the relative distances, and by their difference.

    Args:
        whole: multimodal labels, in ``[-bound, bound]``.
        alpha_whole: relative distances of the fused features.
        alpha: relative distances of the modality's features.
        bound: the largest label.

    Guard: if the fused features are about equally far from both centres, the ratio diverges; then
    only the difference is used.
    """
    difference = whole + alpha - alpha_whole
    usable = alpha_whole.abs() >= SMALL
    ratio = whole * alpha / torch.where(usable, alpha_whole, torch.ones_like(alpha_whole))
    return torch.where(usable, 0.5 * (ratio + difference), difference).clamp(-bound, bound)


def momentum(old: Tensor, new: Tensor, epoch: int) -> Tensor:
    """Return the running label at ``epoch`` (from 1; in epoch 1 it is unchanged).

    ``(n - 1) / (n + 1) * old + 2 / (n + 1) * new``: later epochs move it less and less.
    """
    if epoch < 2:
        return old
    return (epoch - 1) / (epoch + 1) * old + 2 / (epoch + 1) * new


class UnimodalLabels(nn.Module):
    """The labels of every training example, for the whole and for each modality.

    A module without parameters: its tables are buffers, so that they are saved with a run.

    Args:
        whole: ``[n]`` labels in ``[-bound, bound]``.
        widths: size of the features, of `WHOLE` and of each modality.
        human: by modality ``[n]``, what people saw in it alone, NaN where nobody looked: these
            labels stay as they are.
        bound: the largest label.
    """

    WHOLE = "whole"

    def __init__(
        self,
        whole: Tensor,
        widths: dict[str, int],
        human: Mapping[str, Tensor] | None = None,
        bound: float = 1.0,
    ) -> None:
        super().__init__()
        self.bound = bound
        self._pending: list[tuple[Tensor, dict[str, Tensor], dict[str, Tensor], int]] = []
        nobody = torch.full_like(whole, torch.nan)
        self.modalities = tuple(name for name in widths if name != self.WHOLE)
        for name, width in widths.items():
            rated = (human or {}).get(name, nobody)
            self.register_buffer(f"fixed_{name}", ~rated.isnan())
            self.register_buffer(f"label_{name}", torch.where(rated.isnan(), whole, rated))
            self.register_buffer(f"feature_{name}", torch.zeros(len(whole), width))
            self.register_buffer(f"seen_{name}", torch.zeros(len(whole), dtype=torch.bool))
            self.register_buffer(f"centres_{name}", torch.zeros(2, width))
            self.register_buffer(f"centred_{name}", torch.zeros((), dtype=torch.bool))

    def label(self, name: str) -> Tensor:
        """The labels ``[n]`` of a modality, or of `WHOLE`."""
        return self.get_buffer(f"label_{name}")

    def weight(self, modality: str, rows: Tensor) -> Tensor:
        """How much a modality's label counts, ``[b]``: the more it differs from the whole's."""
        return torch.tanh((self.label(modality)[rows] - self.label(self.WHOLE)[rows]).abs())

    def update(
        self, rows: Tensor, features: dict[str, Tensor], present: dict[str, Tensor], epoch: int
    ) -> None:
        """Move the labels of ``rows`` by the centres so far, remember the features, recentre.

        Args:
            rows: ``[b]`` numbers of the examples.
            features: by name ``[b, D]``, detached.
            present: by modality ``[b]`` bool: one that is missing has no features and no label.
            epoch: from 1.
        """
        self._pending.append((rows, features, present, epoch))
        if parallel.state().num_processes == 1:
            self.synchronise()

    def synchronise(self) -> None:
        """Do what `update` was asked for, here and in the other processes."""
        for pending in parallel.gathered(self._pending):
            self._update(*pending)
        self._pending.clear()

    def _update(
        self, rows: Tensor, features: dict[str, Tensor], present: dict[str, Tensor], epoch: int
    ) -> None:
        everywhere = torch.ones(len(rows), dtype=torch.bool)
        if epoch > 1 and self.get_buffer(f"centred_{self.WHOLE}"):
            whole = self.label(self.WHOLE)[rows]
            alpha_whole = self._alpha(self.WHOLE, features[self.WHOLE])
            for name in self.modalities:
                if self.get_buffer(f"centred_{name}"):
                    alpha = self._alpha(name, features[name])
                    new = generate(whole, alpha_whole, alpha, self.bound)
                    old = self.label(name)[rows]
                    generated = present[name] & ~self.get_buffer(f"fixed_{name}")[rows]
                    self.label(name)[rows] = torch.where(generated, momentum(old, new, epoch), old)
        for name, value in features.items():
            here = present.get(name, everywhere)
            self.get_buffer(f"feature_{name}")[rows[here]] = value[here].float()
            self.get_buffer(f"seen_{name}")[rows[here]] = True
            self._recentre(name)

    def _alpha(self, name: str, features: Tensor) -> Tensor:
        positive, negative = self.get_buffer(f"centres_{name}")
        return relative_distance(features.float(), positive, negative)

    def _recentre(self, name: str) -> None:
        # A class without examples keeps its old centre: the mean of nothing poisons every label.
        features, seen = self.get_buffer(f"feature_{name}"), self.get_buffer(f"seen_{name}")
        sides = (seen & (self.label(name) > 0), seen & (self.label(name) < 0))
        if all(bool(side.any()) for side in sides):
            centres = torch.stack([features[side].mean(dim=0) for side in sides])
            self.get_buffer(f"centres_{name}").copy_(centres)
            self.get_buffer(f"centred_{name}").fill_(True)
