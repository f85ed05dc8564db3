"""One role from full precision to INT8, or back, with the comparison that decided."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, get_args

import numpy as np
import onnx

from mera_calibration import gate, sensitivity
from mera_calibration.ranges import METHODS, Method, Ranges, find, recorded, understood
from mera_calibration.samples import CalibrationSet, Example, Sample, draw
from mera_calibration.subjects import Answer, Score, Subject, subject
from mera_calibration.timing import interleaved
from mera_calibration.view import WithEngine
from mera_edge.bundle import Bundle, RoleEntry, RoleName
from mera_edge.bundle.manifest import FileEntry
from mera_edge.engine.onnx import OnnxEngine
from mera_edge.engine.protocol import Array
from mera_edge.errors import CheckFailed, InputError
from mera_export.material import Material
from mera_export.quantize import PRESETS, Preset, Proof, layers, prove, quantize, write

_FEEDS = 48
"""Steps that time the models and rank their blocks."""


@dataclass(frozen=True)
class Options:
    """How to quantize and when to be content."""

    limits: gate.Limits = field(default_factory=gate.Limits)
    ranges: Method = "minmax"
    samples: int = 256
    dev: int = 1500
    """Most dev examples that the gate hears."""
    seed: int = 0


@dataclass(frozen=True)
class Outcome:
    """What became of one role."""

    role: RoleName
    accepted: bool
    reasons: tuple[str, ...]
    """Why not."""
    comparison: gate.Comparison | None = None
    proof: Proof | None = None
    calibration: dict[str, Any] = field(default_factory=dict)
    """The manifest of the calibration set, how many samples and steps were used, and how."""
    left: tuple[str, ...] = ()
    """Layers that stay in float because the gate would not hold otherwise."""
    costs: tuple[sensitivity.Cost, ...] = ()
    """What each block costs alone; empty when it was not asked."""


Progress = Callable[[str], None]


class Quantization:
    """The search for the INT8 model of one role.

    Args:
        bundle: in full precision.
        role: which role.
        given: its examples.
        scratch: a directory for candidates.

    Raises:
        InputError: the role or its material cannot be used; the message says why.
    """

    def __init__(
        self,
        bundle: Bundle,
        role: RoleName,
        given: Material,
        options: Options,
        scratch: Path,
        progress: Progress,
    ) -> None:
        self.bundle, self.role, self.options = bundle, role, options
        self.scratch, self.progress = scratch, progress
        self.subject: Subject = subject(role)
        self.preset: Preset = PRESETS[role]
        classes = self.subject.metric != "1 - WER"
        progress(f"{role}: drawing calibration samples")
        self.chosen: CalibrationSet = draw(
            role, given.train, options.samples, options.seed, classes
        )
        understood(self.subject, bundle, self.chosen)
        progress(f"{role}: finding ranges ({options.ranges}, {len(self.chosen.samples)} samples)")
        self.ranges: Ranges = find(
            self.subject, bundle, self.chosen, options.ranges, self.preset.operators
        )
        self.feeds = _some(self.subject, bundle, self.chosen)
        self.dev = _dev(given.dev, options)
        self.labels = self.subject.labels(bundle)
        self.full_path = bundle.role(role).path()
        self.full = onnx.load(self.full_path)
        self.full_engine = bundle.role(role).engine()
        progress(f"{role}: {len(self.dev)} dev examples in full precision")
        self.full_answers = gate.answers(self.subject, bundle, self.dev)
        self.full_score = self._score(self.full_answers)

    def run(self, out: Path) -> Outcome:
        """Quantize all layers, or as many as the gate bears; the file goes to ``out``."""
        names, left, costs = layers(self.full), frozenset[str](), list[sensitivity.Cost]()
        limits = self.options.limits
        try:
            comparison = self.compare(left, out)
            if gate.quality(comparison, limits):
                self.progress(f"{self.role}: {gate.quality(comparison, limits)[0]}; ranking layers")
                costs = sensitivity.rank(names, self.candidate, self.full_engine, self.feeds[:16])
                saved = sensitivity.rescue(
                    costs, lambda leave: not gate.quality(self.compare(leave, out), limits)
                )
                left = left if saved is None else saved
                comparison = self.compare(left, out)
            proof = prove(self.full_path, out, left)
        except CheckFailed as error:
            return self._outcome((str(error),), costs=tuple(costs))
        reasons = (*gate.quality(comparison, limits), *gate.worth(comparison, limits))
        kept = tuple(name for name in names if name in left)
        return self._outcome(reasons, comparison, proof, kept, tuple(costs))

    def candidate(self, leave: frozenset[str], path: Path | None = None) -> OnnxEngine:
        """Quantize all layers but ``leave`` and load the result."""
        path = path or self.scratch / f"{self.role}-candidate.onnx"
        write(quantize(self.full, self.ranges, self.preset, leave), path)
        return OnnxEngine(path)

    def compare(self, leave: frozenset[str], path: Path) -> gate.Comparison:
        """Measure a candidate beside full precision."""
        engine = self.candidate(leave, path)
        bundle = WithEngine(self.bundle, self.role, engine)
        self.progress(f"{self.role}: {len(self.dev)} dev examples in INT8")
        answers = gate.answers(self.subject, bundle, self.dev)
        full_ms, small_ms = interleaved([self.full_engine, engine], self.feeds)
        return gate.Comparison(
            fp32=gate.Side(self.full_path.stat().st_size, self.full_score, full_ms),
            int8=gate.Side(path.stat().st_size, self._score(answers), small_ms),
            n=len(self.dev),
            agreement=gate.agreement(self.full_answers, answers),
            streaming=gate.stream_difference(self.subject, bundle, self.dev),
        )

    def _score(self, answers: Sequence[Answer]) -> Score:
        truth = [sample.example.label for sample in self.dev]
        return self.subject.score(truth, answers, self.labels)

    def _outcome(
        self,
        reasons: tuple[str, ...],
        comparison: gate.Comparison | None = None,
        proof: Proof | None = None,
        left: tuple[str, ...] = (),
        costs: tuple[sensitivity.Cost, ...] = (),
    ) -> Outcome:
        found = {
            **self.chosen.manifest(),
            "ranges": self.ranges.method,
            "samples": self.ranges.samples,
            "steps": self.ranges.steps,
        }
        return Outcome(self.role, not reasons, reasons, comparison, proof, found, left, costs)


def quantize_role(
    bundle: Bundle,
    role: RoleName,
    given: Material,
    options: Options,
    directory: Path,
    progress: Progress,
) -> tuple[Outcome, RoleEntry]:
    """Try INT8 for one role of a bundle.

    Args:
        bundle: in full precision.
        role: which role.
        given: its examples.
        options: how.
        directory: the bundle's; the role's model there is replaced if INT8 is accepted.
        progress: told what is being done.

    Returns:
        What became of it, and the role's entry in the manifest: the old one where INT8 failed.

    Raises:
        InputError: the role or its material cannot be used.
    """
    entry = bundle.role(role).entry
    with tempfile.TemporaryDirectory(dir=directory.parent, prefix=".int8-") as scratch:
        path = Path(scratch) / entry.files["model"].path
        outcome = Quantization(bundle, role, given, options, Path(scratch), progress).run(path)
        if not outcome.accepted or outcome.comparison is None:
            return outcome, entry
        # A new file in place of the old: an engine that still has the old one mapped keeps it.
        path.replace(directory / path.name)
    known = outcome.calibration
    facts = {key: known[key] for key in ("ranges", "samples", "steps", "seed", "sha256")}
    updated = entry.model_copy(
        update={
            "precision": "int8",
            "files": {**entry.files, "model": FileEntry.of(directory / path.name)},
            "calibration": {**entry.calibration, "int8": {**facts, "left": list(outcome.left)}},
            "metrics": {**entry.metrics, "int8": gate.as_facts(outcome.comparison)},
        }
    )
    return outcome, updated


def _dev(examples: Sequence[Example], options: Options) -> list[Sample]:
    # At random, not evenly over classes: confidence is calibrated for how often each occurs.
    order = np.random.default_rng(options.seed).permutation(len(examples))[: options.dev]
    return [Sample(examples[i], 0.0, examples[i].load()) for i in sorted(order)]


def _some(subject: Subject, bundle: Bundle, chosen: CalibrationSet) -> list[dict[str, Array]]:
    """Return steps from the middle of many samples, where caches are filled."""
    fed = islice(recorded(subject, bundle, chosen), _FEEDS)
    return [steps[len(steps) // 2] for steps in fed]


def check(options: Options) -> None:
    """Refuse options that make no sense.

    Raises:
        InputError: names the option.
    """
    if options.ranges not in METHODS:
        raise InputError(
            f"ranges cannot be found by {options.ranges!r}", f"by {', '.join(METHODS)}"
        )
    prefer = options.limits.prefer
    if prefer not in get_args(gate.Prefer):
        raise InputError(f"{prefer!r} is nothing to prefer", "give --prefer speed or size")
    if options.samples < 1 or options.dev < 1:
        raise InputError("at least one sample is needed", "give --samples a positive number")
