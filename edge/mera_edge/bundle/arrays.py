"""Arrays from an ``.npz`` of a bundle."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

LIMIT: Final = 500 * 1000**2
"""Bytes that the arrays of a file may have in all."""


def read_arrays(path: Path) -> dict[str, NDArray[Any]]:
    """Read every array of a file, without unpickling anything.

    Raises:
        OSError, ValueError, zipfile.BadZipFile: it is damaged, or unpacks to more than `LIMIT`.
    """
    with zipfile.ZipFile(path) as archive:
        size = sum(member.file_size for member in archive.infolist())
    if size > LIMIT:
        raise ValueError(f"it unpacks to {size} bytes, more than {LIMIT}")
    with np.load(path, allow_pickle=False) as file:
        return {name: file[name] for name in file.files}
