"""Inputs, predictions and scoring of each role, with the stages of the device.

Used by the command `evaluate`, by the calibration and the quality gate of INT8, and by the training
of the fusion.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from mera_edge.asr import Recognizer
from mera_edge.asr.protocol import finalized
from mera_edge.bundle import Bundle, RoleName
from mera_edge.errors import InputError
from mera_edge.features.audio import AudioBlock
from mera_edge.features.face import decode
from mera_edge.features.fbank import FRAME_SHIFT_S, SAMPLE_RATE, log_mel
from mera_edge.labels import EMOTIONS
from mera_edge.metrics.classification import classification
from mera_edge.metrics.word_error_rate import normalized, word_error_rate
from mera_edge.sources.media import MediaFile
from mera_edge.stages.adapters import adapter
from mera_edge.stages.face import FaceStage
from mera_edge.stages.face_encoder import face_encoder
from mera_edge.stages.text import sentence_encoder
from mera_edge.stages.vad import VoiceActivity
from mera_edge.stages.voice import VoiceStage

Inputs: TypeAlias = Any
"""Input of a predictor: log-mel frames ``[n, 80]`` (samples ``[n]`` for a downloaded voice
encoder), a face crop ``[S, S]`` or a sentence."""


@dataclass(frozen=True)
class Prediction:
    """The output of an encoder for one example."""

    probabilities: NDArray[np.float32]
    """``[C]`` over the labels of its `RoleEvaluator`."""
    embedding: NDArray[np.float32] = field(default_factory=lambda: np.empty(0, np.float32))
    """``[D]``; empty if it is not needed."""


Output: TypeAlias = Prediction | str | None
"""A prediction, or the text of a recognizer; ``None`` without an answer."""


class Predictor(Protocol):
    """A stage that is reset before every example."""

    def __call__(self, inputs: Inputs, chunk: int | None = None) -> Output:
        """Predict one example; a stream is fed ``chunk`` frames at a time, or all at once."""
        ...


Prepare: TypeAlias = Callable[[Any], Inputs | None]


@dataclass(frozen=True)
class RoleEvaluator:
    """Defines the evaluation of one role."""

    metric: str
    """The primary metric, a key of `figures`, higher is better; ``1 - WER`` for transcripts."""
    predictor: Callable[[Bundle], Predictor]
    prepare: Callable[[Bundle], Prepare]
    """Converts raw samples, images or texts to inputs; ``None``: no speech or no face."""
    read: Callable[[str], Any]
    """Reads a file (or passes a text) for ``prepare``."""
    labels: Callable[[Bundle], Sequence[str]] = lambda bundle: EMOTIONS
    given: Literal["file", "text"] = "file"
    """The CSV column with the argument of ``read``."""
    truth: Literal["label", "text"] = "label"
    """Whether the ground truth is a class or a transcript."""
    streaming: bool = False
    silence: str = "none of the {n} examples gets an answer"
    """What `unanswered` says of ``n`` examples."""

    @property
    def classifies(self) -> bool:
        """Whether the role is a classifier."""
        return self.truth == "label"

    def from_file(self, bundle: Bundle) -> Callable[[str], Output]:
        """Return a function that predicts a file or text; it raises `InputError` if unusable."""
        prepare, predict = self.prepare(bundle), self.predictor(bundle)

        def predict_file(given: str) -> Output:
            inputs = prepare(self.read(given))
            return None if inputs is None else predict(inputs)

        return predict_file

    def figures(
        self,
        truth: Sequence[str],
        outputs: Sequence[Output],
        labels: Sequence[str],
        people: Sequence[str] | None = None,
    ) -> dict[str, Any]:
        """Compare outputs with the ground truth; an example without an output counts as wrong.

        Args:
            truth: ``n`` labels or texts.
            outputs: ``n`` outputs.
            labels: the model's labels.
            people: the person of each example, for the confidence intervals.

        Returns:
            The result of `classification` or `word_error_rate`.

        Raises:
            InputError: there are no examples, or the model does not know a label.
        """
        if not self.classifies:
            texts = [normalized(output) if isinstance(output, str) else "" for output in outputs]
            return word_error_rate([normalized(words) for words in truth], texts, people)
        nothing = np.full(len(labels), 1 / len(labels), np.float32)
        predicted = [output for output in outputs if isinstance(output, Prediction)]
        answered = np.array([isinstance(output, Prediction) for output in outputs], bool)
        shares = np.tile(nothing, (len(outputs), 1))
        if predicted:
            shares[answered] = [prediction.probabilities for prediction in predicted]
        return classification(truth, shares, labels, answered, people)

    def unanswered(self, manifest: Path, n: int) -> InputError:
        """Return the error for examples of which none gets an answer."""
        remedy = "look at one of them, and run mera-edge doctor; give examples that show something"
        return InputError(f"{manifest}: {self.silence.format(n=n)}", remedy)

    def value(self, figures: dict[str, Any]) -> float:
        """Return the primary metric, at most 1; ``1 - WER`` can be negative."""
        return float(1 - figures["wer"] if self.metric == "1 - WER" else figures[self.metric])


def samples_of(file: str) -> NDArray[np.float32]:
    """Return the audio of a file, ``[n]`` at 16 kHz.

    Raises:
        InputError: the file cannot be used or has no audio.
    """
    source = MediaFile(Path(file), video=False)
    source.open()
    try:
        sounds = [sound.samples for sound in source.poll(math.inf).audio]
    finally:
        source.close()
    if not sounds:
        raise InputError(f"{file} has no audio", "give a file with an audio track")
    return np.concatenate(sounds)


def _voice(bundle: Bundle) -> Predictor:
    if "voice" in bundle.published:
        return _published_voice(bundle.published["voice"])
    stage = VoiceStage(bundle)

    def predict(inputs: NDArray[np.float32], chunk: int | None = None) -> Output:
        stage.reset()
        newest = None
        for frames, end_s in _chunks(inputs, chunk):
            newest = stage.accept(frames, end_s) or newest
        return None if newest is None else Prediction(newest.probabilities, newest.embedding)

    return predict


def _published_voice(name: str) -> Predictor:
    reader = adapter("voice", name)

    def predict(inputs: NDArray[np.float32], chunk: int | None = None) -> Output:
        seven = reader.read(inputs)
        return None if seven is None else Prediction(seven)

    return predict


def _speech(bundle: Bundle) -> Prepare:
    activity, of_samples = VoiceActivity(bundle), "voice" in bundle.published

    def prepare(samples: NDArray[np.float32]) -> NDArray[np.float32] | None:
        frames = log_mel(samples)
        span = activity.span(frames)
        if span is None:
            return None
        if of_samples:
            begin, end = (round(frame * FRAME_SHIFT_S * SAMPLE_RATE) for frame in span)
            return samples[begin:end]
        return frames[slice(*span)]

    return prepare


def _asr(bundle: Bundle) -> Predictor:
    recognizer = Recognizer(bundle)

    def predict(inputs: NDArray[np.float32], chunk: int | None = None) -> Output:
        recognizer.reset()
        for frames, end_s in _chunks(inputs, chunk):
            recognizer.accept(AudioBlock(frames, end_s))
        recognizer.flush()
        return finalized(recognizer).text

    return predict


def _face(bundle: Bundle) -> Predictor:
    stage = FaceStage(bundle)

    def predict(inputs: NDArray[np.float32], chunk: int | None = None) -> Output:
        reading = stage.read(inputs)
        return Prediction(reading.probabilities, reading.embedding)

    return predict


def _face_crop(bundle: Bundle) -> Prepare:
    return FaceStage(bundle).cut_out


def _face_labels(bundle: Bundle) -> Sequence[str]:
    return face_encoder(bundle).labels


def picture_of(file: str) -> NDArray[np.uint8]:
    """Return the image in a file, ``[H, W, 3]``, BGR.

    Raises:
        InputError: the file cannot be used.
    """
    try:
        data = Path(file).read_bytes()
    except OSError as error:
        raise InputError(f"{file} cannot be read ({error.strerror})", "give a file") from error
    return decode(data, file)


def _text(bundle: Bundle) -> Predictor:
    stage = sentence_encoder(bundle)

    def predict(inputs: str, chunk: int | None = None) -> Output:
        found = stage.accept(inputs, 0.0)
        return None if found is None else Prediction(found.probabilities, found.embedding)

    return predict


def _chunks(
    frames: NDArray[np.float32], size: int | None
) -> Iterator[tuple[NDArray[np.float32], float]]:
    size = size or len(frames)
    for start in range(0, len(frames), size):
        yield frames[start : start + size], min(start + size, len(frames)) * FRAME_SHIFT_S


_UNHEARD = "no speech is detected in any of the {n} recordings"

ROLE_EVALUATORS: dict[RoleName, RoleEvaluator] = {
    "asr": RoleEvaluator(
        "1 - WER",
        _asr,
        lambda bundle: log_mel,
        samples_of,
        truth="text",
        streaming=True,
        silence=_UNHEARD,
    ),
    "voice": RoleEvaluator("uar", _voice, _speech, samples_of, streaming=True, silence=_UNHEARD),
    "face": RoleEvaluator(
        "accuracy",
        _face,
        _face_crop,
        picture_of,
        _face_labels,
        silence="no face is found in any of the {n} pictures",
    ),
    "text": RoleEvaluator(
        "macro_f1",
        _text,
        lambda bundle: str,
        str,
        given="text",
        silence="none of the {n} texts contains words",
    ),
}
"""Evaluators of the roles that training and export evaluate."""
