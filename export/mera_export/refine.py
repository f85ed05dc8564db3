"""Every role of a freshly exported bundle in smaller precisions, with progress and a report."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_args

from rich.console import Console

from mera_calibration import calibration, gate
from mera_calibration.ranges import METHODS, Method
from mera_calibration.samples import Sample, draw
from mera_edge.bundle import Bundle, RoleEntry, RoleName
from mera_edge.bundle.manifest import FileEntry
from mera_edge.errors import InputError
from mera_edge.evaluation.role_evaluators import ROLE_EVALUATORS
from mera_export import report
from mera_export.bundle import export_bundle
from mera_export.finetune import fine_tune
from mera_export.fused import Fused
from mera_export.material import Material, material
from mera_export.quantize import PRESETS, Target
from mera_export.trial import Attempt, Outcome, Trial, some

Materials = Callable[[RoleName, Path, Bundle], Material]


@dataclass(frozen=True)
class Options:
    """What to make smaller, how, and when to be content."""

    int8: bool = True
    targets: tuple[Target, ...] = ("cpu",)
    limits: gate.Limits = field(default_factory=gate.Limits)
    gate: bool = True
    """Whether anything is compared at all."""
    ranges: Method = "percentile"
    samples: int = 256
    dev: int = 1500
    """Most dev examples that the gate hears."""
    seed: int = 0
    fine_tune: int = 0
    """Steps to train a role on with that is refused in INT8; 0: it stays in full precision."""

    def check(self) -> None:
        """Refuse what makes no sense.

        Raises:
            InputError: names the option.
        """
        for given, known, name in (
            (self.targets, get_args(Target), "--target"),
            ((self.ranges,), METHODS, "--ranges"),
            ((self.limits.prefer,), get_args(gate.Prefer), "--prefer"),
        ):
            for value in given:
                if value not in known:
                    raise InputError(f"{name} {value!r} is unknown", f"give {' or '.join(known)}")
        if self.samples < 1 or self.dev < 1:
            raise InputError("at least one sample is needed", "give --samples a positive number")


class Refinement:
    """What `export_bundle` calls to make models smaller; keeps what came of it.

    Args:
        options: what, how, and when to be content.
        data: the folder of the corpora; not needed without a gate if there is a calibration.
        calibrations: a folder that `mera-edge calibrate` wrote; ``None`` to calibrate here.
        console: where progress goes.
        materials: where examples come from.
        checkpoints: of the bundle, for fine-tuning.

    Raises:
        InputError: an option makes no sense, or there is nothing to calibrate or compare with.
    """

    def __init__(
        self,
        options: Options,
        data: Path | None,
        calibrations: Path | None,
        console: Console,
        materials: Materials = material,
        checkpoints: Path = Path("train/checkpoints"),
    ) -> None:
        options.check()
        if data is not None and not data.is_dir():
            raise InputError(f"{data} is no directory", "give the directory with the corpora")
        if data is None and options.gate:
            raise InputError(
                "there is no material to compare with full precision",
                "give the directory with the corpora as --data, or go without: --no-gate",
            )
        if options.fine_tune and (data is None or calibrations is not None):
            raise InputError(
                "a network that is trained on needs ranges of its own",
                "give --data, and no --calibration",
            )
        if data is None and options.int8 and calibrations is None:
            raise InputError(
                "INT8 needs ranges, and there is no material to find them on",
                "give --data, or the directory that `mera-edge calibrate` wrote: --calibration",
            )
        self.options, self.data, self.calibrations = options, data, calibrations
        self.console, self.materials, self.checkpoints = console, materials, checkpoints
        self.outcomes: list[Outcome] = []
        self.fused: Fused | None = None

    def __call__(self, bundle: Bundle) -> Mapping[RoleName, RoleEntry]:
        """Try every role of the bundle; return the entries of those that changed."""
        entries: dict[RoleName, RoleEntry] = {}
        with self.console.status("comparing precisions") as status:
            fused = None
            if self.options.gate and self.data is not None and Fused.possible(bundle):
                fused = Fused(self.data, status.update)
                fused.ask("fp32", bundle)
            for role in bundle.manifest.roles:
                outcome, entries[role] = self._role(bundle, role, status.update)
                self.outcomes.append(outcome)
                self.console.print(f"{role} … {_verdict(outcome)}", style="dim")
            if fused is not None and self.options.int8:
                now = bundle.manifest.model_copy(update={"roles": entries})
                fused.ask("int8", Bundle(bundle.directory, now))
            self.fused = fused
        return entries

    def refused(self, roles: Sequence[str]) -> list[str]:
        """Return why the bundle is not what was demanded; nothing when it is.

        Args:
            roles: those that were asked for by name: they must be INT8.
        """
        reasons = []
        if self.options.int8:
            reasons = [
                f"no INT8 for {outcome.role} on {target}"
                for outcome in self.outcomes
                for target in self.options.targets
                if outcome.role in roles
                and ((taken := outcome.taken(target)) is None or taken.precision != "int8")
            ]
        if self.fused is not None and self.fused.drop > self.options.limits.max_drop:
            reasons.append(f"the fused answer loses {self.fused.drop:.2f} points")
        return reasons

    def publish(self, directory: Path | None) -> None:
        """Print the comparison, and write it to ``directory`` if there is one."""
        result = report.Report(self.options.limits, tuple(self.outcomes), self.fused)
        Console().print(result.terminal())
        if directory is not None:
            result.save(directory)

    def _role(
        self, bundle: Bundle, role: RoleName, progress: Callable[[str], None]
    ) -> tuple[Outcome, RoleEntry]:
        entry = bundle.role(role).entry
        if role not in ROLE_EVALUATORS:
            return Outcome(role, why="it is so small that nothing would be saved"), entry
        given = None if self.data is None else self.materials(role, self.data, bundle)
        dev = self._dev(role, given)
        options = self.options
        # Beside the bundle: what is accepted gets there by rename.
        beside = bundle.directory.parent
        with tempfile.TemporaryDirectory(dir=beside, prefix=".trial-") as scratch:
            trial = Trial(bundle, role, dev, options.limits, Path(scratch), progress)
            ranges = self._calibration(bundle, role, given, progress) if options.int8 else None
            attempts: list[Attempt] = []
            for target in options.targets:
                attempts += _attempts(trial, target, ranges, Path(scratch) / f"{target}.onnx")
            spoilt = any(a.target == "cpu" and not a.accepted for a in attempts)
            if spoilt and options.fine_tune and given:
                tuned = self._tuned(bundle, role, given, Path(scratch), progress)
                trial.instead(tuned.role(role).path())
                ranges = self._calibration(tuned, role, given, progress)
                attempts.append(trial.int8("cpu", ranges, Path(scratch) / "cpu.onnx"))
            outcome = Outcome(
                role,
                tuple(attempts),
                trial.measure(),
                len(dev or ()),
                ranges.facts() if ranges else {},
                trial.costs,
                PRESETS[role].tensorrt if "tensorrt" in options.targets else "",
            )
            for target in options.targets:
                if taken := outcome.taken(target):
                    path = Path(scratch) / f"{target}.onnx"
                    entry = _placed(entry, taken, outcome, path, bundle.directory)
        return outcome, entry

    def _tuned(
        self,
        bundle: Bundle,
        role: RoleName,
        given: Material,
        scratch: Path,
        progress: Callable[[str], None],
    ) -> Bundle:
        """Return a bundle whose model of ``role`` has learnt to bear eight bits."""
        options, classes = self.options, ROLE_EVALUATORS[role].classifies
        chosen = draw(role, given.train, options.samples, options.seed, classes)
        tuned = scratch / "tuned" / role
        source = self.checkpoints / role
        fine_tune(source, role, bundle, chosen.samples, tuned, options.fine_tune, progress=progress)
        return export_bundle(tuned.parent, scratch / "exported", [role])

    def _dev(self, role: RoleName, given: Material | None) -> list[Sample] | None:
        if given is None or not self.options.gate:
            return None
        if not given.dev:
            raise InputError(
                f"{self.data} has no dev material for {role}, so precisions cannot be compared",
                "give the corpora that the model was trained on, or go without: --no-gate",
            )
        return some(given.dev, self.options.dev, self.options.seed)

    def _calibration(
        self,
        bundle: Bundle,
        role: RoleName,
        given: Material | None,
        progress: Callable[[str], None],
    ) -> calibration.Calibration:
        if self.calibrations is not None:
            return calibration.load(self.calibrations, role, bundle)
        options, examples = self.options, given.train if given else ()
        return calibration.calibrate(
            bundle,
            role,
            examples,
            PRESETS[role].operators,
            options.ranges,
            options.samples,
            options.seed,
            progress,
        )


def _attempts(
    trial: Trial, target: Target, ranges: calibration.Calibration | None, path: Path
) -> list[Attempt]:
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
    entry: RoleEntry, taken: Attempt, outcome: Outcome, path: Path, directory: Path
) -> RoleEntry:
    """Move an accepted model into the bundle and describe it."""
    key = "model" if taken.target == "cpu" else "tensorrt"
    name = entry.files["model"].path if taken.target == "cpu" else f"{outcome.role}-tensorrt.onnx"
    # A new file in place of the old: an engine that still has the old one mapped keeps it.
    path.replace(directory / name)
    facts: dict[str, Any] = {"gate": "passed" if taken.comparison else "not checked"}
    if taken.precision == "int8":
        facts |= {**outcome.calibration, "left": list(taken.left)}
        facts |= {"fine_tuned": True} if taken.fine_tuned else {}
    of = taken.precision if key == "model" else f"tensorrt_{taken.precision}"
    metrics = dict(entry.metrics)
    if taken.comparison is not None:
        metrics[of] = gate.as_facts(taken.comparison, taken.precision)
    return entry.model_copy(
        update={
            "precision" if key == "model" else "tensorrt": taken.precision,
            "files": {**entry.files, key: FileEntry.of(directory / name)},
            "calibration": {**entry.calibration, of: facts},
            "metrics": metrics,
        }
    )


def _verdict(outcome: Outcome) -> str:
    if not outcome.attempts:
        return f"FP32: {outcome.why}" if outcome.why else "FP32"
    words = []
    for attempt in outcome.attempts:
        told = "taken" if attempt.accepted else f"refused, {attempt.reasons[0]}"
        words.append(f"{attempt.precision.upper()} for {attempt.target}: {told}")
    return "; ".join(words)
