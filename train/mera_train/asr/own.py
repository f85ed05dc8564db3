"""Training of the recognizer on the user's own recordings, with the shipped one as baseline."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from mera_edge import table
from mera_edge.bundle import Bundle
from mera_edge.errors import InputError
from mera_edge.features.fbank import BINS, log_mel
from mera_edge.metrics.word_error_rate import distance, tokens
from mera_edge.stages.vad import VoiceActivity
from mera_train import audio, checkpoint, disk, parallel
from mera_train.asr import corpora
from mera_train.asr import train as recognizer
from mera_train.asr.alignment import Alignment
from mera_train.asr.config import Config
from mera_train.asr.corpora import Utterance
from mera_train.asr.data import Frames, prepare
from mera_train.asr.networks import build
from mera_train.asr.task import Heard, RecognitionTask, rates
from mera_train.asr.units import Units
from mera_train.fingerprint import Digests
from mera_train.own import examples as own
from mera_train.own import layouts
from mera_train.own.card import command, drawn, figure_rows, kept, shown
from mera_train.own.command import CHECKPOINTS
from mera_train.own.comparison import Comparison, by_errors
from mera_train.own.config import OwnConfig, required
from mera_train.own.examples import Example
from mera_train.own.splits import divide
from mera_train.own.train import readable, tell
from mera_train.provenance import licence_text, origin_text
from mera_train.run import device

WEIGHTS = "model.safetensors"


def train(config: Config, data: Path, out: Path, resume: bool | Path) -> dict[str, Any]:
    """Train on ``config.own``; the shipped recognizer is tested too, with the same search.

    Writes a checkpoint to ``out``, and ``examples.csv`` with the split of every recording.

    Returns:
        Metrics on the valid recordings, and on test of both: ``test`` and ``shipped``.

    Raises:
        InputError: the recordings are unusable, or ``out`` holds another run.
    """
    path = _table(required(config.own), out, bool(resume))
    recognizer.train(_with(config, path), data, out, resume)
    asked = {u: u.split for u in corpora.read(data, str(path)) if u.split != "train"}
    digests = Digests(out / "digests.json")
    frames = prepare(data, list(asked), (1.0,), out / "test", digests)
    valid, tested = ([u for u in asked if asked[u] == split] for split in ("dev", "test"))
    loaded = checkpoint.load(out)
    metrics = {**loaded.metrics, "test": rates(_understood(out, tested, frames))}
    start, given = _with(config, path).init_checkpoint, required(config.own)
    if start is not None and not given.keep_learnt:
        found = _compared(out, start, valid, frames)
        tell(found.advice())
        metrics["comparison"] = found.as_metrics()
        if not found.kept:
            metrics["learnt"] = metrics["test"]
            metrics["test"] = rates(_understood(start, tested, frames))
            if parallel.state().is_main_process:
                # Network and units are those of the initial checkpoint; only weights change.
                disk.write(out / WEIGHTS, (start / WEIGHTS).read_bytes())
    if (CHECKPOINTS / "asr").is_dir():
        metrics["shipped"] = rates(_understood(CHECKPOINTS / "asr", tested, frames))
    if parallel.state().is_main_process:
        disk.write(out / "metrics.json", json.dumps(metrics, indent=2, ensure_ascii=False) + "\n")
        disk.write(out / "card.md", _card(config, path, metrics))
    return metrics


def recordings(path: Path, faults: list[InputError]) -> list[Example]:
    """Read recordings, labelled with their transcripts.

    Args:
        path: see `mera_train.own.layouts.rows`. Columns: ``file``, ``text``, optional ``split`` and
            ``person``.
        faults: receives the errors of unusable rows.

    Raises:
        InputError: a column is missing, or a split is unknown.
    """
    found = []
    for row in layouts.rows(path, ("file", "text")):
        file, text, person = (
            row.columns.get(name, "").strip() for name in ("file", "text", "person")
        )
        example = Example(file, text, row.where, row.folder, layouts.split(row), person)
        if not file or not text:
            faults.append(
                InputError(f"{row.where}: {'text' if file else 'file'} is empty", "fill it in")
            )
        elif not table.is_file(example.path):
            faults.append(
                InputError(f"{row.where}: {example.path} does not exist", "correct the path")
            )
        else:
            found.append(example)
    return found


def _table(given: OwnConfig, out: Path, resume: bool) -> Path:
    """Split the recordings and write ``examples.csv``."""
    faults: list[InputError] = []
    silent: list[Example] = []
    activity = VoiceActivity(Bundle.open())

    def listen(example: Example) -> None:
        if activity.span(log_mel(audio.read(example.folder, example.given))) is None:
            silent.append(example)

    found = readable(given, recordings(given.source, faults), listen, faults)
    if silent:
        what = f"no speech was detected in {len(silent)} of {len(found)} recordings; the first: "
        what, remedy = f"{what}{silent[0].where}", "listen, and leave out those without words"
        if len(silent) == len(found):
            raise InputError(what, remedy)
        tell(f"{what}: {remedy}")
    if len(found) < own.FEWEST:
        raise InputError(
            f"{given.source} has only {len(found)} usable recordings",
            f"give at least {own.FEWEST}",
        )
    # Transcripts are not classes to be balanced by the split.
    divided = divide([replace(e, label="") for e in found], given.held_out, tell)
    told = [replace(e, split=d.split) for e, d in zip(found, divided, strict=True)]
    path, text = out / own.TABLE, own.written(told, "file", "text")
    if resume and path.is_file() and path.read_text(encoding="utf-8") != text:
        raise InputError(
            f"{out} was made with different recordings, splits or texts",
            "start over with --fresh, or choose another folder",
        )
    out.mkdir(parents=True, exist_ok=True)
    disk.write(path, text)
    return path


def _with(config: Config, path: Path) -> Config:
    """Return the configuration of the recognizer's training."""
    given = required(config.own)
    update: dict[str, Any] = {"corpora": (str(path),)}
    if given.init_checkpoint is not None:
        start = checkpoint.load(given.init_checkpoint).settings(Config)
        update |= {
            "init_checkpoint": given.init_checkpoint,
            "model": start.model,
            "chunk_sizes": start.chunk_sizes,
        }
    return config.model_copy(update=update)


def _understood(directory: Path, asked: Sequence[Utterance], frames: Frames) -> Heard:
    """Return the greedy transcripts of a checkpoint, with the device's chunks."""
    loaded = checkpoint.load(directory)
    config = loaded.settings(Config)
    units = Units(config.symbols)
    nothing = torch.zeros(BINS), torch.ones(BINS)
    model = loaded.fill(build(config.model, *nothing, len(units.symbols))).to(device())
    heard: Heard = {}
    # One at a time, because batches change the order.
    for utterance in asked:
        if frames.count(utterance):
            alone = [replace(utterance, split="dev")]
            task = RecognitionTask(config, model, units, frames, Alignment({}), alone, [])
            with torch.inference_mode():
                heard[utterance] = task.decode_dev(model, device())[0][alone[0]]
    return heard


def _compared(out: Path, start: Path, valid: Sequence[Utterance], frames: Frames) -> Comparison:
    """Compare with the initial checkpoint on the valid recordings."""

    def errors(directory: Path) -> tuple[float, list[int]]:
        heard = _understood(directory, valid, frames)
        each = [distance(tokens(u.text), tokens(said)) for u, said in heard.items()]
        return rates(heard)["wer"], each

    people = len({u.speaker for u in valid if u.speaker})
    return by_errors("word error rate", "recordings", errors(out), errors(start), people)


def _card(config: Config, path: Path, metrics: dict[str, Any]) -> str:
    rows = layouts.rows(path, ("file", "text"))
    given = required(config.own)
    people = len({row.columns["person"] for row in rows if row.columns["person"]})
    counts = {s: sum(layouts.split(row) == s for row in rows) for s in ("train", "valid", "test")}
    verdict = kept(metrics)
    figures = figure_rows(metrics, lambda m: [shown(m, name) for name in ("wer", "cer")])
    return f"""\
# Streaming speech recognizer, from one's own recordings

{origin_text(given.init_checkpoint).capitalize()}.

* **Data**: `{given.source.name}`, {len(rows)} recordings of {people or "unnamed"} people:
  {", ".join(f"{n} {split}" for split, n in counts.items())}. Their licence is for whoever gave them
  to state.
* **Licence** of the weights: {licence_text(config.licence)}.
* **Choice**: the valid recordings chose the weights; the test recordings chose nothing.{verdict}

On the {metrics["test"]["n"]} test recordings, greedy search in the device's chunks (95 % intervals,
which {drawn(metrics["test"])}):

| recognizer | word error rate | character error rate |
| --- | --- | --- |
{figures}
{command("asr", given)}

**Know before use.** It knows speech like these recordings; other languages, accents and rooms it
does not.
"""
