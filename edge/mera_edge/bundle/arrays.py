"""Reads and validates the ``.npz`` files of a bundle."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

LIMIT: Final = 500 * 1000**2
"""Maximum uncompressed size of a file, in bytes."""


def read_arrays(path: Path, shapes: Mapping[str, str]) -> dict[str, NDArray[Any]]:
    """Read numeric arrays from a file, without pickle.

    Args:
        path: the file.
        shapes: for every array to read, one letter per dimension; equal letters mean equal sizes. A
            scalar has no letters.

    Raises:
        KeyError, OSError, ValueError, zipfile.BadZipFile: the file is damaged or its uncompressed
            size exceeds `LIMIT`; or an array is missing, has another shape or is not numeric.
    """
    with zipfile.ZipFile(path) as archive:
        size = sum(member.file_size for member in archive.infolist())
    if size > LIMIT:
        raise ValueError(f"it unpacks to {size} bytes, more than {LIMIT}")
    with np.load(path, allow_pickle=False) as file:
        arrays = {name: file[name] for name in shapes}
    sizes: dict[str, int] = {}
    for name, letters in shapes.items():
        shape, kind = arrays[name].shape, arrays[name].dtype.kind
        same = all(
            size == sizes.setdefault(a, size) for a, size in zip(letters, shape, strict=False)
        )
        if len(shape) != len(letters) or not same or kind not in "iuf":
            raise ValueError(f"{name} has shape {shape} and type {arrays[name].dtype}")
    return arrays


def require_offsets(name: str, offsets: NDArray[Any], first: int, last: int, count: int) -> None:
    """Check an array of ``count + 1`` offsets, as in CSR format.

    Raises:
        ValueError: it does not rise monotonically from ``first`` to ``last`` in ``count`` steps.
    """
    ends = offsets[:1].tolist() + offsets[-1:].tolist()
    if len(offsets) != count + 1 or ends != [first, last] or (np.diff(offsets) < 0).any():
        raise ValueError(f"{name} does not rise from {first} to {last} in {count} steps")
