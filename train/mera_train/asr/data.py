"""Speech corpora as lists of utterances, and their cached log-mel frames."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mera_edge.errors import InputError
from mera_edge.features.fbank import BINS, SPEC, log_mel
from mera_edge.table import Skipped
from mera_train import audio, frames, workers
from mera_train.asr.corpora import Utterance, archived, location, read
from mera_train.fingerprint import Digests, Made, by_corpus, combined
from mera_train.own import layouts

TRAINING = ("speechocean762", "librispeech_train7", "lj_text_male")
NOISE, NOISE_FOLDS = "urbansound_noise", ("1", "2")


def speech(
    data: Path, corpora: Sequence[str] = TRAINING, skipped: Skipped | None = None
) -> list[Utterance]:
    """Read ``corpora`` (`mera_train.asr.corpora.read`); every utterance has a split.

    Sentences of an archive's test split are removed from its other splits (not for manifests:
    commands are the same for everyone). Dev has whole speakers, none of whom is in train.
    """
    utterances = []
    for corpus in corpora:
        rows = read(data, corpus, skipped)
        manifest = Path(corpus).suffix in layouts.FILES
        tested = {row.text for row in rows if row.split == "test" and not manifest}
        utterances += [row for row in rows if row.split == "test" or row.text not in tested]
    return utterances


def synthetic(data: Path, corpus: str) -> list[Utterance]:
    """Read a corpus of `mera_train.asr.synthesize`; its split is ``synthetic``."""
    return [
        Utterance(corpus, row["file"], row["text"], row["speaker"], "synthetic")
        for row in archived(data, corpus)
    ]


def noises(data: Path) -> list[Utterance]:
    """Read the street and machine noises for training (folds 1 and 2).

    Raises:
        InputError: they are missing.
    """
    try:
        rows = archived(data, NOISE)
    except InputError as error:
        remedy = "put it there, or train without noise: augment: {noise_prob: 0}"
        raise InputError(f"{error.what}; augmentation mixes it in", remedy) from error
    return [
        Utterance(NOISE, row["file"], "", row["fold"], "train")
        for row in rows
        if row["fold"] in NOISE_FOLDS
    ]


def content(data: Path, utterance: Utterance, digests: Digests) -> str:
    """Return a digest of an utterance's source file."""
    return digests.of_recording(location(data, utterance.corpus), utterance.file)


def contents(data: Path, utterances: Sequence[Utterance], digests: Digests) -> Made:
    """Return a digest per corpus of all that is used: sound, texts, speakers, splits."""
    return by_corpus(
        (u.corpus, [u.file, u.text, u.speaker, u.split, content(data, u, digests)])
        for u in utterances
    )


class Frames:
    """The log-mel frames of many recordings at several speeds, in one memory-mapped file."""

    def __init__(self, path: Path) -> None:
        self._frames, rows = frames.read(path)
        faults = {(row["corpus"], row["file"]): row["fault"] for row in rows if row["fault"]}
        self.faults = list(faults.values())
        """Errors of unreadable recordings, which have no frames."""
        self._spans: dict[tuple[str, str, float], tuple[int, int]] = {
            (row["corpus"], row["file"], row["speed"]): (row["start"], row["end"]) for row in rows
        }

    def count(self, utterance: Utterance, speed: float = 1.0) -> int:
        """Return the number of frames (100 a second)."""
        start, end = self._spans[utterance.corpus, utterance.file, speed]
        return end - start

    def get(self, utterance: Utterance, speed: float = 1.0) -> NDArray[np.float32]:
        """Return the frames ``[n, 80]``."""
        start, end = self._spans[utterance.corpus, utterance.file, speed]
        return np.asarray(self._frames[start:end], np.float32)


def prepare(
    data: Path,
    utterances: Sequence[Utterance],
    speeds: Sequence[float],
    path: Path,
    digests: Digests,
) -> Frames:
    """Compute the frames of ``utterances`` at every speed, cached in ``path`` (.npy, .jsonl).

    Speed perturbation applies to recorded training utterances only.
    """
    jobs = [(u, s) for u in utterances for s in (speeds if u.split == "train" else (1.0,))]
    made = combined([SPEC, *((u.corpus, u.file, s, content(data, u, digests)) for u, s in jobs)])
    # Imported here, so that the workers, which do not need torch, do not load it.
    from mera_train import parallel

    with parallel.first():
        if not frames.written(path, made):
            with workers.pool() as pool:
                found = pool.map(partial(_frames, data), jobs, chunksize=64)
                recordings = (
                    ({**asdict(utterance), "speed": speed, "fault": fault}, part)
                    for (utterance, speed), (part, fault) in zip(jobs, found, strict=True)
                )
                frames.write(path, made, recordings)
    return Frames(path)


def _frames(data: Path, job: tuple[Utterance, float]) -> tuple[NDArray[np.float16], str]:
    """Return the frames of a recording, or why there are none."""
    utterance, speed = job
    try:
        samples = audio.read(location(data, utterance.corpus), utterance.file, speed)
    except InputError as error:
        where = utterance.where or utterance.corpus
        return np.zeros((0, BINS), np.float16), f"{where}: {error}"
    return log_mel(samples).astype(np.float16), ""


def batches(
    lengths: Sequence[int], largest: int, generator: np.random.Generator
) -> Iterator[list[int]]:
    """Group items by length into batches of at most ``largest`` padded frames, in random order."""
    noisy = np.asarray(lengths) * generator.uniform(0.95, 1.05, len(lengths))
    groups: list[list[int]] = [[]]
    for index in np.argsort(noisy, kind="stable"):
        longest = max([lengths[i] for i in groups[-1]] + [lengths[index]])
        if groups[-1] and longest * (len(groups[-1]) + 1) > largest:
            groups.append([])
        groups[-1].append(int(index))
    return (groups[i] for i in generator.permutation(len(groups)))
