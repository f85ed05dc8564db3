"""Predictions of the exported encoders on data that they were not trained on."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.numpy import load_file, save

from mera_edge.bundle import Bundle, RoleName
from mera_edge.evaluation.role_evaluators import ROLE_EVALUATORS, Inputs, Prediction
from mera_edge.features.face import crop
from mera_edge.labels import EMOTIONS, MODALITIES, project, to_emotion
from mera_train import audio, disk, fingerprint, parallel
from mera_train.face import augment as face_augment
from mera_train.face import data as faces
from mera_train.fingerprint import Digests, Made
from mera_train.rows import select
from mera_train.text import data as texts
from mera_train.text.disturb import Disturbance, disturb
from mera_train.voice import data as voices


@dataclass(frozen=True)
class Pool:
    """Predictions of one encoder on one split of its corpora; arrays are aligned by row."""

    embeddings: NDArray[np.float32]
    """``[n, D]``"""
    probabilities: NDArray[np.float32]
    """``[n, 7]``"""
    emotions: NDArray[np.int64]
    """``[n]`` index into `EMOTIONS`: the label in the corpus."""
    disturbed: NDArray[np.bool_]
    """``[n]``: whether the input was disturbed (noise, blur, recognition errors)."""
    items: NDArray[np.int64]
    """``[n]``: index of the clip, picture or sentence; clean and disturbed versions share it."""

    def at(self, rows: NDArray[np.bool_]) -> Pool:
        """Select the rows where ``rows`` is true."""
        return select(self, rows)


@dataclass(frozen=True)
class Example:
    """One input of an encoder."""

    inputs: Inputs | None
    """``None``: no speech was detected."""
    emotion: str
    """The label in the corpus."""
    disturbed: bool
    item: int
    """Index of the clip, picture or sentence."""


@dataclass(frozen=True)
class Answer:
    """The prediction of an encoder for an example."""

    embedding: NDArray[np.float32]
    """``[D]``"""
    probabilities: NDArray[np.float32]
    """``[7]``"""
    of: Example


SOUNDS = tuple(dict.fromkeys((*voices.DEV_SPEAKERS, *voices.TEST_SPEAKERS, voices.NOISE)))
CORPORA = (*SOUNDS, faces.ARCHIVE, texts.ARCHIVE)
"""Corpora of the encoders, by name."""


def contents(data: Path) -> Made:
    """Return a digest per corpus of the inputs of the encoders."""
    digests = Digests()
    found = {name: digests.of(voices.location(data, name)) for name in SOUNDS}
    return found | {name: digests.of(data / name) for name in (faces.ARCHIVE, texts.ARCHIVE)}


def collect(bundle: Bundle, data: Path, split: str, cache: Path) -> dict[str, Pool]:
    """Run the encoders of ``bundle`` on one split of their corpora, clean and disturbed.

    Args:
        bundle: a bundle with voice, face and text.
        data: directory of the corpora.
        split: ``"dev"`` or ``"test"``; never training data, where encoders are overconfident.
        cache: file for the predictions, reused if the inputs are the same.
    """
    models = bundle.manifest.roles.items()
    files = [(role, key, file.sha256) for role, e in models for key, file in e.files.items()]
    made = fingerprint.combined([split, contents(data), files])
    with parallel.first():
        if fingerprint.stale(cache, made):
            pools: dict[str, Pool] = {
                name: _pool(_predicted(bundle, name, examples(bundle, data, split)))
                for name, examples in EXAMPLES.items()
            }
            _write(cache, pools)
            fingerprint.stamp(cache, made)
    return _read(cache)


def _voices(bundle: Bundle, data: Path, split: str) -> Iterator[Example]:
    prepare = ROLE_EVALUATORS["voice"].prepare(bundle)
    speakers = {"dev": voices.DEV_SPEAKERS, "test": voices.TEST_SPEAKERS}[split]
    noise = [audio.read(voices.location(data, voices.NOISE), n.file) for n in voices.noises(data)]
    random = np.random.default_rng(0)
    for corpus, names in speakers.items():
        rows = [u for u in voices.speech(data, corpus) if u.speaker in names]
        for number, row in enumerate(rows):
            clean = audio.read(voices.location(data, corpus), row.file)
            background = np.resize(noise[random.integers(len(noise))], clean.shape)
            # From the level of the voice down to a tenth of it.
            loudness = random.uniform(0.1, 1) * np.sqrt((clean**2).mean() / (background**2).mean())
            spoilt = np.clip(clean + loudness * background, -1, 1).astype(np.float32)
            for samples, disturbed in ((clean, False), (spoilt, True)):
                yield Example(prepare(samples), to_emotion(row.label), disturbed, number)


def _faces(bundle: Bundle, data: Path, split: str) -> Iterator[Example]:
    size = bundle.role("face").engine().inputs["face"].shape[-1]
    part = faces.load(data)[{"dev": "valid", "test": "test"}[split]]
    labels = faces.plurality(part.votes)
    generator = torch.Generator().manual_seed(0)
    for rows in np.array_split(np.arange(len(part)), max(1, len(part) // 256)):
        pictures = part.pictures[rows]
        clean = np.stack([crop(picture, size) for picture in pictures])
        spoilt = face_augment.disturb(
            torch.from_numpy(pictures[:, None]).float(),
            size,
            face_augment.AugmentConfig(),
            generator,
        ).numpy()[:, 0]
        for version, disturbed in ((clean, False), (spoilt, True)):
            for row, picture in zip(rows, version, strict=True):
                label = faces.LABELS[labels[row]] if labels[row] >= 0 else None
                if label in EMOTIONS:
                    yield Example(picture, str(label), disturbed, int(row))


def _texts(bundle: Bundle, data: Path, split: str) -> Iterator[Example]:
    rows = [r for r in texts.sentences(data) if r.split == split and len(r.emotions) == 1]
    words = sorted({word for row in rows for word in row.text.split() if word.isascii()})
    random = Random(0)
    rates = Disturbance(deletion_prob=0.1, substitution_prob=0.15, misspelling_prob=0.05)
    for number, row in enumerate(rows):
        for disturbed in (False, True):
            text = disturb(row.text, rates, words, random) if disturbed else row.text
            yield Example(text, row.emotions[0], disturbed, number)


EXAMPLES: dict[RoleName, Callable[[Bundle, Path, str], Iterator[Example]]] = {
    "voice": _voices,
    "face": _faces,
    "text": _texts,
}


def _predicted(bundle: Bundle, role: RoleName, examples: Iterable[Example]) -> Iterator[Answer]:
    """Yield the predictions for all examples for which the encoder has one."""
    evaluator = ROLE_EVALUATORS[role]
    predict, labels = evaluator.predictor(bundle), evaluator.labels(bundle)
    for example in examples:
        output = None if example.inputs is None else predict(example.inputs)
        if isinstance(output, Prediction):
            yield Answer(output.embedding, project(output.probabilities, labels), example)


def _pool(answers: Iterable[Answer]) -> Pool:
    found = list(answers)
    return Pool(
        np.stack([answer.embedding for answer in found]),
        np.stack([answer.probabilities for answer in found]),
        np.array([EMOTIONS.index(answer.of.emotion) for answer in found], np.int64),
        np.array([answer.of.disturbed for answer in found]),
        np.array([answer.of.item for answer in found], np.int64),
    )


def _write(path: Path, pools: dict[str, Pool]) -> None:
    stored: dict[str, NDArray[Any]] = {}
    for name, pool in pools.items():
        stored |= {f"{name}.{key}": value for key, value in vars(pool).items()}
    disk.write(path, save(stored))


def _read(path: Path) -> dict[str, Pool]:
    stored = load_file(path)
    return {
        name: Pool(**{field.name: stored[f"{name}.{field.name}"] for field in fields(Pool)})
        for name in MODALITIES
    }
