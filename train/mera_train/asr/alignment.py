"""Forced alignment of training speech with pocketsphinx's English model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mera_edge.features.fbank import SAMPLE_RATE
from mera_train import audio, disk, fingerprint, workers
from mera_train.asr.corpora import Utterance, location
from mera_train.asr.data import content
from mera_train.fingerprint import Digests

PHONES = (
    "SIL", "AA", "AE", "AH", "AO", "AW", "AY", "B", "CH", "D", "DH", "EH", "ER", "EY", "F", "G",
    "HH", "IH", "IY", "JH", "K", "L", "M", "N", "NG", "OW", "OY", "P", "R", "S", "SH", "T", "TH",
    "UH", "UW", "V", "W", "Y", "Z", "ZH",
)  # fmt: skip
"""The phones of the CMU dictionary; silence and noise share one symbol."""

UNKNOWN, SILENCE = -1, -2

_NOT_ALIGNED = np.zeros((2, 0), np.int16)


class Alignment:
    """Phone and word of every frame of the aligned utterances."""

    def __init__(self, rows: Mapping[str, NDArray[np.int16]]) -> None:
        self._rows = rows

    def phones(self, utterance: Utterance, at: NDArray[np.floating]) -> NDArray[np.int64]:
        """Return indices into `PHONES` at times ``at [n]`` (s); `UNKNOWN` if not aligned."""
        phones: NDArray[np.int64] = self._at(utterance, at)[0].astype(np.int64)
        return phones

    def classes(
        self, utterance: Utterance, words: Sequence[Sequence[int]], at: NDArray[np.floating]
    ) -> NDArray[np.int64]:
        """Return the class at times ``at [n]`` (s): 0 in silence, `UNKNOWN` if not aligned.

        Args:
            words: the classes of each word; its duration is divided equally among them.
        """
        word = self._at(utterance, at)[1].astype(np.int64)
        found = np.where(word == SILENCE, 0, UNKNOWN).astype(np.int64)
        for number, classes in enumerate(words):
            inside = np.flatnonzero(word == number)
            found[inside] = np.asarray(classes)[
                np.arange(len(inside)) * len(classes) // max(1, len(inside))
            ]
        return found

    def _at(self, utterance: Utterance, at: NDArray[np.floating]) -> NDArray[np.int16]:
        rows = self._rows.get(_name(utterance), _NOT_ALIGNED)
        frame = np.floor(at * 100).astype(np.int64)
        found = np.full((2, len(at)), UNKNOWN, np.int16)
        inside = (frame >= 0) & (frame < rows.shape[1])
        found[:, inside] = rows[:, frame[inside]]
        return found


def prepare(data: Path, utterances: Sequence[Utterance], path: Path, digests: Digests) -> Alignment:
    """Align ``utterances``, cached in ``path`` (.npz): one CPU minute per 50 minutes of speech."""
    made = fingerprint.combined([_name(u), u.text, content(data, u, digests)] for u in utterances)
    # Here, so that the workers, which have no use for torch, need not load it.
    from mera_train import parallel

    with parallel.first():
        if fingerprint.stale(path, made):
            with workers.pool() as pool:
                found = pool.map(partial(_align, data), utterances, chunksize=32)
                rows: dict[str, Any] = {
                    _name(u): part for u, part in zip(utterances, found, strict=True)
                }
            with disk.whole(path) as file:
                np.savez_compressed(file, **rows)
            fingerprint.stamp(path, made)
    with np.load(path) as file:
        return Alignment(dict(file))


def _name(utterance: Utterance) -> str:
    return f"{utterance.corpus}/{utterance.file}"


def _align(data: Path, utterance: Utterance) -> NDArray[np.int16]:
    """Return phone and word per frame ``[2, n]``; ``None`` if a word is not in the dictionary."""
    samples = audio.read(location(data, utterance.corpus), utterance.file, 1.0)
    pcm = (np.clip(samples, -1, 1) * 32767).astype(np.int16).tobytes()
    decoder = _decoder()
    try:
        # Words first, then their phones.
        decoder.set_align_text(utterance.text)
        _hear(decoder, pcm)
        decoder.set_alignment()
        _hear(decoder, pcm)
    except RuntimeError:
        return _NOT_ALIGNED
    rows = np.full((2, len(samples) * 100 // SAMPLE_RATE + 1), UNKNOWN, np.int16)
    spoken = 0
    for word in decoder.get_alignment():
        here = slice(word.start, word.start + word.duration)
        silent = word.name.startswith("<") or word.name.startswith("[")
        rows[1, here] = SILENCE if silent else spoken
        spoken += not silent
        for phone in word:
            number = PHONES.index(phone.name) if phone.name in PHONES else 0
            rows[0, phone.start : phone.start + phone.duration] = number
    return rows if spoken == len(utterance.text.split()) else rows[:, :0]


def _hear(decoder: Any, pcm: bytes) -> None:
    decoder.start_utt()
    decoder.process_raw(pcm, full_utt=True)
    decoder.end_utt()


@cache
def _decoder() -> Any:
    from pocketsphinx import Decoder

    return Decoder(samprate=SAMPLE_RATE, loglevel="FATAL", bestpath=False)
