"""How well a bundle does on labelled examples, through the same stages that a device runs."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from mera_edge import table
from mera_edge.asr import SpeechRecognizer, open_recognizer
from mera_edge.asr.transcribe import transcribe_file
from mera_edge.bundle import Bundle
from mera_edge.config import RECOGNITION, RecognitionSettings
from mera_edge.errors import InputError
from mera_edge.evaluation import labelled_csv
from mera_edge.features.fbank import log_mel
from mera_edge.labels import EMOTIONS
from mera_edge.metrics.classification import classification
from mera_edge.metrics.word_error_rate import normalized, word_error_rate
from mera_edge.pipeline.mode import Offline
from mera_edge.pipeline.pipeline import Pipeline
from mera_edge.service.clock import VirtualClock
from mera_edge.service.run_loop import run
from mera_edge.sources.media import MediaFile
from mera_edge.stages.face import FaceStage
from mera_edge.stages.text import TextStage
from mera_edge.stages.vad import VoiceActivity
from mera_edge.stages.voice import VoiceStage

RoleToEvaluate = Literal["asr", "voice", "face", "text", "fused"]
ROLES: tuple[RoleToEvaluate, ...] = get_args(RoleToEvaluate)

Answer = Callable[[str], "NDArray[np.float32] | None"]
"""From a row's file or text to probabilities; ``None`` where there is nothing to say."""

Progress = Callable[[Sequence[labelled_csv.Row]], "Sequence[labelled_csv.Row]"]


def evaluate(
    role: RoleToEvaluate,
    manifest: Path,
    bundle: Bundle,
    progress: Progress = lambda rows: rows,
    recognition: RecognitionSettings = RECOGNITION,
    skip_bad: int = 0,
) -> dict[str, Any]:
    """Run every row of ``manifest`` through the bundle and compare.

    Args:
        role: what to evaluate; ``fused`` runs whole clips through the pipeline.
        manifest: a CSV with ``file,label`` (voice, face, fused), ``text,label`` (text) or
            ``file,text`` (asr).
        progress: wraps the rows, to show how far it is.
        recognition: for asr, how speech is recognized.
        skip_bad: how many rows that cannot be used may be left out.

    Returns:
        For asr the figures of `word_error_rate` and ``real_time_factor``, else the metrics of
        `classification` (both in `mera_edge.metrics`): a row about which the device had nothing
        to say (no speech, no words) is unanswered, hence wrong. ``skipped``: why rows
        were left out.

    Raises:
        InputError: a row cannot be used; the message names its line.
    """
    skipped = table.Skipped(skip_bad)
    if role == "asr":
        rows = progress(labelled_csv.read(manifest, "file", "text", skipped=skipped))
        found = _recognition(rows, manifest, open_recognizer(bundle, recognition), skipped)
    else:
        labels, answer = _ANSWERS[role](bundle)
        given: Literal["file", "text"] = "text" if role == "text" else "file"
        rows = progress(labelled_csv.read(manifest, given, "label", labels, skipped))
        found = _classification(rows, manifest, labels, answer, skipped)
    return {"role": role, **found, "skipped": skipped.faults}


def _classification(
    rows: Sequence[labelled_csv.Row],
    manifest: Path,
    labels: Sequence[str],
    answer: Answer,
    skipped: table.Skipped,
) -> dict[str, Any]:
    truth, answers = [], []
    for row in rows:
        try:
            answers.append(answer(row.given))
        except InputError as error:
            skipped.add(InputError(f"{manifest}, line {row.line}: {error.what}", error.remedy))
        else:
            truth.append(row.label)
    return _judged(answers, truth, labels)


def judge(role: str, bundle: Bundle, given: Sequence[str], truth: Sequence[str]) -> dict[str, Any]:
    """Return the metrics of a bundle's answers to files or texts; as `evaluate`, without a CSV.

    Args:
        role: voice, face, text or fused.
        given: ``n`` files or texts.
        truth: their labels.
    """
    labels, answer = _ANSWERS[role](bundle)
    return _judged([answer(one) for one in given], truth, labels)


def _judged(
    answers: Sequence[NDArray[np.float32] | None], truth: Sequence[str], labels: Sequence[str]
) -> dict[str, Any]:
    nothing = np.full(len(labels), 1 / len(labels), np.float32)
    shares = np.array([nothing if said is None else said for said in answers])
    return classification(truth, shares, labels, np.array([said is not None for said in answers]))


def _recognition(
    rows: Sequence[labelled_csv.Row],
    manifest: Path,
    recognizer: SpeechRecognizer,
    skipped: table.Skipped,
) -> dict[str, Any]:
    references, hypotheses = [], []
    began, heard_s = time.perf_counter(), 0.0
    for row in rows:
        try:
            transcript = transcribe_file(recognizer, Path(row.given))
        except InputError as error:
            skipped.add(InputError(f"{manifest}, line {row.line}: {error.what}", error.remedy))
            continue
        references.append(normalized(row.label))
        hypotheses.append(normalized(transcript.text))
        heard_s += transcript.duration_s
    rates = word_error_rate(references, hypotheses)
    took = time.perf_counter() - began
    return {**rates, "real_time_factor": took / heard_s if heard_s else 0.0}


def _voice(bundle: Bundle) -> tuple[Sequence[str], Answer]:
    stage, activity = VoiceStage(bundle), VoiceActivity(bundle)

    def answer(file: str) -> NDArray[np.float32] | None:
        source = MediaFile(Path(file), video=False)
        source.open()
        try:
            sounds = [sound.samples for sound in source.poll(math.inf).audio]
        finally:
            source.close()
        if not sounds:
            raise InputError(f"{file} has no sound", "give a file with a sound track")
        frames = log_mel(np.concatenate(sounds))
        span = activity.span(frames)
        if span is None:
            return None
        stage.reset()
        evidence = stage.accept(frames[slice(*span)], 0.0)
        return None if evidence is None else evidence.probabilities

    return EMOTIONS, answer


def _face(bundle: Bundle) -> tuple[Sequence[str], Answer]:
    stage = FaceStage(bundle)
    return stage.labels, lambda file: stage.classify_file(Path(file)).probabilities


def _text(bundle: Bundle) -> tuple[Sequence[str], Answer]:
    stage = TextStage(bundle)

    def answer(text: str) -> NDArray[np.float32] | None:
        evidence = stage.accept(text, 0.0)
        return None if evidence is None else evidence.probabilities

    return EMOTIONS, answer


def _fused(bundle: Bundle) -> tuple[Sequence[str], Answer]:
    pipeline = Pipeline(bundle, Offline())
    pipeline.warm_up()

    def answer(file: str) -> NDArray[np.float32] | None:
        media = MediaFile(Path(file))
        summary = run(pipeline, [media], VirtualClock(), [], threading.Event(), file=file)
        if summary.emotion is None:
            return None
        return np.array(list(summary.emotion.probabilities.values()), np.float32)

    return EMOTIONS, answer


_ANSWERS: dict[str, Callable[[Bundle], tuple[Sequence[str], Answer]]] = {
    "voice": _voice,
    "face": _face,
    "text": _text,
    "fused": _fused,
}
