"""How each role is asked and judged: through the very stages that a device runs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from mera_edge.asr.protocol import finalized
from mera_edge.asr.recognizer import Recognizer
from mera_edge.bundle import Bundle, RoleName
from mera_edge.errors import InputError
from mera_edge.features.audio import AudioBlock
from mera_edge.features.fbank import FRAME_SHIFT_S
from mera_edge.labels import EMOTIONS
from mera_edge.metrics.classification import classification
from mera_edge.metrics.word_error_rate import word_error_rate
from mera_edge.stages.text import TextStage
from mera_edge.stages.voice import VoiceStage

Answer = Any
"""Probabilities ``[C]`` of a classifier, the words of a recognizer."""


class Listener(Protocol):
    """A stage with a fresh memory for every example."""

    def __call__(self, given: Any, piece: int | None = None) -> Answer:
        """Answer about one example; a stream gets ``piece`` frames at a time, or all at once."""
        ...


@dataclass(frozen=True)
class Score:
    """How good answers are. Shares from 0 to 1, more is better, but for `ece`."""

    metric: float
    ece: float | None
    """Expected calibration error; ``None`` for a recognizer."""
    per_class: dict[str, float]
    """Recall by label."""


@dataclass(frozen=True)
class Subject:
    """What is asked of a role and which figure counts."""

    metric: str
    listen: Callable[[Bundle], Listener]
    labels: Callable[[Bundle], Sequence[str]]
    streaming: bool = False

    def score(
        self, truth: Sequence[str], answers: Sequence[Answer], labels: Sequence[str]
    ) -> Score:
        """Compare answers with the truth.

        Raises:
            InputError: there is nothing to compare.
        """
        if self.metric == "1 - WER":
            return Score(1 - word_error_rate(truth, answers)["wer"], None, {})
        found = classification(truth, np.stack(answers), labels)
        recall = {name: row["recall"] for name, row in found["per_class"].items()}
        return Score(found[self.metric], found["ece"], recall)


def same(one: Answer, other: Answer) -> bool:
    """Whether two answers come to the same: the same words, or the same likeliest label."""
    if isinstance(one, str):
        return bool(one == other)
    return bool(one.argmax() == other.argmax())


def difference(one: Answer, other: Answer) -> float:
    """How far two answers are apart: 0 or 1 for words, else the largest gap of a probability."""
    if isinstance(one, str):
        return float(one != other)
    return float(np.abs(one - other).max())


def _voice(bundle: Bundle) -> Listener:
    stage = VoiceStage(bundle)

    def listen(given: NDArray[np.float32], piece: int | None = None) -> Answer:
        stage.reset()
        answer = np.full(len(EMOTIONS), 1 / len(EMOTIONS), np.float32)
        for part, end_s in _pieces(given, piece):
            evidence = stage.accept(part, end_s)
            answer = answer if evidence is None else evidence.probabilities
        return answer

    return listen


def _asr(bundle: Bundle) -> Listener:
    recognizer = Recognizer(bundle)

    def listen(given: NDArray[np.float32], piece: int | None = None) -> Answer:
        recognizer.reset()
        for part, end_s in _pieces(given, piece):
            recognizer.accept(AudioBlock(part, end_s))
        recognizer.flush()
        return finalized(recognizer).text

    return listen


def _face(bundle: Bundle) -> Listener:
    engine = bundle.role("face").engine()

    def listen(given: NDArray[np.float32], piece: int | None = None) -> Answer:
        return engine.run({"face": given[None, None]})["probabilities"][0]

    return listen


def _text(bundle: Bundle) -> Listener:
    stage = TextStage(bundle)

    def listen(given: str, piece: int | None = None) -> Answer:
        evidence = stage.accept(given, 0.0)
        if evidence is None:
            return np.full(len(EMOTIONS), 1 / len(EMOTIONS), np.float32)
        return evidence.probabilities

    return listen


def _pieces(
    frames: NDArray[np.float32], piece: int | None
) -> list[tuple[NDArray[np.float32], float]]:
    size = piece or len(frames)
    return [
        (frames[start : start + size], min(start + size, len(frames)) * FRAME_SHIFT_S)
        for start in range(0, len(frames), size)
    ]


def _seven(bundle: Bundle) -> Sequence[str]:
    return EMOTIONS


SUBJECTS: dict[RoleName, Subject] = {
    "asr": Subject("1 - WER", _asr, _seven, streaming=True),
    "voice": Subject("uar", _voice, _seven, streaming=True),
    "face": Subject("accuracy", _face, lambda bundle: bundle.role("face").entry.labels),
    "text": Subject("macro_f1", _text, _seven),
}
"""The roles with a network large enough to be worth eight bits."""


def subject(role: RoleName) -> Subject:
    """Return how a role is judged.

    Raises:
        InputError: the role stays in full precision.
    """
    if role not in SUBJECTS:
        raise InputError(
            f"{role} is not quantized: it is so small that INT8 would save nothing",
            f"INT8 is for {', '.join(SUBJECTS)}",
        )
    return SUBJECTS[role]
