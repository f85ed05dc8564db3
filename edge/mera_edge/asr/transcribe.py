"""Speech recognition alone: a whole file, or sound as it comes."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mera_edge.asr.factory import open_recognizer
from mera_edge.asr.protocol import Hypothesis, SpeechRecognizer, finalized
from mera_edge.bundle import Bundle
from mera_edge.config import RECOGNITION, RecognitionSettings
from mera_edge.errors import InputError
from mera_edge.features.audio import AudioBlock
from mera_edge.features.fbank import SAMPLE_RATE, LogMel
from mera_edge.sources.choice import Tracks
from mera_edge.sources.media import MediaFile

PIECE_S = 0.2
"""Sound is read in pieces of this length, as a live run would hear it."""


@dataclass(frozen=True)
class FileTranscript:
    """What is said in a file, utterance by utterance."""

    utterances: tuple[Hypothesis, ...]
    duration_s: float
    notices: tuple[str, ...] = ()
    """What somebody should know who relies on it: see `mera_edge.sources.media.MediaFile`."""

    @property
    def text(self) -> str:
        """All utterances in one line."""
        return " ".join(utterance.text for utterance in self.utterances)

    def to_dict(self, file: str) -> dict[str, Any]:
        """Return the transcript with its word times, for JSON."""
        return {
            "schema": "mera-edge/transcript/1",
            "file": file,
            "text": self.text,
            "duration_s": round(self.duration_s, 3),
            "words": [
                {
                    "text": word.text,
                    "start_s": round(word.start_s, 2),
                    "end_s": round(word.end_s, 2),
                    "confidence": round(word.confidence, 4),
                }
                for utterance in self.utterances
                for word in utterance.words
            ],
        }


class SpeechStream:
    """Recognizes speech as it comes, utterance by utterance.

    Args:
        recognizer: is reset first; the one of the bundle in the package if not given.

    Raises:
        MeraError: a model cannot be loaded.

    Attributes:
        heard_s: stream time, in seconds, of the end of the sound so far.
    """

    def __init__(self, recognizer: SpeechRecognizer | None = None) -> None:
        self._recognizer = open_recognizer(Bundle.open()) if recognizer is None else recognizer
        self._recognizer.reset()
        self._log_mel = LogMel()
        self.heard_s = 0.0

    def accept(self, samples: NDArray[np.float32], at_s: float | None = None) -> list[Hypothesis]:
        """Take the next piece of sound; return the utterance that has ended in it, if one has.

        Args:
            samples: ``[n]``, one channel, 16 kHz, in [-1, 1]; pieces of 0.2 s are usual.
            at_s: stream time of the first sample; where the last piece ended if not given.
        """
        at_s = self.heard_s if at_s is None else at_s
        self.heard_s = at_s + len(samples) / SAMPLE_RATE
        frames = self._log_mel.accept(samples)
        self._recognizer.accept(AudioBlock(frames, self.heard_s, samples))
        return _spoken(self._recognizer) if self._recognizer.is_endpoint() else []

    def partial(self) -> Hypothesis:
        """Return what has been understood of the present utterance."""
        return self._recognizer.partial()

    def flush(self) -> list[Hypothesis]:
        """End the sound and return its last utterance, if something was said."""
        self._recognizer.accept(AudioBlock(self._log_mel.flush(), self.heard_s))
        self._recognizer.flush()
        return _spoken(self._recognizer)


def _spoken(recognizer: SpeechRecognizer) -> list[Hypothesis]:
    final = finalized(recognizer)
    return [final] if final.text else []


def transcribe(
    path: str | os.PathLike[str],
    bundle: Bundle | None = None,
    recognition: RecognitionSettings = RECOGNITION,
) -> FileTranscript:
    """Recognize the speech of one file. For several files use `transcribe_file`.

    Args:
        path: a recording or a video; anything that FFmpeg reads.
        bundle: the models; those in the package if not given.
        recognition: how speech is recognized.

    Raises:
        MeraError: the file or a model cannot be used; the message says why and what to do.
    """
    bundle = Bundle.open() if bundle is None else bundle
    return transcribe_file(open_recognizer(bundle, recognition), Path(path))


def transcribe_file(
    recognizer: SpeechRecognizer, path: Path, tracks: Tracks | None = None
) -> FileTranscript:
    """Recognize the speech of a file (sound or video), streaming.

    Args:
        recognizer: is reset first.
        path: see `mera_edge.sources.media.MediaFile`.
        tracks: which of several is heard.

    Raises:
        InputError: the file cannot be used or has no sound.
    """
    source = MediaFile(path, video=False, tracks=tracks)
    source.open()
    try:
        if not source.has_audio:
            raise InputError(f"{path} has no sound", "give a file with a sound track")
        stream = SpeechStream(recognizer)
        utterances: list[Hypothesis] = []
        until_s = 0.0
        while not source.ended:
            until_s += PIECE_S
            for chunk in source.poll(until_s).audio:
                utterances += stream.accept(chunk.samples, chunk.at_s)
        utterances += stream.flush()
    finally:
        source.close()
    return FileTranscript(tuple(utterances), stream.heard_s, tuple(source.notices))
