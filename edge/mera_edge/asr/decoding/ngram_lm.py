"""An n-gram language model over the recognizer's units, as the beam search reads it."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from mera_edge.bundle.arrays import read_arrays, require_offsets
from mera_edge.errors import BundleError

START = 255
"""Stands before the first unit of a text."""

Context = tuple[int, ...]

_SHAPES = {
    "contexts": "C", "backoffs": "C", "begins": "B", "units": "N", "log_probabilities": "N",
    "weight": "", "bonus": "",
}  # fmt: skip


class LanguageModel:
    """Back-off n-grams by context, from an ``.npz`` of five arrays and two settings.

    ``contexts [C]``: numbers (`pack_context`) in rising order; ``begins [C + 1]``: where the units
    after each begin in ``units [N]`` and ``log_probabilities [N]``; ``backoffs [C]``: what a
    context adds to the log-probability of any other unit, which is that after the context without
    its oldest unit. ``weight`` of a log-probability in the search, and the ``bonus`` that every
    unit gets there, so that long texts are not at a disadvantage.

    Args:
        path: the file.
        classes: of the recognizer, blank included.

    Raises:
        BundleError: it is no such file, or for other units.
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
        # The same contexts come back again and again; 4096 arrays are 3 MB.
        self.log_probabilities = lru_cache(4096)(self._find)

    def after(self, context: Context, unit: int) -> Context:
        """Return the context that follows: as many of the newest units as there are n-grams for."""
        return (*context, unit)[-self._longest :]

    def score(self, context: Context, unit: int) -> float:
        """Return what a unit after ``context`` counts in the search."""
        return self.weight * float(self.log_probabilities(context)[unit]) + self.bonus

    def _find(self, context: Context) -> NDArray[np.float32]:
        """Return ``log P(class | context)``, ``[classes]``; blank has none that means anything."""
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
    """Return up to eight units as a number: the newest is its lowest byte."""
    packed = 0
    for unit in units:
        packed = packed << 8 | unit
    found: np.uint64 = np.uint64(packed)
    return found
