"""Acted emotion corpora, their splits by speaker, and their cached log-mel frames."""

from __future__ import annotations

import csv
import io
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from mera_edge.bundle import Bundle
from mera_edge.errors import InputError
from mera_edge.features.fbank import SPEC, log_mel
from mera_edge.labels import EMOTIONS, to_emotion
from mera_edge.stages.vad import VoiceActivity
from mera_train import frames, workers
from mera_train.audio import read
from mera_train.fingerprint import Digests, Made, by_corpus, combined
from mera_train.voice.rooms import clip, echo

LABELS = (*EMOTIONS, "calm")
"""The eight labels of RAVDESS. In other corpora, *neutral* means neutral or calm."""

RAVDESS, EMOSPEECH = "ravdess_speech", "emospeech"
DEV_SPEAKERS: dict[str, tuple[str, ...]] = {
    RAVDESS: ("21", "22"),
    "nemo": ("MP0",),
    "crema_d": ("1001", "1002"),
    EMOSPEECH: ("b85700a6", "ec2301df", "da09e319"),
}
"""Dev speakers of the shipped model, for selection and temperature scaling."""
TEST_SPEAKERS: dict[str, tuple[str, ...]] = {RAVDESS: ("23", "24")}
"""Test speakers of the shipped model, never used in training. The fusion composes its examples from
dev and test speakers, because the encoder is overconfident on training speakers.
"""

Item = TypeVar("Item")

MOST = 250
"""Maximum recordings per person and emotion: one EmoSpeech user made two thirds of the corpus."""

NOISE, NOISE_FOLDS = "urbansound_noise", ("1", "2")

WHERE = {
    "nemo": "clone https://github.com/amu-cai/nEMO (CC BY-NC-SA 4.0) to {path}",
    "crema_d": "rebuild it: see mera_train/voice/crema.py",
    EMOSPEECH: "clone https://github.com/RakshakTeam/emospeech-dataset-v1 (CC BY-NC-SA 4.0) to "
    "{path}",
}

READ_ALOUD = "neutral"
"""Label of read (not acted) sentences."""

CALLED = {"calm": "neutral", "fearful": "fear"}
"""EmoSpeech labels with other names."""


@dataclass(frozen=True, slots=True)
class Utterance:
    """One recording: location, acted emotion, speaker."""

    corpus: str
    file: str
    label: str
    speaker: str


def speech(data: Path, corpus: str) -> list[Utterance]:
    """List the recordings of a corpus.

    Raises:
        InputError: the corpus is not in ``data``; the message says where to get it.
    """
    if corpus == EMOSPEECH:
        return _emospeech(location(data, corpus))
    if corpus == "nemo":
        return [
            Utterance(
                corpus,
                f"samples/{row['file_id']}",
                to_emotion(row["emotion"]),
                row["speaker_id"].strip(),
            )
            for row in rows(data, corpus)
        ]
    return [
        Utterance(
            corpus,
            row["file"],
            _label(row.get("emotion", READ_ALOUD)),
            row.get("actor") or row["speaker"],
        )
        for row in rows(data, corpus)
        if row.get("split", "train") == "train"
    ]


def _label(emotion: str) -> str:
    return emotion if emotion == "calm" else to_emotion(emotion)


def _emospeech(clone: Path) -> list[Utterance]:
    """List the users whose name begins with a letter; the others are reserved for tests.

    Files are named ``KEYWORD-ENVIRONMENT-EMOTION-TIME-USER.wav``.
    """
    groups: dict[tuple[str, str], list[str]] = {}
    for path in sorted(clone.glob("*/*.wav")):
        keyword, *_, emotion, _, user = path.stem.split("-")
        if user[0].isalpha() and keyword != "background" and emotion != "None":
            name = path.relative_to(clone).as_posix()
            groups.setdefault((CALLED.get(emotion, emotion), user[:8]), []).append(name)
    found = []
    for (label, user), files in groups.items():
        count = min(MOST, len(files))
        chosen = [files[i * len(files) // count] for i in range(count)]
        found += [Utterance(EMOSPEECH, file, label, user) for file in chosen]
    return found


def thinned(items: Sequence[Item], share: float) -> list[Item]:
    """Return an evenly spread share of a corpus."""
    wanted = np.linspace(0, len(items) - 1, max(1, round(share * len(items))))
    return [items[i] for i in wanted.astype(int)]


def noises(data: Path) -> list[Utterance]:
    """Read the street and machine noises for training (folds 1 and 2)."""
    return [
        Utterance(NOISE, row["file"], "", row["fold"])
        for row in rows(data, NOISE)
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
    """Return the path of a corpus: a directory or a zip.

    Raises:
        InputError: it is missing.
    """
    for path in (data / corpus, data / f"{corpus}.zip"):
        if path.exists():
            return path
    remedy = WHERE.get(corpus, "give the folder of the corpora with --data")
    raise InputError(f"the corpus {corpus} is not in {data}", remedy.format(path=data / corpus))


def rows(data: Path, corpus: str) -> list[dict[str, str]]:
    """Read a corpus's own table of its recordings.

    Raises:
        InputError: the corpus is not in ``data``; the message says where to get it.
    """
    path = location(data, corpus)
    manifest = "data.tsv" if corpus == "nemo" else "manifest.csv"
    if path.suffix == ".zip":
        with zipfile.ZipFile(path) as archive:
            text = archive.read(manifest).decode("utf-8")
    else:
        text = (path / manifest).read_text(encoding="utf-8")
    delimiter = "\t" if manifest.endswith(".tsv") else ","
    return list(csv.DictReader(io.StringIO(text), delimiter=delimiter))


def content(data: Path, utterance: Utterance, digests: Digests) -> str:
    """Return a digest of a recording's source file."""
    return digests.of_recording(location(data, utterance.corpus), utterance.file)


def contents(data: Path, utterances: Sequence[Utterance], digests: Digests) -> Made:
    """Return a digest per corpus of all that is used: sound, labels, speakers."""
    return by_corpus(
        (u.corpus, [u.file, u.label, u.speaker, content(data, u, digests)]) for u in utterances
    )


@dataclass(frozen=True, slots=True)
class Span:
    """The frame range of a copy of a recording, and of the speech in it."""

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

    def speech(self, utterance: Utterance) -> tuple[int, int]:
        """Return the range of the frames of speech."""
        span = self._spans[utterance.corpus, utterance.file, 0]
        return span.first, span.last

    def whole(self, utterance: Utterance, copy: int = 0) -> NDArray[np.float32]:
        """Return all frames ``[n, 80]``."""
        span = self._spans[utterance.corpus, utterance.file, copy]
        return np.asarray(self._frames[span.start : span.end], np.float32)

    def spoken(self, utterance: Utterance, copy: int = 0, margin: int = 0) -> NDArray[np.float32]:
        """Return the frames from ``margin`` before the start of speech to its end, ``[n, 80]``."""
        span = self._spans[utterance.corpus, utterance.file, copy]
        start = max(span.start, span.start + span.first - margin)
        return np.asarray(self._frames[start : span.start + span.last], np.float32)


@dataclass(frozen=True, slots=True)
class Copy:
    """An augmented copy of a recording: speed, reverberation, clipping."""

    speed: float = 1.0
    room: bool = False
    clipped: bool = False


def prepare(
    data: Path,
    utterances: Sequence[Utterance],
    copies: Callable[[Utterance], Sequence[Copy]],
    path: Path,
    digests: Digests,
) -> Frames:
    """Compute the frames of every copy of ``utterances``, cached in ``path`` (.npy, .jsonl)."""
    jobs = [(u, i, c) for u in utterances for i, c in enumerate(copies(u))]
    heard_by = Bundle.open().role("vad").entry.files["model"].sha256
    made = combined(
        [SPEC, heard_by, *((asdict(u), i, c, content(data, u, digests)) for u, i, c in jobs)]
    )
    # Imported here, so that the workers, which do not need torch, do not load it.
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
    utterance, index, copy = job
    samples = read(location(data, utterance.corpus), utterance.file, copy.speed)
    # Seeded by the recording, for the same room on every machine.
    generator = np.random.default_rng([index, *utterance.file.encode()])
    if copy.room:
        samples = echo(samples, generator)
    if copy.clipped:
        samples = clip(samples, generator)
    found = log_mel(samples)
    return found.astype(np.float16), *(_activity().span(found) or (0, len(found)))


@lru_cache
def _activity() -> VoiceActivity:
    """Run the device's speech detector."""
    return VoiceActivity(Bundle.open())
