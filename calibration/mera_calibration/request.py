"""The request of a search for smaller precisions, with what only the caller can provide."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, get_args

import onnx

from mera_calibration.activation_ranges import METHODS, Method
from mera_calibration.calibration_set import Example
from mera_calibration.qdq import WEIGHT_BITS, InstructionSet, Target
from mera_calibration.quality_gate import AcceptanceLimits, Prefer
from mera_edge.bundle import Bundle, RoleName
from mera_edge.bundle.processor import is_exact
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
    """For calibration and quantization-aware training."""
    dev: Sequence[Example]
    """For the gate. Test splits are never used."""


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
    """Quantization-aware training of a role, and its export."""

    def __call__(
        self, role: RoleName, bundle: Bundle, feeds: Sequence[Feeds], scratch: Path
    ) -> Bundle:
        """Return a bundle in ``scratch`` with the new model of ``role`` in full precision.

        Args:
            role: the role to train.
            bundle: contains the model in full precision, the teacher.
            feeds: recorded on training examples.
            scratch: an empty directory.
        """
        ...


class FusedScores(Protocol):
    """Macro-F1 of the fused answer of a whole bundle."""

    split: str
    """The split it is measured on."""

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
    """Options, acceptance limits and callables of a search.

    Raises:
        InputError: an option is invalid; the message names it.
    """

    roles: tuple[str, ...] | None = None
    """The roles to try; the others stay as they are. ``None``: all."""
    int8: bool = True
    targets: tuple[Target, ...] = ("cpu",)
    instruction_set: InstructionSet = "x86"
    """Of the CPU that runs the bundle."""
    limits: AcceptanceLimits = field(default_factory=AcceptanceLimits)
    gate: bool = True
    """Whether smaller precisions are compared with full precision."""
    gated: tuple[str, ...] | None = None
    """The roles to compare; the others are accepted without. ``None``: all."""
    ranges: Method = "percentile"
    samples: int = 256
    dev: int = 1500
    """Most dev examples per role."""
    seed: int = 0
    datasets: Datasets | None = None
    """``None``: there are no corpora."""
    calibrations: Path | None = None
    """A directory that `mera-edge calibrate` wrote; ``None`` to calibrate."""
    fine_tune: FineTune | None = None
    """For a role that fails the gate in INT8; ``None``: it stays in full precision."""
    fused: FusedScores | None = None
    """``None``: the fused answer is not compared."""
    tensorrt_violations: Callable[[onnx.ModelProto], Sequence[str]] = _no_violations
    """Names what TensorRT would refuse in a model."""
    progress: Callable[[str], None] = lambda message: None
    """Receives progress messages."""
    report: Callable[[str], None] = lambda message: None
    """Receives one line per finished role."""

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
                    raise InputError(
                        f"unknown value {value!r} for {name}", f"choose {' or '.join(known)}"
                    )
        if self.samples < 1 or self.dev < 1:
            raise InputError(
                "at least one sample is needed", "give a positive number for --samples"
            )
        if self.gated and not self.gate:
            raise InputError("--gate and --no-gate are mutually exclusive", "give one of them")
        if idle := [role for role in self.gated or () if not self.tries(role)]:
            raise InputError(
                f"--gate {idle[0]}: {idle[0]} is not exported", f"add --role {idle[0]}"
            )
        saturates = WEIGHT_BITS[self.instruction_set] == 8 and not is_exact()
        if saturates and self.int8 and self.gate and "cpu" in self.targets:
            raise InputError(
                f"the gate cannot run models for {self.instruction_set} here: this processor has "
                "no VNNI and would saturate",
                "run it on a machine with VNNI or on 64-bit Arm, or choose --cpu x86",
            )
        if self.datasets is None and self.gate:
            raise InputError(
                "the gate needs the corpora",
                "give their directory as --data, or skip the gate: --no-gate",
            )
        if self.fine_tune and (self.datasets is None or self.calibrations is not None):
            raise InputError(
                "quantization-aware training changes the activation ranges",
                "give --data instead of --calibration",
            )
        if self.datasets is None and self.int8 and self.calibrations is None:
            raise InputError(
                "INT8 needs activation ranges",
                "give --data, or the output of `mera-edge calibrate` as --calibration",
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
        compared = all(self.tries(role) and self.compares(role) for role in MODALITIES)
        return complete and compared and self.fused is not None

    def require_corpora(self, roles: Collection[RoleName]) -> None:
        """Check before the start that all needed corpora are there.

        Args:
            roles: those of the bundle.

        Raises:
            InputError: names every missing corpus by role.
        """
        if self.datasets is None:
            return
        missing: dict[str, Sequence[str]] = {
            role: self.datasets.missing(role)
            for role in roles
            if role in ROLE_EVALUATORS
            and self.tries(role)
            and (self.compares(role) or (self.int8 and self.calibrations is None))
        }
        if self.fused is not None and self.compares_fused(roles):
            missing["fused"] = self.fused.missing()
        if named := [f"{role}: {', '.join(found)}" for role, found in missing.items() if found]:
            raise InputError(
                f"corpora are missing: {'; '.join(named)}",
                "add them to the directory given with --data, or use --calibration and compare "
                "fewer roles (--gate ROLE) or none (--no-gate)",
            )
