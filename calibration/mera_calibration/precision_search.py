"""The search for smaller precisions: a bundle and a request in, a bundle and a report out."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mera_calibration import calibration, quality_gate
from mera_calibration.activation_ranges import recorded_feeds
from mera_calibration.calibration_set import Sample, draw
from mera_calibration.precision_trial import Candidate, PrecisionTrial, RoleOutcome, sample
from mera_calibration.qdq import InstructionSet, Target, preset_for
from mera_calibration.report import FusedComparison, Report
from mera_calibration.request import Dataset, PrecisionRequest
from mera_edge.bundle import Bundle, RoleEntry, RoleName
from mera_edge.bundle.manifest import FileEntry
from mera_edge.engine.protocol import Array
from mera_edge.errors import InputError
from mera_edge.evaluation.role_evaluators import ROLE_EVALUATORS


@dataclass(frozen=True)
class SearchResult:
    """The result of a search."""

    bundle: Bundle
    """The bundle with all accepted models."""
    report: Report


class PrecisionSearch:
    """Tries smaller precisions of every role of a bundle.

    Args:
        request: options, limits and callables.
    """

    def __init__(self, request: PrecisionRequest) -> None:
        self._request = request

    def run(self, bundle: Bundle) -> SearchResult:
        """Search, and replace accepted models in the directory of ``bundle``.

        The manifest on disk is left to the caller.

        Raises:
            InputError: a corpus is missing, or there are too few examples.
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
            return RoleOutcome(role, reason="the model is too small to benefit"), entry
        request = self._request
        needs_data = request.compares(role) or request.calibrations is None
        given = request.datasets(role, bundle) if request.datasets and needs_data else None
        dev = self._dev(role, given)
        # Next to the bundle, so that accepted files are moved there by rename.
        beside = bundle.directory.parent
        with tempfile.TemporaryDirectory(dir=beside, prefix=".trial-") as scratch:
            trial = PrecisionTrial(bundle, role, dev, request, Path(scratch))
            ranges = self._calibration(bundle, role, given) if request.int8 else None
            candidates: list[Candidate] = []
            for target in request.targets:
                candidates += _candidates(trial, target, ranges, Path(scratch) / f"{target}.onnx")
            refused = any(c.target == "cpu" and not c.accepted for c in candidates)
            if refused and request.fine_tune and given:
                feeds = self._feeds(bundle, role, given)
                tuned = request.fine_tune(role, bundle, feeds, Path(scratch))
                trial.set_source(tuned.role(role).path())
                ranges = self._calibration(tuned, role, given)
                candidates.append(trial.int8("cpu", ranges, Path(scratch) / "cpu.onnx"))
            outcome = RoleOutcome(
                role,
                tuple(candidates),
                trial.measure(),
                len(dev or ()),
                ranges.facts() if ranges else {},
                trial.costs,
                preset_for(role).tensorrt if "tensorrt" in request.targets else "",
            )
            for target in request.targets:
                if accepted := outcome.accepted(target):
                    path = Path(scratch) / f"{target}.onnx"
                    entry = _placed(
                        entry, accepted, outcome, path, bundle.directory, request.instruction_set
                    )
        return outcome, entry

    def _feeds(self, bundle: Bundle, role: RoleName, given: Dataset) -> list[dict[str, Array]]:
        """Return the feeds of the role's model on training examples."""
        request, judged = self._request, ROLE_EVALUATORS[role]
        chosen = draw(role, given.train, request.samples, request.seed, judged.classifies)
        streams = recorded_feeds(judged, bundle, role, chosen.samples)
        return [fed for stream in streams for fed in stream]

    def _dev(self, role: RoleName, given: Dataset | None) -> list[Sample] | None:
        if given is None or not self._request.compares(role):
            return None
        if not given.dev:
            raise InputError(
                f"there are no dev examples for {role} to compare precisions on",
                "give --data whose split `valid` has some that can be read (pictures with a face, "
                "recordings with speech), or skip the gate: --no-gate",
            )
        return sample(given.dev, self._request.dev, self._request.seed)

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
            request.ranges,
            request.samples,
            request.seed,
            request.progress,
        )


def _candidates(
    trial: PrecisionTrial, target: Target, ranges: calibration.Calibration | None, path: Path
) -> list[Candidate]:
    """Try the precisions of a target, smallest first; ``path`` gets the last one."""
    if target == "tensorrt" and preset_for(trial.role).tensorrt:
        return []
    candidates: list[Candidate] = []
    if ranges is not None:
        candidates.append(trial.int8(target, ranges, path))
    if target == "tensorrt" and not (candidates and candidates[-1].accepted):
        candidates.append(trial.fp16(path))
    return candidates


def _placed(
    entry: RoleEntry,
    candidate: Candidate,
    outcome: RoleOutcome,
    path: Path,
    directory: Path,
    instruction_set: InstructionSet,
) -> RoleEntry:
    """Move an accepted model into the bundle and return its entry."""
    key = "model" if candidate.target == "cpu" else "tensorrt"
    name = entry.files["model"].path if key == "model" else f"{outcome.role}-tensorrt.onnx"
    # Rename, not overwrite: an engine may still have the old file mapped.
    path.replace(directory / name)
    facts: dict[str, Any] = {"gate": "passed" if candidate.comparison else "not checked"}
    if candidate.precision == "int8":
        facts |= {**outcome.calibration, "left": list(candidate.float_layers)}
        facts |= {"instruction_set": instruction_set} if key == "model" else {}
        facts |= {"fine_tuned": True} if candidate.fine_tuned else {}
    of = candidate.precision if key == "model" else f"tensorrt_{candidate.precision}"
    metrics = dict(entry.metrics)
    if candidate.comparison is not None:
        metrics[of] = quality_gate.as_facts(candidate.comparison, candidate.precision)
    return entry.model_copy(
        update={
            "precision" if key == "model" else "tensorrt": candidate.precision,
            "files": {**entry.files, key: FileEntry.of(directory / name)},
            "calibration": {**entry.calibration, of: facts},
            "metrics": metrics,
        }
    )


def _verdict(outcome: RoleOutcome) -> str:
    if not outcome.candidates:
        return f"FP32: {outcome.reason}" if outcome.reason else "FP32"
    verdicts = []
    for candidate in outcome.candidates:
        verdict = "accepted" if candidate.accepted else f"refused, {candidate.reasons[0]}"
        verdicts.append(f"{candidate.precision.upper()} for {candidate.target}: {verdict}")
    return "; ".join(verdicts)
