"""The recognizer learns from one's own recordings, beside the shipped one as a baseline."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from mera_edge.errors import InputError
from mera_edge.features.fbank import BINS
from mera_edge.metrics.word_error_rate import word_error_rate
from mera_train import checkpoint, disk, parallel
from mera_train.asr import corpora
from mera_train.asr import train as recognizer
from mera_train.asr.alignment import Alignment
from mera_train.asr.config import Config
from mera_train.asr.corpora import Utterance
from mera_train.asr.data import Frames, prepare
from mera_train.asr.networks import build
from mera_train.asr.task import Recognition
from mera_train.asr.units import Units
from mera_train.fingerprint import Digests
from mera_train.own import examples as own
from mera_train.own import layouts
from mera_train.own.command import CHECKPOINTS
from mera_train.own.config import OwnConfig, required
from mera_train.own.examples import Example
from mera_train.own.splits import divide
from mera_train.own.train import tell
from mera_train.provenance import begun, stated
from mera_train.run import device


def train(config: Config, data: Path, out: Path, resume: bool | Path) -> dict[str, Any]:
    """Train on ``config.own``; on test, the shipped one is asked the same by the same search.

    Writes a checkpoint to ``out``, and ``examples.csv``: which recording was in which split.

    Returns:
        The metrics on the valid recordings, and of both on the ``test`` and as ``shipped``.

    Raises:
        InputError: the recordings cannot be used, or ``out`` holds another run.
    """
    table = _table(required(config.own), out, bool(resume))
    recognizer.train(_with(config, table), data, out, resume)
    tested = [u for u in corpora.read(data, str(table)) if u.split == "test"]
    digests = Digests(out / "digests.json")
    frames = prepare(data, tested, (1.0,), out / "test", digests)
    loaded = checkpoint.load(out)
    metrics = {**loaded.metrics, "test": _understood(out, tested, frames)}
    if (CHECKPOINTS / "asr").is_dir():
        metrics["shipped"] = _understood(CHECKPOINTS / "asr", tested, frames)
    if parallel.state().is_main_process:
        disk.write(out / "metrics.json", json.dumps(metrics, indent=2, ensure_ascii=False) + "\n")
        disk.write(out / "card.md", _card(config, table, metrics))
    return metrics


def _table(given: OwnConfig, out: Path, resume: bool) -> Path:
    """Divide the recordings, and note it in ``examples.csv``."""
    rows = layouts.rows(given.source, ("file", "text"))
    found = [
        Example(
            row.columns.get("file", "").strip(),
            "",
            row.where,
            row.folder,
            layouts.split(row),
            row.columns.get("person", "").strip(),
        )
        for row in rows
    ]
    if len(found) < own.FEWEST:
        raise InputError(
            f"{given.source} has {len(found)} recordings", f"give at least {own.FEWEST}"
        )
    divided = divide(found, given.held_out, tell)
    told = [
        replace(e, label=row.columns.get("text", "")) for e, row in zip(divided, rows, strict=True)
    ]
    table, text = out / own.TABLE, own.written(told, "file", "text")
    if resume and table.is_file() and table.read_text(encoding="utf-8") != text:
        raise InputError(
            f"{out} was made with other recordings, splits or texts",
            "start over with --fresh, or choose another folder",
        )
    out.mkdir(parents=True, exist_ok=True)
    disk.write(table, text)
    return table


def _with(config: Config, table: Path) -> Config:
    """Return what the recognizer's training is told."""
    given = required(config.own)
    update: dict[str, Any] = {"corpora": (str(table),), "skip_bad": given.skip_bad}
    if given.init_checkpoint is not None:
        start = checkpoint.load(given.init_checkpoint).settings(Config)
        update |= {
            "init_checkpoint": given.init_checkpoint,
            "model": start.model,
            "chunk_sizes": start.chunk_sizes,
        }
    return config.model_copy(update=update)


def _understood(directory: Path, tested: Sequence[Utterance], frames: Frames) -> dict[str, Any]:
    """Return the error rates of a checkpoint by greedy search, in the device's chunks."""
    loaded = checkpoint.load(directory)
    config = loaded.settings(Config)
    units = Units(config.symbols)
    nothing = torch.zeros(BINS), torch.ones(BINS)
    model = loaded.fill(build(config.model, *nothing, len(units.symbols))).to(device())
    asked = [replace(u, split="dev") for u in tested if frames.count(u)]
    task = Recognition(config, model, units, frames, Alignment({}), asked, [])
    with torch.inference_mode():
        said, heard, _ = task.understood(model, device())
    return word_error_rate(said, heard)


def _card(config: Config, table: Path, metrics: dict[str, Any]) -> str:
    rows = layouts.rows(table, ("file", "text"))
    given = required(config.own)
    people = len({row.columns["person"] for row in rows if row.columns["person"]})
    counts = {s: sum(layouts.split(row) == s for row in rows) for s in ("train", "valid", "test")}
    figures = "".join(
        f"| {what} | {metrics[name]['wer']:.1%} | {metrics[name]['cer']:.1%} |\n"
        for name, what in (("test", "this one"), ("shipped", "the shipped one"))
        if name in metrics
    )
    return f"""\
# Streaming speech recognizer, from one's own recordings

{begun(given.init_checkpoint).capitalize()}.

* **Data**: `{given.source.name}`, {len(rows)} recordings of {people or "unnamed"} people:
  {", ".join(f"{n} {split}" for split, n in counts.items())}. Their licence is for whoever gave them
  to state.
* **Licence** of the weights: {stated(config.licence)}.
* **Choice**: the valid recordings chose the weights; the test recordings chose nothing.

On the {metrics["test"]["n"]} test recordings, greedy search in the device's chunks:

| recognizer | word error rate | character error rate |
| --- | --- | --- |
{figures}
**Know before use.** It knows speech like these recordings; other languages, accents and rooms it
does not.
"""
