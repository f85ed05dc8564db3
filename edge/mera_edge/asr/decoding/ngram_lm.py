"""An n-gram language model over the recognizer's units."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from mera_edge.bundle.arrays import read_arrays, require_offsets
from mera_edge.errors import BundleError

START = 255
"""The unit before the first one of a text."""

Context = tuple[int, ...]

_SHAPES = {
    "contexts": "C", "backoffs": "C", "begins": "B", "units": "N", "log_probabilities": "N",
    "weight": "", "bonus": "",
}  # fmt: skip


class LanguageModel:
    """A back-off n-gram model, from an ``.npz`` of five arrays and two settings.

    ``contexts [C]``: packed contexts (`pack_context`) in ascending order; ``begins [C + 1]``:
    offsets of each context's units in ``units [N]`` and ``log_probabilities [N]``;
    ``backoffs [C]``: log back-off weight of each context, for units not listed there. ``weight``:
    language model weight in the search; ``bonus``: bonus per unit, which offsets the preference for
    short texts.

    Args:
        path: the file.
        classes: number of the recognizer's classes, including blank.

    Raises:
        BundleError: the file is not a valid language model, or for different units.
    """

    def __init__(self, path: Path, classes: int) -> None:
        try:
            file = read_arrays(path, _SHAPES)
            self._contexts = file["contexts"]
            self._begins = file["begins"]
            self._units = file["units"]
            self._log_probabilities = file["log_probabilities"]
            self._backoffs = file["backoffs"]
            self.weight, self.bonus = float(file["weight"]), float(file["bonus"])
            counts = len(self._contexts), len(self._units)
            require_offsets("begins", self._begins, 0, counts[1], counts[0])
            self._longest = (int(self._contexts[-1]).bit_length() + 7) // 8
        except (OSError, LookupError, ValueError, BadZipFile) as error:
            raise BundleError(
                f"{path} is not a valid language model ({error})", "export again"
            ) from error
        if self._units.max(initial=0) >= classes:
            raise BundleError(
                f"{path} was made for units that differ from the recognizer's", "export again"
            )
        self._classes = classes
        # Contexts recur often; 4096 arrays take 3 MB.
        self.log_probabilities = lru_cache(4096)(self._find)

    def after(self, context: Context, unit: int) -> Context:
        """Return the context after a unit, truncated to the order of the model."""
        return (*context, unit)[-self._longest :]

    def score(self, context: Context, unit: int) -> float:
        """Return the weighted score of a unit after ``context``, for the search."""
        return self.weight * float(self.log_probabilities(context)[unit]) + self.bonus

    def _find(self, context: Context) -> NDArray[np.float32]:
        """Return ``log P(class | context)``, ``[classes]``; the value of blank has no meaning."""
        if context:
            found: NDArray[np.float32] = self.log_probabilities(context[1:]).copy()
        else:
            found = np.full(self._classes, -20.0, np.float32)
        wanted = pack_context(context)
        place = int(np.searchsorted(self._contexts, wanted))
        if place == len(self._contexts) or self._contexts[place] != wanted:
            return found
        here = slice(self._begins[place], self._begins[place + 1])
        found += np.float32(self._backoffs[place])
        found[self._units[here]] = self._log_probabilities[here]
        return found


def pack_context(units: Context) -> np.uint64:
    """Return up to eight units packed into 64 bits, the newest in the lowest byte."""
    packed = 0
    for unit in units:
        packed = packed << 8 | unit
    found: np.uint64 = np.uint64(packed)
    return found
