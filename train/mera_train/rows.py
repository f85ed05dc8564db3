"""Row selection across several arrays."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

Examples = TypeVar("Examples", bound=Any)


def select(examples: Examples, rows: Tensor | NDArray[np.bool_]) -> Examples:
    """Return a copy of a dataclass with only ``rows`` of every array.

    Args:
        examples: a dataclass whose fields are arrays, tensors, or dictionaries of them, aligned by
            row.
        rows: indices or a mask.
    """
    chosen = {f.name: _rows(getattr(examples, f.name), rows) for f in fields(examples)}
    result: Examples = replace(examples, **chosen)
    return result


def _rows(values: Any, rows: Any) -> Any:
    if isinstance(values, dict):
        return {name: value[rows] for name, value in values.items()}
    return values[rows]
