"""How well a bundle does on labelled examples, through the same stages that a device runs."""

from __future__ import annotations

import math
import re
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from mera_edge import labelled
from mera_edge.asr.choose import SpeechRecognizer, choose
from mera_edge.asr.evaluate import word_error_rate
from mera_edge.asr.transcribe import transcribe_file
from mera_edge.bundle import Bundle
from mera_edge.config import RECOGNITION, RecognitionSettings
from mera_edge.errors import InputError
from mera_edge.evaluation import classification
from mera_edge.features.fbank import log_mel
from mera_edge.labels import EMOTIONS
from mera_edge.runtime.clock import VirtualClock
from mera_edge.runtime.pipeline import Pipeline
from mera_edge.runtime.session import run
from mera_edge.sources.media import MediaFile
from mera_edge.stages.face import FaceStage
from mera_edge.stages.text import TextStage
from mera_edge.stages.voice import VoiceStage

RoleToEvaluate = Literal["asr", "voice", "face", "text", "fused"]
ROLES: tuple[RoleToEvaluate, ...] = get_args(RoleToEvaluate)

Answer = Callable[[str], "NDArray[np.float32] | None"]
"""From a row's file or text to probabilities; ``None`` where there is nothing to say."""

Progress = Callable[[Sequence[labelled.Row]], "Sequence[labelled.Row]"]


def evaluate(
    role: RoleToEvaluate,
    manifest: Path,
    bundle: Bundle,
    progress: Progress = lambda rows: rows,
    recognition: RecognitionSettings = RECOGNITION,
) -> dict[str, Any]:
    """Run every row of ``manifest`` through the bundle and compare.

    Args:
        role: what to evaluate; ``fused`` runs whole clips through the pipeline.
        manifest: a CSV with ``file,label`` (voice, face, fused), ``text,label`` (text) or
            ``file,text`` (asr).
        progress: wraps the rows, to show how far it is.
        recognition: for asr, how speech is recognized.

    Returns:
        For asr ``wer``, ``cer`` and ``real_time_factor``, else the metrics of
        `mera_edge.evaluation.classification` and ``unanswered``: rows about which the model had
        nothing to say (no speech, no words), counted as undecided among all labels.

    Raises:
        InputError: a row cannot be used; the message names its line.
    """
    if role == "asr":
        rows = progress(labelled.read(manifest, "file", "text"))
        return _recognition(rows, manifest, choose(bundle, recognition))
    labels, answer = _ANSWERS[role](bundle)
    rows = labelled.read(manifest, "text" if role == "text" else "file", "label", labels)
    probabilities = np.full((len(rows), len(labels)), 1 / len(labels), np.float32)
    unanswered = 0
    for index, row in enumerate(progress(rows)):
        try:
            said = answer(row.given)
        except InputError as error:
            raise InputError(f"{manifest}, line {row.line}: {error}") from error
        if said is None:
            unanswered += 1
        else:
            probabilities[index] = said
    metrics = classification([row.label for row in rows], probabilities, labels)
    return {"role": role, **metrics, "unanswered": unanswered}


def _recognition(
    rows: Sequence[labelled.Row], manifest: Path, recognizer: SpeechRecognizer
) -> dict[str, Any]:
    references, hypotheses = [], []
    began, heard_s = time.perf_counter(), 0.0
    for row in rows:
        try:
            transcript = transcribe_file(recognizer, Path(row.given))
        except InputError as error:
            raise InputError(f"{manifest}, line {row.line}: {error}") from error
        references.append(spoken(row.label))
        hypotheses.append(spoken(transcript.text))
        heard_s += transcript.duration_s
    rates = word_error_rate(references, hypotheses)
    took = time.perf_counter() - began
    return {"role": "asr", **rates, "real_time_factor": took / heard_s if heard_s else 0.0}


def spoken(text: str) -> str:
    """Return the words of a transcript: lower case, without punctuation but apostrophes."""
    return " ".join(re.sub(r"[^\w']|_", " ", text.lower().replace("’", "'")).split())


def _voice(bundle: Bundle) -> tuple[Sequence[str], Answer]:
    stage = VoiceStage(bundle)

    def answer(file: str) -> NDArray[np.float32] | None:
        source = MediaFile(Path(file), picture=False)
        source.open()
        try:
            sounds = [sound.samples for sound in source.poll(math.inf).sounds]
        finally:
            source.close()
        if not sounds:
            raise InputError(f"{file} has no sound", "give a file with a sound track")
        stage.reset()
        evidence = stage.accept(log_mel(np.concatenate(sounds)), 0.0)
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
    pipeline = Pipeline(bundle)
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
