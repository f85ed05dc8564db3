"""Speech recognition without emotions, for files and streams."""

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
from mera_edge.stages.vad import VoiceActivity

PIECE_S = 0.2
"""Audio is read in blocks of this length, as in a live run."""


@dataclass(frozen=True)
class FileTranscript:
    """The speech of a file, utterance by utterance.

    Attributes:
        duration_s: length of the audio in seconds.
        notices: defects of the file that may affect the result; see
            `mera_edge.sources.media.MediaFile`.
    """

    utterances: tuple[Hypothesis, ...]
    duration_s: float
    notices: tuple[str, ...] = ()

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
    """Recognizes a stream of speech, utterance by utterance.

    Args:
        recognizer: reset first; by default that of the bundle in the package.
        activity: voice activity detector, reset first. Utterances end when nobody speaks, and words
            in other sound are dropped. By default that of the bundle if ``recognizer`` is not given
            either; otherwise all sound counts as speech.

    Raises:
        MeraError: a model cannot be loaded.

    Attributes:
        heard_s: stream time in seconds of the end of the audio so far.
    """

    def __init__(
        self,
        recognizer: SpeechRecognizer | None = None,
        activity: VoiceActivity | None = None,
    ) -> None:
        if recognizer is None:
            bundle = Bundle.open()
            recognizer, activity = open_recognizer(bundle), activity or VoiceActivity(bundle)
        self._recognizer, self._activity = recognizer, activity
        recognizer.reset()
        if activity is not None:
            activity.reset()
        self._log_mel = LogMel()
        self._spoken = False
        self.heard_s = 0.0

    def accept(self, samples: NDArray[np.float32], at_s: float | None = None) -> list[Hypothesis]:
        """Process the next samples and return the utterance that ended in them, if any.

        Args:
            samples: ``[n]``, mono, 16 kHz, in [-1, 1]; usually 0.2 s at a time.
            at_s: stream time in seconds of the first sample; by default the end of the last ones.
        """
        at_s = self.heard_s if at_s is None else at_s
        self.heard_s = at_s + len(samples) / SAMPLE_RATE
        frames = self._log_mel.accept(samples)
        speaking = None if self._activity is None else self._activity.accept(frames)
        self._spoken |= speaking is not False
        self._recognizer.accept(AudioBlock(frames, self.heard_s, samples, speaking))
        return self._final() if self._recognizer.is_endpoint() else []

    def partial(self) -> Hypothesis:
        """Return the words of the current utterance so far."""
        return self._recognizer.partial()

    def flush(self) -> list[Hypothesis]:
        """End the stream and return its last utterance, if it has words."""
        self._recognizer.accept(AudioBlock(self._log_mel.flush(), self.heard_s))
        self._recognizer.flush()
        return self._final()

    def _final(self) -> list[Hypothesis]:
        """End the utterance and return it if it has words."""
        final, spoken = finalized(self._recognizer), self._spoken
        self._spoken = False
        return [final] if final.text and spoken else []


def transcribe(
    path: str | os.PathLike[str],
    bundle: Bundle | None = None,
    recognition: RecognitionSettings = RECOGNITION,
) -> FileTranscript:
    """Recognize the speech of one file. For several files use `transcribe_file`.

    Args:
        path: an audio or video file; anything that FFmpeg reads.
        bundle: the models; by default those in the package.
        recognition: settings of the recognizer.

    Raises:
        MeraError: the file or a model cannot be used; the message says why and what to do.
    """
    bundle = Bundle.open() if bundle is None else bundle
    recognizer, activity = open_recognizer(bundle, recognition), VoiceActivity(bundle)
    return transcribe_file(recognizer, Path(path), activity=activity)


def transcribe_file(
    recognizer: SpeechRecognizer,
    path: Path,
    tracks: Tracks | None = None,
    activity: VoiceActivity | None = None,
) -> FileTranscript:
    """Recognize the speech of an audio or video file, streaming.

    Args:
        recognizer: is reset first.
        path: see `mera_edge.sources.media.MediaFile`.
        tracks: selects one of several audio tracks.
        activity: see `SpeechStream`.

    Raises:
        InputError: the file cannot be used or has no audio.
    """
    source = MediaFile(path, video=False, tracks=tracks)
    source.open()
    try:
        if not source.has_audio:
            raise InputError(f"{path} has no audio", "give a file with an audio track")
        stream = SpeechStream(recognizer, activity)
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
