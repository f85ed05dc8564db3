"""Training of the speech detector on the user's own recordings of speech and noise."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from mera_edge.errors import InputError
from mera_train import audio, checkpoint, disk, fingerprint, parallel, state
from mera_train.loop import fit
from mera_train.own import examples as own
from mera_train.own.card import command, figure_rows, kept, shown
from mera_train.own.command import CHECKPOINTS
from mera_train.own.comparison import by_errors
from mera_train.own.config import required
from mera_train.own.examples import Example
from mera_train.own.train import tell, usable
from mera_train.provenance import licence_text, origin_text
from mera_train.vad import sounds, teacher
from mera_train.vad.data import MADE, Material, Recording, contents, prepare
from mera_train.vad.model import Detector
from mera_train.vad.scenes import Scenes
from mera_train.vad.train import Config, SpeechDetectionTask, asked

SPEECH, NOISE = LABELS = ("speech", "noise")

SHORTEST = 4_800
"""Minimum length in samples (0.3 s)."""


def train(config: Config, data: Path, out: Path, resume: bool | Path) -> dict[str, Any]:
    """Train on ``config.own``: recordings labelled ``speech`` or ``noise``, in composed scenes.

    The teacher labels the frames of speech recordings, as for the shipped detector.

    Returns:
        Metrics on scenes of the valid recordings, and on the test recordings for the new (``test``)
        and the shipped detector (``shipped``).

    Raises:
        InputError: the recordings are unusable, or ``out`` holds another run.
    """
    given = required(config.own)
    examples = usable(given, "file", LABELS, _read)
    for split in ("train", "valid", "test"):
        if {e.label for e in examples if e.split == split} != set(LABELS):
            raise InputError(
                f"{given.source}: {split} lacks speech or noise",
                "give more people and more noises, or name the splits in a column `split`",
            )
    parts = {
        split: [_recording(e) for e in examples if e.split == split]
        + _made(config.synthetic_noises_per_kind, split)
        for split in ("train", "valid", "test")
    }
    every = [recording for part in parts.values() for recording in part]
    model = config.teacher or teacher.silero()
    digests = fingerprint.Digests(out / "digests.json")
    told: dict[str, str | Path] = {
        "the examples": own.digest(examples, "file", digests),
        "teacher": model,
    }
    made = fingerprint.of(config, told, digests)
    used = contents(Path(), every, digests)
    digests.save()
    state.claim(out, made, resume)
    material = prepare(Path(), every, model, out / "frames", used)
    torch.manual_seed(config.loop.seed)
    start = checkpoint.load(given.init_checkpoint) if given.init_checkpoint else None
    detector = (
        start.fill(Detector(start.settings(Config).model)) if start else Detector(config.model)
    )
    train_scenes, valid, test = (_scenes(material, part, config) for part in parts.values())
    learning = SpeechDetectionTask(config, detector, train_scenes, valid)
    metrics: dict[str, Any] = {"dev": fit(learning, config.loop, out, made, resume)}
    device = next(detector.parameters()).device
    tested = SpeechDetectionTask(config, detector, train_scenes, test)
    if start is not None and not given.keep_learnt:
        origin_text = start.fill(Detector(detector.config)).to(device)
        people = len({e.person for e in examples if e.person and e.split == "valid"})
        found = by_errors(
            "frames that are mistaken",
            "scenes",
            _mistaken(learning, detector),
            _mistaken(learning, origin_text),
            people,
        )
        tell(found.advice())
        metrics["comparison"] = found.as_metrics()
        if not found.kept:
            metrics["learnt"] = asked(tested, detector)
            detector = origin_text
    metrics["test"] = asked(tested, detector)
    if (CHECKPOINTS / "vad").is_dir():
        shipped = checkpoint.load(CHECKPOINTS / "vad")
        baseline = shipped.fill(Detector(shipped.settings(Config).model)).to(device)
        metrics["shipped"] = asked(tested, baseline)
    final = config.model_copy(update={"model": detector.config})
    checkpoint.save(out, detector, final, metrics, _card(config, examples, metrics))
    if parallel.state().is_main_process:
        disk.write(out / own.TABLE, own.written(examples, "file"))
    return metrics


def _mistaken(task: SpeechDetectionTask, model: Detector) -> tuple[float, list[float]]:
    """Return the frame error rate over all dev scenes, and per scene."""
    with torch.inference_mode():
        logits, targets = task.heard(model.eval(), next(model.parameters()).device)
    wrong = ((logits > 0) != (targets > 0.5)).float().mean(1)
    return float(wrong.mean()), wrong.tolist()


def _read(example: Example) -> None:
    if len(audio.read(example.folder, example.given)) < SHORTEST:
        raise InputError(f"{example.path} is shorter than 0.3 s", "leave it out")


def _recording(e: Example) -> Recording:
    folder = str(e.folder.absolute())
    speaker = "" if e.label == NOISE else e.person or "somebody"
    return Recording(folder, e.given, speaker, e.split == "valid")


def _made(count: int, split: str) -> list[Recording]:
    """Return a part of the synthetic sounds (alarms and hum occur everywhere)."""
    part = {"valid": 0, "test": 1}
    return [
        Recording(MADE, f"{kind}/{number}", "", split == "valid")
        for kind in sounds.KINDS
        for number in range(count)
        if part.get(split, 2) == min(number % 8, 2)
    ]


def _scenes(material: Material, part: Sequence[Recording], config: Config) -> Scenes:
    speech = [r for r in part if r.speaker]
    return Scenes(material, speech, [r for r in part if not r.speaker], config.scenes)


def _card(config: Config, examples: Sequence[Example], metrics: dict[str, Any]) -> str:
    given = required(config.own)
    counts = ", ".join(f"{sum(e.label == label for e in examples)} of {label}" for label in LABELS)
    verdict = kept(metrics)
    figures = figure_rows(
        metrics, lambda m: [shown(m, name) for name in ("recall", "false_alarms")]
    )
    return f"""\
# Speech or not, from one's own recordings

{origin_text(given.init_checkpoint).capitalize()}. Teacher: Silero VAD (MIT), on clean speech.

* **Data**: `{given.source.name}`, {counts}, and made sounds. Their licence is for whoever gave
  them to state.
* **Licence** of the weights: {licence_text(config.licence)}.
* **Choice**: the valid recordings chose the weights; the test recordings chose nothing.{verdict}

On {metrics["test"]["n"]} composed scenes of the test recordings (95 % intervals over scenes, which
share recordings, so they are rather too narrow):

| detector | speech that is heard | noise that is taken for speech |
| --- | --- | --- |
{figures}
{command("vad", given)}
"""
