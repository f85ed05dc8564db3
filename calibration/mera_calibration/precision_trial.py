"""One role in smaller precisions, each compared with the full one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import onnx

from mera_calibration import quality_gate, sensitivity
from mera_calibration.activation_ranges import recorded_feeds
from mera_calibration.calibration import Calibration
from mera_calibration.calibration_set import Example, Sample
from mera_calibration.fp16 import half
from mera_calibration.instrumented_bundle import InstrumentedBundle
from mera_calibration.qdq import PRESETS, Proof, Target, layers, prove, quantize, sizes, write
from mera_calibration.quality_gate import (
    Comparison,
    Measurement,
    Score,
    benefit_failures,
    quality_failures,
)
from mera_calibration.request import PrecisionRequest
from mera_calibration.timing import interleaved
from mera_edge.bundle import Bundle, RoleName
from mera_edge.engine.onnx import OnnxEngine
from mera_edge.engine.protocol import Array
from mera_edge.errors import CheckFailed
from mera_edge.evaluation.role_evaluators import Output, RoleEvaluator

_FEEDS = 48
"""Steps that time the models and rank their blocks."""


@dataclass(frozen=True)
class Candidate:
    """A model in a smaller precision, for one target."""

    target: Target
    precision: Literal["int8", "fp16"]
    reasons: tuple[str, ...] = ()
    """Why it is not taken; none when it is."""
    comparison: Comparison | None = None
    """``None`` without a gate, or when it did not come so far."""
    proof: Proof | None = None
    left: tuple[str, ...] = ()
    """Layers that stay in float because the gate would not hold otherwise."""
    fine_tuned: bool = False
    """Whether the network was trained on, to bear eight bits."""

    @property
    def accepted(self) -> bool:
        return not self.reasons


@dataclass(frozen=True)
class RoleOutcome:
    """What became of one role."""

    role: RoleName
    attempts: tuple[Candidate, ...] = ()
    full: Measurement | None = None
    """In full precision; ``None`` without material."""
    n: int = 0
    """Examples that the figures are of."""
    calibration: dict[str, Any] = field(default_factory=dict)
    costs: tuple[sensitivity.Cost, ...] = ()
    """What each block costs alone; empty when it was not asked."""
    why: str = ""
    """Why nothing was tried."""

    def taken(self, target: Target) -> Candidate | None:
        """The attempt that a target runs; ``None`` for full precision."""
        return next((a for a in self.attempts if a.target == target and a.accepted), None)


class PrecisionTrial:
    """Tries smaller precisions for one role.

    Args:
        bundle: in full precision.
        role: which role.
        dev: dev examples for the gate; ``None`` to go without a gate.
        request: limits, and what else the search was asked for.
        scratch: a directory for candidates.
    """

    def __init__(
        self,
        bundle: Bundle,
        role: RoleName,
        dev: Sequence[Sample] | None,
        request: PrecisionRequest,
        scratch: Path,
    ) -> None:
        self.bundle, self.role, self.request = bundle, role, request
        self.limits, self.scratch, self.progress = request.limits, scratch, request.progress
        self.evaluator = quality_gate.evaluator(role)
        self.path = self.source = bundle.role(role).path()
        self.model = onnx.load(self.path)
        self.engine = bundle.role(role).engine()
        self.dev = dev
        self.labels = self.evaluator.labels(bundle)
        self.costs: tuple[sensitivity.Cost, ...] = ()
        if dev is not None:
            self.progress(f"{role}: {len(dev)} dev examples in full precision")
            self.feeds = _steps(self.evaluator, bundle, role, dev)
            self.answers = quality_gate.answers(self.evaluator, bundle, dev)
            self.score = self._score(self.answers)

    def measure(self) -> Measurement | None:
        """Measure full precision alone."""
        if self.dev is None:
            return None
        (took,) = interleaved([self.engine], self.feeds)
        return Measurement(self.path.stat().st_size, self.score, took)

    def set_source(self, source: Path) -> None:
        """Make smaller models of another one from now on; what they are compared with stays."""
        self.source, self.model = source, onnx.load(source)

    def int8(self, target: Target, calibration: Calibration, out: Path) -> Candidate:
        """Quantize all layers, or as many as the gate bears; the file goes to ``out``."""
        self._calibration, self._target = calibration, target
        names, left = layers(self.model), frozenset[str]()
        try:
            self._candidate(left, out)
            comparison = self.compare(out)
            if comparison is not None and quality_failures(comparison, self.limits):
                left, comparison = self._rescue(names, comparison, out)
            proof = prove(self.source, out, left)
        except CheckFailed as error:
            return Candidate(target, "int8", (str(error),))
        kept = tuple(name for name in names if name in left)
        reasons, tuned = self._reasons(comparison, out), self.source != self.path
        return Candidate(target, "int8", reasons, comparison, proof, kept, tuned)

    def fp16(self, out: Path) -> Candidate:
        """Convert all of it to half precision; the file goes to ``out``."""
        self._target = "tensorrt"
        write(half(self.model), out)
        comparison = self.compare(out)
        return Candidate("tensorrt", "fp16", self._reasons(comparison, out), comparison)

    def compare(self, path: Path) -> Comparison | None:
        """Measure a candidate beside full precision; nothing without dev material."""
        if self.dev is None:
            return None
        engine = OnnxEngine(path)
        bundle = InstrumentedBundle(self.bundle, self.role, engine)
        self.progress(f"{self.role}: {len(self.dev)} dev examples for {self._target}")
        answers = quality_gate.answers(self.evaluator, bundle, self.dev)
        # What TensorRT will run is timed on the device: here it would say nothing.
        full_ms = small_ms = None
        if self._target == "cpu":
            full_ms, small_ms = interleaved([self.engine, engine], self.feeds)
        return Comparison(
            full=Measurement(self.path.stat().st_size, self.score, full_ms),
            small=Measurement(path.stat().st_size, self._score(answers), small_ms),
            n=len(self.dev),
            agreement=quality_gate.agreement(self.answers, answers),
            streaming=quality_gate.stream_difference(self.evaluator, bundle, self.dev),
        )

    def _rescue(
        self, names: Sequence[str], refused: Comparison, out: Path
    ) -> tuple[frozenset[str], Comparison]:
        """Find what must stay in full precision; as refused, if nothing helps."""
        self.progress(f"{self.role}: {quality_failures(refused, self.limits)[0]}; ranking layers")
        scratch = self.scratch / f"{self.role}-block.onnx"
        ranked = sensitivity.rank(
            names, lambda leave: self._candidate(leave, scratch), self.engine, self.feeds[:16]
        )
        self.costs = tuple(ranked)
        seen: dict[frozenset[str], Comparison] = {frozenset(): refused}

        def holds(leave: frozenset[str]) -> bool:
            if leave not in seen:
                self._candidate(leave, out)
                found = self.compare(out)
                if found is None:
                    raise RuntimeError("a gate without dev material")
                seen[leave] = found
            return not quality_failures(seen[leave], self.limits)

        left = sensitivity.find_float_layers(ranked, holds)
        left = (
            sensitivity.prune_float_layers(left, sizes(self.model), holds) if left else frozenset()
        )
        self._candidate(left, out)
        return left, seen[left]

    def _candidate(self, leave: frozenset[str], path: Path) -> OnnxEngine:
        """Quantize all layers but ``leave`` and load the result."""
        preset, ranges = PRESETS[self.role], self._calibration.ranges
        how = self._target, self.request.instruction_set
        write(quantize(self.model, ranges, preset, leave, *how), path)
        return OnnxEngine(path)

    def _reasons(self, comparison: Comparison | None, out: Path) -> tuple[str, ...]:
        reasons: list[str] = []
        if comparison is not None:
            reasons = [
                *quality_failures(comparison, self.limits),
                *benefit_failures(comparison, self.limits),
            ]
        if self._target == "tensorrt":
            found = self.request.tensorrt_violations(onnx.load(out))
            reasons += [f"TensorRT would not take {refused}" for refused in found[:3]]
        return tuple(reasons)

    def _score(self, answers: Sequence[Output]) -> Score:
        truth = [sample.example.label for sample in self.dev or ()]
        return quality_gate.score(self.evaluator, truth, answers, self.labels)


def some(examples: Sequence[Example], most: int, seed: int) -> list[Sample]:
    """Read up to ``most`` examples, drawn at random.

    Not evenly over classes: confidence is calibrated for how often each occurs.
    """
    order = np.random.default_rng(seed).permutation(len(examples))[:most]
    return [Sample(examples[i], 0.0, examples[i].load()) for i in sorted(order)]


def _steps(
    asked: RoleEvaluator, bundle: Bundle, role: RoleName, samples: Sequence[Sample]
) -> list[dict[str, Array]]:
    """Return steps from the middle of samples of all kinds, where caches are filled."""
    every = samples[:: max(1, len(samples) // _FEEDS)]
    return [steps[len(steps) // 2] for steps in recorded_feeds(asked, bundle, role, every)]
