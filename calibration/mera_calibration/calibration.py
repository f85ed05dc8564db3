"""The calibration of one role, and its file, which contains no training data."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from mera_calibration.activation_ranges import ActivationRanges, Method, measure_ranges
from mera_calibration.calibration_set import CalibrationSet, Example, draw
from mera_calibration.qdq import preset_for
from mera_calibration.quality_gate import evaluator, predictions, score
from mera_edge.bundle import Bundle, RoleName
from mera_edge.errors import InputError
from mera_edge.evaluation.role_evaluators import RoleEvaluator

SCHEMA = "mera-edge/calibration/1"

_AGAIN = "run `mera-edge calibrate` again"


@dataclass(frozen=True)
class Calibration:
    """Activation ranges and the calibration set they were measured on."""

    role: RoleName
    model: str
    """SHA-256 of the full-precision model that the ranges belong to."""
    ranges: ActivationRanges
    drawn: dict[str, Any]
    """The manifest of the calibration set."""

    def facts(self) -> dict[str, Any]:
        """Return how the ranges were measured, for bundles and reports."""
        return {
            "model": self.model,
            "ranges": self.ranges.method,
            "samples": self.ranges.samples,
            "steps": self.ranges.steps,
            "seed": self.drawn["seed"],
            "sha256": self.drawn["sha256"],
        }

    def save(self, directory: Path) -> Path:
        """Write ``ROLE.json``; the same calibration gives the same bytes."""
        path = directory / f"{self.role}.json"
        directory.mkdir(parents=True, exist_ok=True)
        text = json.dumps({"schema": SCHEMA, **asdict(self)}, indent=1, ensure_ascii=False)
        path.write_text(text + "\n", encoding="utf-8")
        return path


def calibrate(
    bundle: Bundle,
    role: RoleName,
    examples: Sequence[Example],
    method: Method = "percentile",
    count: int = 256,
    seed: int = 0,
    progress: Callable[[str], None] = lambda message: None,
) -> Calibration:
    """Draw a calibration set and measure the activation ranges of a role's model.

    Args:
        bundle: in full precision.
        role: the role to calibrate.
        examples: training examples.
        method: calibration method.
        count: number of samples.
        seed: random seed of the calibration set.
        progress: receives progress messages.

    Raises:
        InputError: no usable examples, or the model is no better than chance on them.
    """
    judged = evaluator(role)
    progress(f"{role}: drawing the calibration set")
    chosen = draw(role, examples, count, seed, classes=judged.classifies)
    _require_better_than_chance(judged, bundle, chosen)
    progress(f"{role}: measuring activation ranges ({method}, {len(chosen.samples)} samples)")
    ranges = measure_ranges(judged, bundle, chosen, method, preset_for(role).operators)
    return Calibration(role, _model(bundle, role), ranges, chosen.manifest())


def load(directory: Path, role: RoleName, bundle: Bundle) -> Calibration:
    """Read the calibration of a role.

    Raises:
        InputError: the file is missing or invalid, or belongs to another model.
    """
    path = directory / f"{role}.json"
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise InputError(f"{path} cannot be read ({error})", _AGAIN) from error
    schema = facts.get("schema") if isinstance(facts, dict) else None
    if schema != SCHEMA:
        raise InputError(f"{path} has schema {schema!r}; {SCHEMA!r} is supported", _AGAIN)
    if facts["model"] != _model(bundle, role):
        raise InputError(f"{path} was measured on another {role} model", _AGAIN)
    ranges = facts["ranges"]
    tensors = {name: (low, high) for name, (low, high) in ranges.pop("tensors").items()}
    return Calibration(role, facts["model"], ActivationRanges(tensors, **ranges), facts["drawn"])


def _model(bundle: Bundle, role: RoleName) -> str:
    return bundle.role(role).entry.files["model"].sha256


def _require_better_than_chance(
    judged: RoleEvaluator, bundle: Bundle, chosen: CalibrationSet
) -> None:
    """Refuse examples on which the full-precision model is no better than chance.

    Such examples are random data, or have wrong labels or other features.
    """
    truth = [sample.example.label for sample in chosen.samples]
    found = score(judged, truth, predictions(judged, bundle, chosen.samples), judged.labels(bundle))
    chance = 1 / len(set(truth)) if found.per_class else 0.0
    # Three standard deviations of guessing.
    margin = 3 * (chance * (1 - chance) / len(truth)) ** 0.5
    if found.metric <= chance + margin:
        raise InputError(
            f"the {chosen.role} model is no better than chance on its calibration set "
            f"({judged.metric} {found.metric:.2f})",
            "check that --data holds the training corpora and that the checkpoint is trained",
        )
