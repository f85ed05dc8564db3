"""What export asks of the search for smaller precisions, and what only export can do for it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, get_args

import onnx

from mera_calibration.activation_ranges import METHODS, Method
from mera_calibration.calibration_set import Example
from mera_calibration.qdq import InstructionSet, Target
from mera_calibration.quality_gate import AcceptanceLimits, Prefer
from mera_edge.bundle import Bundle, RoleName
from mera_edge.engine.protocol import Array
from mera_edge.errors import InputError
from mera_edge.evaluation.role_evaluators import ROLE_EVALUATORS
from mera_edge.labels import MODALITIES

Feeds = Mapping[str, Array]
"""Inputs of one run of a model, by name."""


@dataclass(frozen=True)
class Dataset:
    """Examples of one role."""

    train: Sequence[Example]
    """For calibration and fine-tuning."""
    dev: Sequence[Example]
    """For the gate. A test split has no place here."""


class Datasets(Protocol):
    """The datasets of all roles."""

    def __call__(self, role: RoleName, bundle: Bundle) -> Dataset:
        """List the examples of a role; nothing is decoded yet.

        Raises:
            InputError: a corpus is missing.
        """
        ...

    def missing(self, role: RoleName) -> Sequence[str]:
        """Return the files or directories that a role's dataset needs and that are missing."""
        ...


class FineTune(Protocol):
    """Fine-tunes a role for eight bits and exports it again."""

    def __call__(
        self, role: RoleName, bundle: Bundle, feeds: Sequence[Feeds], scratch: Path
    ) -> Bundle:
        """Return a bundle in ``scratch`` with the new model of ``role`` in full precision.

        Args:
            role: which role.
            bundle: with the model in full precision: the teacher.
            feeds: what the model is fed on training material.
            scratch: an empty directory.
        """
        ...


class FusedScores(Protocol):
    """Macro-F1 of the fused answer of a whole bundle."""

    split: str
    """What it is measured on."""

    def __call__(self, bundle: Bundle) -> dict[str, float]:
        """Return macro-F1 by condition."""
        ...

    def missing(self) -> Sequence[str]:
        """Return the files or directories that are needed and missing."""
        ...


def _no_violations(model: onnx.ModelProto) -> Sequence[str]:
    return ()


@dataclass(frozen=True)
class PrecisionRequest:
    """Which precisions to try, when to accept them, and what is needed for it.

    Raises:
        InputError: the request makes no sense; the message names the option.
    """

    roles: tuple[str, ...] | None = None
    """The roles to try; the others stay as they are. ``None``: all."""
    int8: bool = True
    targets: tuple[Target, ...] = ("cpu",)
    instruction_set: InstructionSet = "x86"
    """Of the CPU that runs the bundle."""
    limits: AcceptanceLimits = field(default_factory=AcceptanceLimits)
    gate: bool = True
    """Whether smaller precisions are compared with full precision at all."""
    gated: tuple[str, ...] | None = None
    """The roles that are compared; the others are accepted without. ``None``: all."""
    ranges: Method = "percentile"
    samples: int = 256
    dev: int = 1500
    """Most dev examples that the gate predicts."""
    seed: int = 0
    datasets: Datasets | None = None
    """``None``: there are no corpora."""
    calibrations: Path | None = None
    """A directory that `mera-edge calibrate` wrote; ``None`` to calibrate."""
    fine_tune: FineTune | None = None
    """The last resort for a role that INT8 degrades; ``None``: it stays in full precision."""
    fused: FusedScores | None = None
    """``None``: the fused answer is not compared."""
    tensorrt_violations: Callable[[onnx.ModelProto], Sequence[str]] = _no_violations
    """Says what TensorRT would refuse of a model."""
    progress: Callable[[str], None] = lambda message: None
    """Told what is being done."""
    report: Callable[[str], None] = lambda message: None
    """Told a line for every role that is done."""

    def __post_init__(self) -> None:
        for given, known, name in (
            (self.targets, get_args(Target), "--target"),
            ((self.ranges,), METHODS, "--ranges"),
            ((self.limits.prefer,), get_args(Prefer), "--prefer"),
            ((self.instruction_set,), get_args(InstructionSet), "--cpu"),
            (self.gated or (), tuple(ROLE_EVALUATORS), "--gate"),
        ):
            for value in given:
                if value not in known:
                    raise InputError(f"{name} {value!r} is unknown", f"give {' or '.join(known)}")
        if self.samples < 1 or self.dev < 1:
            raise InputError("at least one sample is needed", "give --samples a positive number")
        if self.datasets is None and self.gate:
            raise InputError(
                "there is no material to compare with full precision",
                "give the directory with the corpora as --data, or go without: --no-gate",
            )
        if self.fine_tune and (self.datasets is None or self.calibrations is not None):
            raise InputError(
                "a network that is trained on needs ranges of its own",
                "give --data, and no --calibration",
            )
        if self.datasets is None and self.int8 and self.calibrations is None:
            raise InputError(
                "INT8 needs ranges, and there is no material to find them on",
                "give --data, or the directory that `mera-edge calibrate` wrote: --calibration",
            )

    def tries(self, role: str) -> bool:
        """Whether a role is tried in smaller precisions."""
        return self.roles is None or role in self.roles

    def compares(self, role: str) -> bool:
        """Whether a role has to pass the gate."""
        return self.gate and (self.gated is None or role in self.gated)

    def compares_fused(self, roles: Collection[str]) -> bool:
        """Whether the fused answer of a bundle with these roles is compared."""
        complete = set(roles) >= {*MODALITIES, "fusion"}
        return complete and self.fused is not None and all(map(self.compares, MODALITIES))

    def require_corpora(self, roles: Collection[RoleName]) -> None:
        """Refuse to start without the corpora that are needed in the end.

        Args:
            roles: those of the bundle.

        Raises:
            InputError: names every missing corpus by role.
        """
        if self.datasets is None:
            return
        missing = {
            role: self.datasets.missing(role)
            for role in roles
            if role in ROLE_EVALUATORS
            and self.tries(role)
            and (self.compares(role) or (self.int8 and self.calibrations is None))
        }
        if self.fused is not None and self.compares_fused(roles):
            missing["fused"] = self.fused.missing()  # type: ignore[index]
        if named := [f"{role}: {', '.join(found)}" for role, found in missing.items() if found]:
            raise InputError(
                f"corpora are missing: {'; '.join(named)}",
                "add them to the directory given with --data; compare fewer roles: --gate ROLE "
                "with --calibration; or compare nothing: --no-gate with --calibration",
            )
