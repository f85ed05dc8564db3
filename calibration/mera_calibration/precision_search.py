"""Every role of a bundle in smaller precisions: one way in, one way out."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mera_calibration import calibration, quality_gate
from mera_calibration.activation_ranges import recorded_feeds
from mera_calibration.calibration_set import Sample, draw
from mera_calibration.precision_trial import Candidate, PrecisionTrial, RoleOutcome, some
from mera_calibration.qdq import PRESETS, InstructionSet, Target
from mera_calibration.report import FusedComparison, Report
from mera_calibration.request import Dataset, PrecisionRequest
from mera_edge.bundle import Bundle, RoleEntry, RoleName
from mera_edge.bundle.manifest import FileEntry
from mera_edge.engine.protocol import Array
from mera_edge.errors import InputError
from mera_edge.evaluation.role_evaluators import ROLE_EVALUATORS


@dataclass(frozen=True)
class SearchResult:
    """What a search found."""

    bundle: Bundle
    """As it was, but for the models that were accepted."""
    report: Report


class PrecisionSearch:
    """Tries every role of a bundle in smaller precisions.

    Args:
        request: which precisions, when to accept them, and what is needed for it.
    """

    def __init__(self, request: PrecisionRequest) -> None:
        self._request = request

    def run(self, bundle: Bundle) -> SearchResult:
        """Put the accepted models into the directory of ``bundle``; its manifest stays as it is.

        Raises:
            InputError: a corpus is missing, or there is too little material.
        """
        request = self._request
        roles = bundle.manifest.roles
        fused = request.fused if request.compares_fused(roles) else None
        full = fused(bundle) if fused else {}
        entries: dict[RoleName, RoleEntry] = {}
        outcomes = []
        for role in roles:
            if not request.tries(role):
                entries[role] = roles[role]
                continue
            outcome, entries[role] = self._role(bundle, role)
            outcomes.append(outcome)
            request.report(f"{role} … {_verdict(outcome)}")
        manifest = bundle.manifest.model_copy(update={"roles": entries})
        found = Bundle(bundle.directory, manifest)
        compared = None
        if fused:
            compared = FusedComparison(fused.split, full, fused(found) if request.int8 else {})
        return SearchResult(found, Report(request, tuple(outcomes), compared))

    def _role(self, bundle: Bundle, role: RoleName) -> tuple[RoleOutcome, RoleEntry]:
        entry = bundle.role(role).entry
        if role not in ROLE_EVALUATORS:
            return RoleOutcome(role, why="it is so small that nothing would be saved"), entry
        request = self._request
        needs_data = request.compares(role) or request.calibrations is None
        given = request.datasets(role, bundle) if request.datasets and needs_data else None
        dev = self._dev(role, given)
        # Beside the bundle: what is accepted gets there by rename.
        beside = bundle.directory.parent
        with tempfile.TemporaryDirectory(dir=beside, prefix=".trial-") as scratch:
            trial = PrecisionTrial(bundle, role, dev, request, Path(scratch))
            ranges = self._calibration(bundle, role, given) if request.int8 else None
            attempts: list[Candidate] = []
            for target in request.targets:
                attempts += _attempts(trial, target, ranges, Path(scratch) / f"{target}.onnx")
            spoilt = any(a.target == "cpu" and not a.accepted for a in attempts)
            if spoilt and request.fine_tune and given:
                feeds = self._feeds(bundle, role, given)
                tuned = request.fine_tune(role, bundle, feeds, Path(scratch))
                trial.set_source(tuned.role(role).path())
                ranges = self._calibration(tuned, role, given)
                attempts.append(trial.int8("cpu", ranges, Path(scratch) / "cpu.onnx"))
            outcome = RoleOutcome(
                role,
                tuple(attempts),
                trial.measure(),
                len(dev or ()),
                ranges.facts() if ranges else {},
                trial.costs,
                PRESETS[role].tensorrt if "tensorrt" in request.targets else "",
            )
            for target in request.targets:
                if taken := outcome.taken(target):
                    path = Path(scratch) / f"{target}.onnx"
                    entry = _placed(
                        entry, taken, outcome, path, bundle.directory, request.instruction_set
                    )
        return outcome, entry

    def _feeds(self, bundle: Bundle, role: RoleName, given: Dataset) -> list[dict[str, Array]]:
        """Return what the role's model is fed on training material."""
        request, judged = self._request, ROLE_EVALUATORS[role]
        chosen = draw(role, given.train, request.samples, request.seed, judged.classifies)
        streams = recorded_feeds(judged, bundle, role, chosen.samples)
        return [fed for stream in streams for fed in stream]

    def _dev(self, role: RoleName, given: Dataset | None) -> list[Sample] | None:
        if given is None or not self._request.compares(role):
            return None
        if not given.dev:
            raise InputError(
                f"there is no dev material for {role}, so precisions cannot be compared",
                "give the corpora that the model was trained on, or go without: --no-gate",
            )
        return some(given.dev, self._request.dev, self._request.seed)

    def _calibration(
        self, bundle: Bundle, role: RoleName, given: Dataset | None
    ) -> calibration.Calibration:
        request = self._request
        if request.calibrations is not None:
            return calibration.load(request.calibrations, role, bundle)
        return calibration.calibrate(
            bundle,
            role,
            given.train if given else (),
            PRESETS[role].operators,
            request.ranges,
            request.samples,
            request.seed,
            request.progress,
        )


def _attempts(
    trial: PrecisionTrial, target: Target, ranges: calibration.Calibration | None, path: Path
) -> list[Candidate]:
    """Try what a target could run, the smallest first; the last file stays at ``path``."""
    if target == "tensorrt" and PRESETS[trial.role].tensorrt:
        return []
    attempts = []
    if ranges is not None:
        attempts.append(trial.int8(target, ranges, path))
    if target == "tensorrt" and not (attempts and attempts[-1].accepted):
        attempts.append(trial.fp16(path))
    return attempts


def _placed(
    entry: RoleEntry,
    taken: Candidate,
    outcome: RoleOutcome,
    path: Path,
    directory: Path,
    instruction_set: InstructionSet,
) -> RoleEntry:
    """Move an accepted model into the bundle and describe it."""
    key = "model" if taken.target == "cpu" else "tensorrt"
    name = entry.files["model"].path if taken.target == "cpu" else f"{outcome.role}-tensorrt.onnx"
    # A new file in place of the old: an engine that still has the old one mapped keeps it.
    path.replace(directory / name)
    facts: dict[str, Any] = {"gate": "passed" if taken.comparison else "not checked"}
    if taken.precision == "int8":
        facts |= {**outcome.calibration, "left": list(taken.left)}
        facts |= {"instruction_set": instruction_set} if key == "model" else {}
        facts |= {"fine_tuned": True} if taken.fine_tuned else {}
    of = taken.precision if key == "model" else f"tensorrt_{taken.precision}"
    metrics = dict(entry.metrics)
    if taken.comparison is not None:
        metrics[of] = quality_gate.as_facts(taken.comparison, taken.precision)
    return entry.model_copy(
        update={
            "precision" if key == "model" else "tensorrt": taken.precision,
            "files": {**entry.files, key: FileEntry.of(directory / name)},
            "calibration": {**entry.calibration, of: facts},
            "metrics": metrics,
        }
    )


def _verdict(outcome: RoleOutcome) -> str:
    if not outcome.attempts:
        return f"FP32: {outcome.why}" if outcome.why else "FP32"
    words = []
    for attempt in outcome.attempts:
        told = "taken" if attempt.accepted else f"refused, {attempt.reasons[0]}"
        words.append(f"{attempt.precision.upper()} for {attempt.target}: {told}")
    return "; ".join(words)
