"""The protocol of an engine."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from mera_edge.errors import EngineError

Array = NDArray[Any]


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """Name, shape and element type of one input or output. Shapes are static."""

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]


class Engine(Protocol):
    """A loaded model."""

    @property
    def inputs(self) -> Mapping[str, TensorSpec]:
        """Shape and type of every input, by name."""

    @property
    def outputs(self) -> Mapping[str, TensorSpec]:
        """Shape and type of every output, by name."""

    @property
    def provider(self) -> str:
        """The provider that it runs on, which may be a fallback."""
        ...

    @property
    def metadata(self) -> Mapping[str, str]:
        """The custom metadata of the model file."""
        ...

    def run(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        """Compute all outputs.

        Raises:
            EngineError: an input is missing or does not match its spec in `inputs`; or an output
                contains NaN.
        """
        ...


def numbers(outputs: dict[str, Array], model: str) -> dict[str, Array]:
    """Return a model's outputs unchanged.

    Raises:
        EngineError: they contain NaN.
    """
    for name, values in outputs.items():
        # The sum of squares is NaN only if a value is; ten times faster than checking each value.
        if np.isnan(np.vdot(values, values)):
            raise EngineError(f"{model} returned NaN in {name}")
    return outputs
