"""Evaluates a bundle on labelled examples, with the same stages that run on a device."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from mera_edge import table
from mera_edge.asr import SpeechRecognizer, open_recognizer
from mera_edge.asr.transcribe import FileTranscript, transcribe_file
from mera_edge.bundle import Bundle
from mera_edge.config import RECOGNITION, RecognitionSettings
from mera_edge.errors import InputError
from mera_edge.evaluation import labelled_csv
from mera_edge.evaluation.role_evaluators import (
    ROLE_EVALUATORS,
    Output,
    Prediction,
    Predictor,
    RoleEvaluator,
    picture_of,
    samples_of,
)
from mera_edge.features.audio import AudioBlock
from mera_edge.features.face import Image
from mera_edge.features.fbank import SAMPLE_RATE, LogMel, log_mel
from mera_edge.pipeline.mode import Offline
from mera_edge.pipeline.pipeline import Pipeline
from mera_edge.service.clock import VirtualClock
from mera_edge.service.run_loop import run
from mera_edge.sources.media import MediaFile
from mera_edge.stages.face_detector import face_detector
from mera_edge.stages.vad import VoiceActivity, speech_detector

Progress = Callable[[Sequence[labelled_csv.Row]], "Sequence[labelled_csv.Row]"]
Found = TypeVar("Found")


def evaluate(
    role: str,
    manifest: Path,
    bundle: Bundle,
    progress: Progress = lambda rows: rows,
    recognition: RecognitionSettings = RECOGNITION,
    skip_bad: int = 0,
) -> dict[str, Any]:
    """Evaluate a bundle on every row of ``manifest``.

    Args:
        role: a key of `EVALUATORS`.
        manifest: a CSV file with ``file,label`` (voice, face, fused; vad with the labels *speech*
            and *noise*; face_detector with *face* and *none*), ``text,label`` (text) or
            ``file,text`` (asr). A further column ``person`` in every row gives intervals over
            people.
        progress: wraps the rows, to show progress.
        recognition: for asr, the settings of the recognizer.
        skip_bad: number of unusable rows that may be skipped.

    Returns:
        For asr the figures of `word_error_rate` and ``real_time_factor``, else the metrics of
        `classification` (both in `mera_edge.metrics`): a row without an answer (no speech, no
        words, no face) counts as wrong. ``skipped``: the reasons of skipped rows.

    Raises:
        InputError: a row cannot be used, and the message names its line; or no row gets an answer.
    """
    skipped = table.Skipped(skip_bad)
    evaluator = EVALUATORS[role]
    labels = evaluator.labels(bundle)
    rows = progress(labelled_csv.read(manifest, evaluator.given, evaluator.truth, labels, skipped))
    if role == "asr":
        recognizer, activity = open_recognizer(bundle, recognition), VoiceActivity(bundle)
        found = _recognition(rows, manifest, recognizer, activity, skipped)
    else:
        found = _prediction(rows, manifest, evaluator, bundle, skipped)
    return {"role": role, **found, "skipped": skipped.faults}


def _prediction(
    rows: Sequence[labelled_csv.Row],
    manifest: Path,
    evaluator: RoleEvaluator,
    bundle: Bundle,
    skipped: table.Skipped,
) -> dict[str, Any]:
    found = list(_usable(rows, manifest, evaluator.from_file(bundle), skipped))
    truth, outputs = [row.label for row, _ in found], [output for _, output in found]
    if outputs and not any(outputs):
        raise evaluator.unanswered(manifest, len(outputs))
    return evaluator.figures(truth, outputs, evaluator.labels(bundle), _people(found))


def _people(found: Sequence[tuple[labelled_csv.Row, Any]]) -> list[str] | None:
    """Return the person of each row, unless a row has none."""
    people = [row.person for row, _ in found]
    return people if all(people) else None


def _usable(
    rows: Sequence[labelled_csv.Row],
    manifest: Path,
    predict: Callable[[str], Found],
    skipped: table.Skipped,
) -> Iterator[tuple[labelled_csv.Row, Found]]:
    """Yield the usable rows, each with the result of ``predict``."""
    for row in rows:
        try:
            output = predict(row.given)
        except InputError as error:
            skipped.add(InputError(f"{manifest}, line {row.line}: {error.what}", error.remedy))
        else:
            yield row, output


def answers(role: str, bundle: Bundle, given: Sequence[str]) -> list[Output]:
    """Return a bundle's answers for files or texts, obtained as in `evaluate`.

    Args:
        role: a key of `EVALUATORS`.
        bundle: the models.
        given: files or texts.
    """
    return list(map(EVALUATORS[role].from_file(bundle), given))


def _recognition(
    rows: Sequence[labelled_csv.Row],
    manifest: Path,
    recognizer: SpeechRecognizer,
    activity: VoiceActivity,
    skipped: table.Skipped,
) -> dict[str, Any]:
    began = time.perf_counter()

    def transcribe(file: str) -> FileTranscript:
        return transcribe_file(recognizer, Path(file), activity=activity)

    found = list(_usable(rows, manifest, transcribe, skipped))
    references, hypotheses = [row.label for row, _ in found], [heard.text for _, heard in found]
    if found and not any(hypotheses) and not any(_speaks(row.given, activity) for row, _ in found):
        raise EVALUATORS["asr"].unanswered(manifest, len(found))
    heard_s = sum(heard.duration_s for _, heard in found)
    rates = EVALUATORS["asr"].figures(references, hypotheses, (), _people(found))
    took = time.perf_counter() - began
    return {**rates, "real_time_factor": took / heard_s if heard_s else 0.0}


def _speaks(file: str, activity: VoiceActivity) -> bool:
    return activity.span(log_mel(samples_of(file))) is not None


def _speech_or_noise(bundle: Bundle) -> Sequence[str]:
    return ("speech", "noise")


def _fused(bundle: Bundle) -> Predictor:
    pipeline = Pipeline(bundle, Offline())
    pipeline.warm_up()

    def predict(inputs: str, chunk: int | None = None) -> Output:
        media = MediaFile(Path(inputs))
        summary = run(pipeline, [media], VirtualClock(), [], threading.Event(), file=inputs)
        if summary.emotion is None:
            return None
        return Prediction(np.array(list(summary.emotion.probabilities.values()), np.float32))

    return predict


FUSED = RoleEvaluator(
    "macro_f1",
    _fused,
    lambda bundle: str,
    str,
    silence="no face and no speech is found in any of the {n} clips",
)
"""Evaluates the whole pipeline on clips."""


def _vad(bundle: Bundle) -> Predictor:
    detector = speech_detector(bundle)

    def predict(inputs: NDArray[np.float32], chunk: int | None = None) -> Output:
        detector.reset()
        spoken, heard = 0, LogMel()
        starts = range(0, len(inputs), _PIECE)
        for start in starts:
            samples = inputs[start : start + _PIECE]
            block = AudioBlock(heard.accept(samples), (start + len(samples)) / SAMPLE_RATE, samples)
            spoken += detector.accept_block(block)
        share = np.float32(spoken > 0)
        return Prediction(np.array([share, 1 - share], np.float32))

    return predict


_PIECE = SAMPLE_RATE // 5
VAD = RoleEvaluator(
    "uar", _vad, lambda bundle: lambda samples: samples, samples_of, _speech_or_noise
)
"""Detection of speech anywhere in a recording."""


def _face_or_none(bundle: Bundle) -> Sequence[str]:
    return ("face", "none")


def _face_detector(bundle: Bundle) -> Predictor:
    detector = face_detector(bundle)

    def predict(inputs: Image, chunk: int | None = None) -> Output:
        found = np.float32(bool(detector.find(inputs)))
        return Prediction(np.array([found, 1 - found], np.float32))

    return predict


FACE_DETECTOR = RoleEvaluator(
    "uar", _face_detector, lambda bundle: lambda picture: picture, picture_of, _face_or_none
)
"""Detection of a face anywhere in an image."""

EVALUATORS: dict[str, RoleEvaluator] = {
    **dict(ROLE_EVALUATORS.items()),
    "vad": VAD,
    "face_detector": FACE_DETECTOR,
    "fused": FUSED,
}
"""Evaluators by role; ``fused`` stands for the whole pipeline."""
