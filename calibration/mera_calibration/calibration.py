"""The calibration of one role: found on training material, kept in a file that has none of it."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from mera_calibration.activation_ranges import ActivationRanges, Method, find
from mera_calibration.calibration_set import CalibrationSet, Example, draw
from mera_calibration.quality_gate import answers, evaluator, score
from mera_edge.bundle import Bundle, RoleName
from mera_edge.errors import InputError
from mera_edge.evaluation.role_evaluators import RoleEvaluator

SCHEMA = "mera-edge/calibration/1"

_AGAIN = "calibrate again: mera-edge calibrate"


@dataclass(frozen=True)
class Calibration:
    """Ranges, and what they were found on."""

    role: RoleName
    model: str
    """SHA-256 of the model in full precision: ranges fit no other."""
    ranges: ActivationRanges
    drawn: dict[str, Any]
    """The manifest of the calibration set."""

    def facts(self) -> dict[str, Any]:
        """Return how the ranges were found, for bundles and reports."""
        return {
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
    operators: Sequence[str],
    method: Method = "percentile",
    count: int = 256,
    seed: int = 0,
    progress: Callable[[str], None] = lambda message: None,
) -> Calibration:
    """Draw samples and find the ranges of a role's model on them.

    Args:
        bundle: in full precision.
        role: which role.
        examples: training material.
        operators: ONNX names of the operators that are to be quantized.
        method: how ranges are found.
        count: how many samples are wanted.
        seed: of the drawing.
        progress: told what is being done.

    Raises:
        InputError: no material, or none that the model was trained for; the message says why.
    """
    asked = evaluator(role)
    progress(f"{role}: drawing calibration samples")
    chosen = draw(role, examples, count, seed, classes=asked.classifies)
    _understood(asked, bundle, chosen)
    progress(f"{role}: finding ranges ({method}, {len(chosen.samples)} samples)")
    ranges = find(asked, bundle, chosen, method, operators)
    return Calibration(role, _model(bundle, role), ranges, chosen.manifest())


def load(directory: Path, role: RoleName, bundle: Bundle) -> Calibration:
    """Read the calibration of a role back.

    Raises:
        InputError: there is none, it cannot be read, or it was found for another model.
    """
    path = directory / f"{role}.json"
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise InputError(f"{path} cannot be read ({error})", _AGAIN) from error
    schema = facts.get("schema") if isinstance(facts, dict) else None
    if schema != SCHEMA:
        raise InputError(f"{path} has schema {schema!r}, {SCHEMA!r} is read", _AGAIN)
    if facts["model"] != _model(bundle, role):
        raise InputError(f"{path} was found for another {role} model than this one", _AGAIN)
    ranges = facts["ranges"]
    tensors = {name: (low, high) for name, (low, high) in ranges.pop("tensors").items()}
    return Calibration(role, facts["model"], ActivationRanges(tensors, **ranges), facts["drawn"])


def _model(bundle: Bundle, role: RoleName) -> str:
    return bundle.role(role).entry.files["model"].sha256


def _understood(asked: RoleEvaluator, bundle: Bundle, chosen: CalibrationSet) -> None:
    """Refuse material on which the full-precision model is no better than chance.

    That is random data, wrong labels, or features of another kind.
    """
    truth = [sample.example.label for sample in chosen.samples]
    found = score(asked, truth, answers(asked, bundle, chosen.samples), asked.labels(bundle))
    chance = 1 / len(set(truth)) if found.per_class else 0.0
    # Three standard deviations of pure luck.
    luck = 3 * (chance * (1 - chance) / len(truth)) ** 0.5
    if found.metric <= chance + luck:
        raise InputError(
            f"on the calibration samples for {chosen.role} its model is no better than chance "
            f"({asked.metric} {found.metric:.2f})",
            "this is not what it was trained on: check --data, and that the checkpoint is trained",
        )
