"""One role in smaller precisions, each compared with full precision."""

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
from mera_calibration.fp16 import to_fp16
from mera_calibration.instrumented_bundle import InstrumentedBundle
from mera_calibration.qdq import Proof, Target, layers, preset_for, prove, quantize, sizes, write
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
"""Feeds for timing the models and ranking their blocks."""


@dataclass(frozen=True)
class Candidate:
    """A model in a smaller precision for one target."""

    target: Target
    precision: Literal["int8", "fp16"]
    reasons: tuple[str, ...] = ()
    """Why it is refused; empty if it is accepted."""
    comparison: Comparison | None = None
    """``None`` without a gate, or if the model could not be quantized."""
    proof: Proof | None = None
    float_layers: tuple[str, ...] = ()
    """Layers kept in float so that the gate passes."""
    fine_tuned: bool = False
    """Whether it went through quantization-aware training."""

    @property
    def accepted(self) -> bool:
        """Whether there is no reason against it."""
        return not self.reasons


@dataclass(frozen=True)
class RoleOutcome:
    """The result for one role."""

    role: RoleName
    candidates: tuple[Candidate, ...] = ()
    full: Measurement | None = None
    """In full precision; ``None`` without a gate."""
    n: int = 0
    """Number of dev examples."""
    calibration: dict[str, Any] = field(default_factory=dict)
    costs: tuple[sensitivity.Cost, ...] = ()
    """Sensitivity of every block; empty if it was not needed."""
    reason: str = ""
    """Why nothing was tried."""

    def accepted(self, target: Target) -> Candidate | None:
        """Return the candidate that a target runs; ``None``: full precision."""
        return next((a for a in self.candidates if a.target == target and a.accepted), None)


class PrecisionTrial:
    """Tries smaller precisions of one role.

    Args:
        bundle: in full precision.
        role: which role.
        dev: dev examples for the gate; ``None`` to go without a gate.
        request: limits and options.
        scratch: directory for candidates.
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
            self.answers = quality_gate.predictions(self.evaluator, bundle, dev)
            self.score = self._score(self.answers)

    def measure(self) -> Measurement | None:
        """Measure full precision alone."""
        if self.dev is None:
            return None
        (took,) = interleaved([self.engine], self.feeds)
        return Measurement(self.path.stat().st_size, self.score, took)

    def set_source(self, source: Path) -> None:
        """Quantize another model from now on; the reference for comparisons stays."""
        self.source, self.model = source, onnx.load(source)

    def int8(self, target: Target, calibration: Calibration, out: Path) -> Candidate:
        """Quantize to INT8 and write to ``out``; keep layers in float where the gate fails."""
        self._calibration, self._target = calibration, target
        names, left = layers(self.model), frozenset[str]()
        try:
            self._candidate(left, out)
            comparison = self.compare(out)
            if comparison is not None and quality_failures(comparison, self.limits):
                left, comparison = self._keep_in_float(names, comparison, out)
            proof = prove(self.source, out, left)
        except CheckFailed as error:
            return Candidate(target, "int8", (str(error),))
        kept = tuple(name for name in names if name in left)
        reasons, tuned = self._reasons(comparison, out), self.source != self.path
        return Candidate(target, "int8", reasons, comparison, proof, kept, tuned)

    def fp16(self, out: Path) -> Candidate:
        """Convert to FP16 and write to ``out``."""
        self._target = "tensorrt"
        write(to_fp16(self.model), out)
        comparison = self.compare(out)
        return Candidate("tensorrt", "fp16", self._reasons(comparison, out), comparison)

    def compare(self, path: Path) -> Comparison | None:
        """Compare a candidate with full precision; ``None`` without a gate."""
        if self.dev is None:
            return None
        engine = OnnxEngine(path)
        bundle = InstrumentedBundle(self.bundle, self.role, engine)
        self.progress(f"{self.role}: {len(self.dev)} dev examples for {self._target}")
        answers = quality_gate.predictions(self.evaluator, bundle, self.dev)
        # ONNX Runtime's time says nothing about TensorRT's.
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

    def _keep_in_float(
        self, names: Sequence[str], refused: Comparison, out: Path
    ) -> tuple[frozenset[str], Comparison]:
        """Find the layers to keep in float; none if that does not help."""
        self.progress(f"{self.role}: {quality_failures(refused, self.limits)[0]}; ranking blocks")
        scratch = self.scratch / f"{self.role}-block.onnx"
        ranked = sensitivity.rank(
            names, lambda leave: self._candidate(leave, scratch), self.engine, self.feeds[:16]
        )
        self.costs = tuple(ranked)
        seen: dict[frozenset[str], Comparison] = {frozenset(): refused}

        def passes(leave: frozenset[str]) -> bool:
            if leave not in seen:
                self._candidate(leave, out)
                found = self.compare(out)
                if found is None:
                    raise RuntimeError("a gate without dev examples")
                seen[leave] = found
            return not quality_failures(seen[leave], self.limits)

        left = sensitivity.find_float_layers(ranked, passes)
        if left:
            left = sensitivity.prune_float_layers(left, sizes(self.model), passes)
        left = left or frozenset()
        self._candidate(left, out)
        return left, seen[left]

    def _candidate(self, leave: frozenset[str], path: Path) -> OnnxEngine:
        """Quantize all layers except ``leave`` and load the result."""
        preset, ranges = preset_for(self.role), self._calibration.ranges
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
            reasons += [f"TensorRT: {violation}" for violation in found[:3]]
        return tuple(reasons)

    def _score(self, answers: Sequence[Output]) -> Score:
        truth = [sample.example.label for sample in self.dev or ()]
        return quality_gate.score(self.evaluator, truth, answers, self.labels)


def sample(examples: Sequence[Example], most: int, seed: int) -> list[Sample]:
    """Load up to ``most`` random examples.

    Classes keep their natural frequencies, for which confidence is calibrated.
    """
    order = np.random.default_rng(seed).permutation(len(examples))[:most]
    return [Sample(examples[i], 0.0, examples[i].load()) for i in sorted(order)]


def _steps(
    asked: RoleEvaluator, bundle: Bundle, role: RoleName, samples: Sequence[Sample]
) -> list[dict[str, Array]]:
    """Return feeds from the middle of samples, where caches are filled."""
    every = samples[:: max(1, len(samples) // _FEEDS)]
    return [steps[len(steps) // 2] for steps in recorded_feeds(asked, bundle, role, every)]
