"""Safe reading of untrusted pickles."""

from __future__ import annotations

import pickle
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np

from mera_edge.errors import InputError


class _Array:
    """Placeholder for numpy's array constructor, which a pickle could call with any size."""


def _empty(kind: type, shape: tuple[int, ...], code: bytes) -> Any:
    """Create the empty array that a pickle then fills with its own bytes."""
    if kind is not _Array or tuple(shape) != (0,):
        raise ValueError("an array that is not a NumPy array")
    return _RECONSTRUCT(np.ndarray, (0,), b"b")


_RECONSTRUCT: Any = np.zeros(0).__reduce__()[0]
_BUFFER = np.zeros(0).__reduce_ex__(5)[0]
_SCALAR = np.float64(0).__reduce__()[0]

_ADMITTED: dict[tuple[str, str], Any] = {
    ("numpy", "ndarray"): _Array,
    ("numpy", "dtype"): np.dtype,
    ("collections", "OrderedDict"): OrderedDict,
    # Protocols 0 to 2 store bytes as Latin-1 text; no other codec is allowed.
    ("_codecs", "encode"): lambda text, encoding="latin1": text.encode("latin1"),
}
# numpy has renamed these modules; both names occur in files.
for _core in ("numpy.core", "numpy._core"):
    _ADMITTED[f"{_core}.multiarray", "_reconstruct"] = _empty
    _ADMITTED[f"{_core}.multiarray", "scalar"] = _SCALAR
    _ADMITTED[f"{_core}.numeric", "_frombuffer"] = _BUFFER


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        try:
            return _ADMITTED[module, name]
        except KeyError as error:
            raise _Forbidden(f"{module}.{name}") from error


class _Forbidden(Exception):
    """A pickle requested a forbidden name."""


def load(path: Path) -> Any:
    """Read a pickle of numpy arrays, numbers, strings, lists, tuples and dictionaries.

    Raises:
        InputError: it requests anything else, which is named and not executed; it is unreadable; or
            it does not fit into memory.
    """
    try:
        with path.open("rb") as file:
            return _Unpickler(file).load()
    except _Forbidden as error:
        raise InputError(
            f"{path} asks for {error}, which is neither a NumPy array nor a plain container",
            "nothing was executed; use a file from a trusted source, or rewrite it",
        ) from error
    except Exception as error:
        why = str(error) or type(error).__name__
        raise InputError(
            f"{path} cannot be read as a pickle ({why})", "download it again"
        ) from error
