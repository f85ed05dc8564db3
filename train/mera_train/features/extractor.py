"""Encoder outputs of one clip, by the device's pipeline."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from mera_edge.bundle import Bundle
from mera_edge.errors import InputError, MeraError
from mera_edge.events import Summary
from mera_edge.evidence import Evidence
from mera_edge.labels import EMOTIONS, MODALITIES
from mera_edge.metrics.word_error_rate import tokens
from mera_edge.pipeline.mode import Offline
from mera_edge.pipeline.pipeline import Pipeline, TickResult
from mera_edge.service.clock import VirtualClock
from mera_edge.service.run_loop import run
from mera_edge.sources.media import MediaFile
from mera_edge.stages.text import TextStage
from mera_train.features.clips import Clip
from mera_train.features.reference import NAMES

SEQUENCES = "_sequence"
"""Suffix of arrays with a row per time step of a clip."""

Words = Literal["gold", "heard", "both"]


@dataclass(frozen=True)
class Status:
    """The status of one clip."""

    id: str
    ok: bool
    notes: tuple[str, ...] = ()
    """Missing modalities, or the reason of the failure."""


class Extractor:
    """Runs the pipeline on clips, and collects the evidence at their end.

    Args:
        bundle: the bundle with the encoders.
        words: source of the words for the text encoder.
    """

    def __init__(self, bundle: Bundle, words: Words) -> None:
        self._words = words
        self._pipeline = Pipeline(bundle, Offline())
        self._text = TextStage(bundle)
        self._widths = {
            name: bundle.role(name).engine().outputs["embedding"].shape[-1] for name in MODALITIES
        }

    def extract(self, clip: Clip) -> tuple[dict[str, NDArray[Any]], tuple[str, ...]]:
        """Return the arrays of a clip by name, and notes on missing modalities.

        Raises:
            InputError: it is missing, cannot be decoded, or has no voice, face or words.
        """
        if not clip.path.is_file():
            raise InputError(f"{clip.path} does not exist", "correct the row, or add the clip")
        end, media = _End(), MediaFile(clip.path)
        run(self._pipeline, [media], VirtualClock(), [], threading.Event(), observers=[end])
        latest: dict[str, Evidence] = {piece.modality: piece for piece in end.latest.values()}
        heard = latest.pop("text", None)
        gold = self._text.accept(clip.text, end.now_s) if clip.text else None
        latest |= {"text": gold} if gold and self._words != "heard" else {}
        if heard is not None:
            latest |= {"heard": heard} if self._words == "both" else {}
            latest |= {"text": heard} if self._words == "heard" else {}
        notes = [f"no {name}" for name in MODALITIES if name not in latest]
        if len(notes) == len(MODALITIES):
            raise InputError(f"{clip.path} has no voice, face or words", "look at the clip")
        row: dict[str, Any] = {"heard": end.transcript}
        for name in (*MODALITIES, *(("heard",) if self._words == "both" else ())):
            row |= self._evidence(name, latest.get(name), end.now_s)
        row |= {f"{name}{SEQUENCES}": self._sequence(name, end.course) for name in NAMES.values()}
        row[f"text{SEQUENCES}"] = self._words_of(clip.text or end.transcript, end.now_s)
        return {name: np.asarray(value) for name, value in row.items()}, (*notes, *media.notices)

    def result_of(self, clip: Clip) -> tuple[Status, dict[str, NDArray[Any]]]:
        """Return the status of a clip and, if usable, its arrays."""
        try:
            row, notes = self.extract(clip)
        except MeraError as error:
            return Status(clip.id, False, (str(error),)), {}
        return Status(clip.id, True, notes), row

    def _words_of(self, text: str, now_s: float) -> NDArray[np.float16]:
        """Return the text encoder's results for the whole text and for each of its words."""
        parts = [self._text.accept(part, now_s) for part in [text, *tokens(text)] if part]
        return self._sequence("text", {"text": [piece for piece in parts if piece is not None]})

    def _sequence(self, name: str, course: Mapping[str, list[Evidence]]) -> NDArray[np.float16]:
        """Return embeddings and log-probabilities ``[T, D + 7]``."""
        found = [
            np.concatenate([piece.embedding, np.log(piece.probabilities + 1e-4)])
            for piece in course.get(name, [])
            if piece.embedding is not None
        ]
        width = self._widths[name] + len(EMOTIONS)  # type: ignore[index]
        return np.array(found, np.float16).reshape(len(found), width)

    def _evidence(self, name: str, piece: Evidence | None, now_s: float) -> dict[str, Any]:
        width = self._widths["text" if name == "heard" else name]  # type: ignore[index]
        return {
            f"{name}_embedding": np.zeros(width, np.float32) if piece is None else piece.embedding,
            f"{name}_probabilities": (
                np.full(7, 1 / 7, np.float32) if piece is None else piece.probabilities
            ),
            f"{name}_age_s": np.float32(0 if piece is None else now_s - piece.captured_s),
            f"{name}_present": np.bool_(piece is not None),
        }


class _End:
    """An observer that stores the newest evidence."""

    def __init__(self) -> None:
        self.latest: dict[str, Evidence] = {}
        self.course: dict[str, list[Evidence]] = {}
        """All new evidence by modality, in order."""
        self.now_s, self.transcript = 0.0, ""

    def publish(self, result: TickResult) -> None:
        observation = result.observation
        self.now_s = observation.now_s
        for piece in observation.evidence:
            before = self.latest.get(piece.modality)
            if before is None or piece.captured_s > before.captured_s:
                self.course.setdefault(piece.modality, []).append(piece)
        self.latest |= {piece.modality: piece for piece in observation.evidence}

    def close(self, summary: Summary) -> None:
        self.transcript = summary.transcript
