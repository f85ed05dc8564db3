"""Speech with the teacher's labels, and noise, as cached log-mel frames."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mera_edge.features.fbank import SPEC, log_mel
from mera_train import frames, workers
from mera_train.audio import read
from mera_train.fingerprint import Digests, Made, by_corpus, combined
from mera_train.vad import sounds, teacher
from mera_train.voice import data as voices
from mera_train.voice.data import NOISE, RAVDESS, TEST_SPEAKERS
from mera_train.voice.rooms import clip

SPEECHOCEAN, LIBRISPEECH, NEMO = "speechocean762", "librispeech_train7", "nemo"

DEV_SPEAKERS = {
    RAVDESS: ("21", "22"),
    NEMO: ("MP0",),
    LIBRISPEECH: ("19",),
    SPEECHOCEAN: ("0001", "0003", "0005"),
}
"""Dev speakers, for the selection of weights and thresholds."""

MADE = "made"
MADE_S = 8.0

CLIPPED = 4
"""Every n-th recording is clipped."""


@dataclass(frozen=True, slots=True)
class Recording:
    """One recording, or one synthetic sound (``file`` is then its kind and number)."""

    corpus: str
    file: str
    speaker: str
    """Empty for noise."""
    dev: bool


def speech(data: Path, corpus: str, share: float = 1.0) -> list[Recording]:
    """Choose recordings of training and dev speakers, spread evenly over the corpus.

    Raises:
        InputError: the corpus is not in ``data``.
    """
    held_out = TEST_SPEAKERS.get(corpus, ())
    found = []
    for row in voices.rows(data, corpus):
        speaker = (row.get("actor") or row.get("speaker") or row["speaker_id"]).strip()
        file = row.get("file") or f"samples/{row['file_id']}"
        if speaker not in held_out and row.get("split", "train") == "train":
            found.append(Recording(corpus, file, speaker, speaker in DEV_SPEAKERS[corpus]))
    return voices.thinned(found, share)


def noise(data: Path, made: int) -> list[Recording]:
    """List street noise of the training folds, and ``made`` synthetic sounds of every kind."""
    recorded = []
    for utterance in voices.noises(data):
        # All clips of a Freesound recording stay in the same split.
        source = int(Path(utterance.file).name.split("-")[0])
        recorded.append(Recording(NOISE, utterance.file, "", source % 5 == 0))
    return recorded + [
        Recording(MADE, f"{kind}/{number}", "", number % 8 == 0)
        for kind in sounds.KINDS
        for number in range(made)
    ]


class Material:
    """Frames and targets of all recordings, each in one memory-mapped file."""

    def __init__(self, path: Path) -> None:
        self._frames, rows = frames.read(path)
        self._targets = np.load(path.with_suffix(".targets.npy"), mmap_mode="r")
        self._spans = {(row["corpus"], row["file"]): (row["start"], row["end"]) for row in rows}

    def frames(self, recording: Recording) -> NDArray[np.float32]:
        """Return log-mel frames ``[n, 80]``."""
        start, end = self._spans[recording.corpus, recording.file]
        return np.asarray(self._frames[start:end], np.float32)

    def targets(self, recording: Recording) -> NDArray[np.float32]:
        """Return the teacher's probability of speech per frame, ``[n]``."""
        start, end = self._spans[recording.corpus, recording.file]
        return np.asarray(self._targets[start:end], np.float32)


def contents(data: Path, recordings: Sequence[Recording], digests: Digests) -> Made:
    """Return a digest per corpus of all that is used."""

    def facts(recording: Recording) -> dict[str, Any]:
        if recording.corpus == MADE:
            return asdict(recording)
        where = voices.location(data, recording.corpus)
        return {**asdict(recording), "content": digests.of_recording(where, recording.file)}

    return by_corpus((recording.corpus, facts(recording)) for recording in recordings)


def prepare(
    data: Path, recordings: Sequence[Recording], model: Path, path: Path, made: Made
) -> Material:
    """Compute frames and targets of ``recordings``, cached in ``path``.

    Args:
        data: directory of the corpora.
        recordings: recordings and synthetic sounds.
        model: the teacher, see `mera_train.vad.teacher`.
        path: path of the files, without suffix.
        made: digests, see `contents`.
    """
    whole = combined([SPEC, model.name, sorted(made.items())])
    if not frames.written(path, whole):
        with workers.pool() as pool:
            jobs = enumerate(recordings)
            heard = list(pool.map(partial(_hear, data, model), jobs, chunksize=16))
        path.parent.mkdir(parents=True, exist_ok=True)
        np.save(path.with_suffix(".targets.npy"), np.concatenate([t for _, t in heard]))
        rows = zip(map(asdict, recordings), (part for part, _ in heard), strict=True)
        frames.write(path, whole, rows)
    return Material(path)


def _hear(
    data: Path, model: Path, job: tuple[int, Recording]
) -> tuple[NDArray[np.float16], NDArray[np.float16]]:
    index, recording = job
    generator = np.random.default_rng(index)
    if recording.corpus == MADE:
        samples = sounds.make(recording.file.split("/")[0], MADE_S, generator)
    else:
        samples = read(voices.location(data, recording.corpus), recording.file)
    heard = samples
    if index % CLIPPED == 0:
        heard = clip(samples, generator)
    found = log_mel(heard).astype(np.float16)
    if not recording.speaker:
        return found, np.zeros(len(found), np.float16)
    # The teacher gets the unclipped sound, so that clipping does not change its labels.
    return found, teacher.speech(samples, model, len(found)).astype(np.float16)
