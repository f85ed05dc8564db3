"""Acted emotion corpora, their splits by speaker, and their log-mel frames, computed once."""

from __future__ import annotations

import csv
import io
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mera_edge.errors import InputError
from mera_edge.features.fbank import SAMPLE_RATE, SPEC, log_mel
from mera_edge.labels import EMOTIONS, to_emotion
from mera_edge.stages.vad import VoiceActivity
from mera_train import frames, workers
from mera_train.audio import read
from mera_train.fingerprint import Digests, Made, combined
from mera_train.voice.rooms import echo

LABELS = (*EMOTIONS, "calm")
"""RAVDESS's eight. Elsewhere *neutral* means neutral or calm."""

RAVDESS = "ravdess_speech"
DEV_SPEAKERS = {RAVDESS: ("21", "22"), "nemo": ("MP0",), "crema_d": ("1001", "1002")}
"""Of the shipped model: they choose its weights and its temperature."""
TEST_SPEAKERS = {RAVDESS: ("23", "24")}
"""Of the shipped model: never heard in training. The fusion composes its examples from dev and
test speakers, because on these alone the encoder is as unsure as on strangers."""

PIECE = SAMPLE_RATE // 10

NOISE, NOISE_FOLDS = "urbansound_noise", ("1", "2")

WHERE = {
    "nemo": "clone https://github.com/amu-cai/nEMO (CC BY-NC-SA 4.0) to {path}",
    "crema_d": "rebuild it: see mera_train/voice/crema.py",
}


@dataclass(frozen=True, slots=True)
class Utterance:
    """One recording: where it is, what was acted, by whom."""

    corpus: str
    file: str
    label: str
    speaker: str


def speech(data: Path, corpus: str) -> list[Utterance]:
    """Read which recordings a corpus has.

    Raises:
        InputError: the corpus is not in ``data``; the message says where it can be had.
    """
    if corpus == "nemo":
        return [
            Utterance(
                corpus,
                f"samples/{row['file_id']}",
                to_emotion(row["emotion"]),
                row["speaker_id"].strip(),
            )
            for row in _rows(data, corpus, "data.tsv")
        ]
    return [
        Utterance(
            corpus,
            row["file"],
            row["emotion"] if row["emotion"] == "calm" else to_emotion(row["emotion"]),
            row.get("actor") or row["speaker"],
        )
        for row in _rows(data, corpus, "manifest.csv")
    ]


def noises(data: Path) -> list[Utterance]:
    """The street and machine noises that training may use (folds 1 and 2)."""
    return [
        Utterance(NOISE, row["file"], "", row["fold"])
        for row in _rows(data, NOISE, "manifest.csv")
        if row["fold"] in NOISE_FOLDS
    ]


def fold(number: int) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the RAVDESS actors for dev and for test of one of six folds (1 to 6).

    Dev is a man and a woman of the next fold.
    """
    test = tuple(f"{actor:02d}" for actor in range(4 * number - 3, 4 * number + 1))
    first = 4 * (number % 6) + 1
    return (f"{first:02d}", f"{first + 1:02d}"), test


def location(data: Path, corpus: str) -> Path:
    """Where a corpus lies: a folder, or a zip of it.

    Raises:
        InputError: neither is there.
    """
    for path in (data / corpus, data / f"{corpus}.zip"):
        if path.exists():
            return path
    remedy = WHERE.get(corpus, "give the folder of the corpora with --data")
    raise InputError(f"the corpus {corpus} is not in {data}", remedy.format(path=data / corpus))


def _rows(data: Path, corpus: str, manifest: str) -> list[dict[str, str]]:
    path = location(data, corpus)
    if path.suffix == ".zip":
        with zipfile.ZipFile(path) as archive:
            text = archive.read(manifest).decode("utf-8")
    else:
        text = (path / manifest).read_text(encoding="utf-8")
    delimiter = "\t" if manifest.endswith(".tsv") else ","
    return list(csv.DictReader(io.StringIO(text), delimiter=delimiter))


def content(data: Path, utterance: Utterance, digests: Digests) -> str:
    """Return a digest of what a recording is read from: its archive, or its file."""
    where = location(data, utterance.corpus)
    return digests.of(where if where.suffix == ".zip" else where / utterance.file)


def contents(data: Path, utterances: Sequence[Utterance], digests: Digests) -> Made:
    """Return by corpus a digest of all that is used of it: sounds, labels, speakers."""
    found: dict[str, list[object]] = {}
    for utterance in utterances:
        facts = (utterance.file, utterance.label, utterance.speaker)
        found.setdefault(utterance.corpus, []).append([*facts, content(data, utterance, digests)])
    return {corpus: combined(rows) for corpus, rows in found.items()}


@dataclass(frozen=True, slots=True)
class Span:
    """The frames of a copy of a recording: all of them, and from where to where it speaks."""

    start: int
    end: int
    first: int
    last: int


class Frames:
    """The log-mel frames of many recordings, each in several copies, in one mapped file."""

    def __init__(self, path: Path) -> None:
        self._frames, rows = frames.read(path)
        self._spans = {
            (row["corpus"], row["file"], row["copy"]): Span(
                row["start"], row["end"], row["first"], row["last"]
            )
            for row in rows
        }

    def whole(self, utterance: Utterance, copy: int = 0) -> NDArray[np.float32]:
        """Return all frames ``[n, 80]``."""
        span = self._spans[utterance.corpus, utterance.file, copy]
        return np.asarray(self._frames[span.start : span.end], np.float32)

    def spoken(self, utterance: Utterance, copy: int = 0, margin: int = 0) -> NDArray[np.float32]:
        """Return the frames from ``margin`` before the first word to the last, ``[n, 80]``."""
        span = self._spans[utterance.corpus, utterance.file, copy]
        start = max(span.start, span.start + span.first - margin)
        return np.asarray(self._frames[start : span.start + span.last], np.float32)


Copy = tuple[float, bool]
"""How fast, and whether in a room."""


def prepare(
    data: Path,
    utterances: Sequence[Utterance],
    copies: Callable[[Utterance], Sequence[Copy]],
    path: Path,
    digests: Digests,
) -> Frames:
    """Compute the frames of every copy of ``utterances`` into ``path`` (.npy, .jsonl), once."""
    jobs = [(u, i, c) for u in utterances for i, c in enumerate(copies(u))]
    made = combined([SPEC, *((asdict(u), i, c, content(data, u, digests)) for u, i, c in jobs)])
    # Here, so that the workers, which have no use for torch, need not load it.
    from mera_train import parallel

    with parallel.first():
        if not frames.written(path, made):
            _write(data, jobs, path, made)
    return Frames(path)


def _write(data: Path, jobs: Sequence[tuple[Utterance, int, Copy]], path: Path, made: str) -> None:
    with workers.pool() as pool:
        found = pool.map(partial(_frames, data), jobs, chunksize=32)
        frames.write(
            path,
            made,
            (
                ({**asdict(utterance), "copy": index, "first": first, "last": last}, part)
                for (utterance, index, _), (part, first, last) in zip(jobs, found, strict=True)
            ),
        )


def _frames(data: Path, job: tuple[Utterance, int, Copy]) -> tuple[NDArray[np.float16], int, int]:
    utterance, index, (speed, room) = job
    samples = read(location(data, utterance.corpus), utterance.file, speed)
    first, last = spoken(samples)
    if room:
        # Seeded by the recording: the same room again on another machine.
        samples = echo(samples, np.random.default_rng([index, *utterance.file.encode()]))
    return log_mel(samples).astype(np.float16), first, last


def spoken(samples: NDArray[np.float32]) -> tuple[int, int]:
    """Return the first and the last frame in which somebody speaks, to a tenth of a second."""
    activity, answers = VoiceActivity(), []
    for start in range(0, len(samples), PIECE):
        activity.accept(samples[start : start + PIECE])
        answers.append(activity.speaking)
    active = np.flatnonzero(answers)
    frames = PIECE * 100 // SAMPLE_RATE
    count = len(samples) * 100 // SAMPLE_RATE
    if len(active) == 0:
        return 0, count
    return int(active[0]) * frames, min(count, (int(active[-1]) + 1) * frames)
