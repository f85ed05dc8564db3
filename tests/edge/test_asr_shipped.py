"""The recognizer that ships in the default bundle."""

import numpy as np
import pytest
import sherpa_onnx
from numpy.typing import NDArray

from mera_edge.asr import Recognizer
from mera_edge.bundle import Bundle
from mera_edge.config import RecognitionSettings
from mera_edge.features.fbank import SAMPLE_RATE, LogMel, log_mel
from mera_edge.sample import CLIP
from mera_edge.sources.media import MediaFile


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return Bundle.open()


@pytest.fixture(scope="module")
def speech() -> NDArray[np.float32]:
    """The synthesised speech of the sample clip."""
    source = MediaFile(CLIP, picture=False)
    source.open()
    sounds = source.poll(float("inf")).sounds
    source.close()
    return np.concatenate([sound.samples for sound in sounds])


@pytest.mark.parametrize("seconds", [(0.0, 4.0), (4.0, 8.0), (8.0, 12.0)])
def test_sherpa_onnx_hears_the_same_in_the_same_file(
    bundle: Bundle, speech: NDArray[np.float32], seconds: tuple[float, float]
) -> None:
    samples = speech[int(seconds[0] * SAMPLE_RATE) : int(seconds[1] * SAMPLE_RATE)]
    role = bundle.role("asr")
    theirs = sherpa_onnx.OnlineRecognizer.from_wenet_ctc(
        tokens=str(role.path("tokens")),
        model=str(role.path()),
        num_threads=1,
        chunk_size=role.entry.settings["chunk_size"],
        num_left_chunks=role.entry.settings["left_chunks"],
    )
    stream = theirs.create_stream()
    stream.accept_waveform(SAMPLE_RATE, samples)
    while theirs.is_ready(stream):
        theirs.decode_stream(stream)
    ours = Recognizer(bundle, RecognitionSettings(search="greedy"))
    ours.accept(LogMel().accept(samples), seconds[1] - seconds[0])
    assert ours.hypothesis.text == theirs.get_result(stream).strip()
    assert ours.hypothesis.text


def test_nothing_is_heard_in_silence(bundle: Bundle) -> None:
    recognizer = Recognizer(bundle)
    recognizer.accept(log_mel(np.zeros(5 * SAMPLE_RATE, np.float32)), 5.0)
    assert recognizer.is_endpoint()
    recognizer.flush()
    assert recognizer.hypothesis.text == ""
    assert recognizer.hypothesis.confidence == 0.0


def test_clipped_sound_does_no_harm(bundle: Bundle, speech: NDArray[np.float32]) -> None:
    recognizer = Recognizer(bundle)
    recognizer.accept(log_mel(np.clip(speech * 100, -1, 1)), 12.0)
    recognizer.flush()
    assert all(0 < word.confidence <= 1 for word in recognizer.hypothesis.words)
