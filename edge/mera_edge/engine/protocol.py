"""What an engine is."""

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
        """What it really runs on, which need not be what was asked for first."""
        ...

    @property
    def metadata(self) -> Mapping[str, str]:
        """The facts written into the model file."""
        ...

    def run(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        """Compute all outputs.

        Raises:
            EngineError: an input is missing, or of another shape or type than `inputs` says; or an
                output holds what is no number.
        """
        ...


def numbers(outputs: dict[str, Array], model: str) -> dict[str, Array]:
    """Return a model's outputs.

    Raises:
        EngineError: NaN is among them.
    """
    for name, values in outputs.items():
        # Squares add up to NaN only where there is one; this takes a tenth of looking at each.
        if np.isnan(np.vdot(values, values)):
            raise EngineError(f"{model} returned NaN in {name}")
    return outputs
