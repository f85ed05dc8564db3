"""A whole file through the streaming recognizer."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mera_edge.asr.protocol import Hypothesis, SpeechRecognizer, finalized
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
        recognizer.reset()
        log_mel = LogMel()
        utterances: list[Hypothesis] = []
        until_s = heard_s = 0.0
        while not source.ended:
            until_s += PIECE_S
            for sound in source.poll(until_s).audio:
                heard_s = sound.at_s + len(sound.samples) / SAMPLE_RATE
                frames = log_mel.accept(sound.samples)
                recognizer.accept(AudioBlock(frames, heard_s, sound.samples))
            if recognizer.is_endpoint():
                utterances.append(finalized(recognizer))
        recognizer.accept(AudioBlock(log_mel.flush(), heard_s))
        recognizer.flush()
        utterances.append(finalized(recognizer))
    finally:
        source.close()
    spoken = tuple(u for u in utterances if u.text)
    return FileTranscript(spoken, heard_s, tuple(source.notices))
