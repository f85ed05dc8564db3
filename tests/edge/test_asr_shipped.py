"""The recognizer that ships in the default bundle."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from sherpa import theirs as by_sherpa

from mera_edge.asr import Recognizer, finalized, open_recognizer
from mera_edge.bundle import Bundle
from mera_edge.config import RecognitionSettings
from mera_edge.errors import ConfigError, InputError
from mera_edge.features.audio import AudioBlock
from mera_edge.features.fbank import SAMPLE_RATE, LogMel, log_mel
from mera_edge.metrics.word_error_rate import distance


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return Bundle.open()


@pytest.mark.parametrize("seconds", [(0.0, 4.0), (4.0, 8.0), (8.0, 12.0)])
def test_recognizer_gives_the_same_text_as_sherpa_onnx(
    bundle: Bundle, talk: NDArray[np.float32], seconds: tuple[float, float]
) -> None:
    samples = talk[int(seconds[0] * SAMPLE_RATE) : int(seconds[1] * SAMPLE_RATE)]
    theirs, _ = by_sherpa(bundle)(samples)
    ours = Recognizer(bundle, RecognitionSettings(search="greedy"))
    ours.accept(AudioBlock(LogMel().accept(samples), seconds[1] - seconds[0]))
    assert ours.partial().text
    # Two versions of ONNX Runtime round sums of eight bits differently: near ties fall either way.
    assert distance(ours.partial().text, theirs) <= 1


def test_silence_gives_no_words(bundle: Bundle) -> None:
    recognizer = Recognizer(bundle)
    recognizer.accept(AudioBlock(log_mel(np.zeros(5 * SAMPLE_RATE, np.float32)), 5.0))
    assert recognizer.is_endpoint()
    recognizer.flush()
    final = finalized(recognizer)
    assert (final.text, final.confidence, final.final) == ("", 0.0, True)


def test_clipped_audio_keeps_the_label(bundle: Bundle, talk: NDArray[np.float32]) -> None:
    recognizer = Recognizer(bundle)
    recognizer.accept(AudioBlock(log_mel(np.clip(talk * 100, -1, 1)), 12.0))
    recognizer.flush()
    assert all(0 < word.confidence <= 1 for word in finalized(recognizer).words)


@pytest.fixture
def published(bundle: Bundle, tmp_path: Path) -> Path:
    """The shipped recognizer as a directory of sherpa-onnx."""
    role = bundle.role("asr")
    shutil.copy(role.path(), tmp_path / "model.onnx")
    shutil.copy(role.path("tokens"), tmp_path / "tokens.txt")
    return tmp_path


def test_a_published_model_takes_the_recognizers_place(
    bundle: Bundle, talk: NDArray[np.float32], published: Path
) -> None:
    ours = open_recognizer(bundle, RecognitionSettings(search="greedy"))
    theirs = open_recognizer(bundle, RecognitionSettings(model=f"sherpa:{published}"))
    heard = []
    for recognizer in (ours, theirs):
        log_mel, said = LogMel(), []
        for begin in range(0, len(talk), 3200):
            samples = talk[begin : begin + 3200]
            end_s = (begin + len(samples)) / SAMPLE_RATE
            recognizer.accept(AudioBlock(log_mel.accept(samples), end_s, samples))
            if recognizer.is_endpoint():
                said.append(finalized(recognizer))
        recognizer.flush()
        said.append(finalized(recognizer))
        heard.append(said)
    texts = [" ".join(one.text for one in said).split() for said in heard]
    assert distance(texts[0], texts[1]) <= 0.1 * len(texts[0]), "utterances may end elsewhere"
    words = [word for one in heard[1] for word in one.words]
    assert [word.text for word in words] == texts[1]
    times = [time for word in words for time in (word.start_s, word.end_s)]
    assert times == sorted(times) and 0 < times[-1] <= len(talk) / SAMPLE_RATE
    assert heard[1][-1].final


def test_a_directory_that_is_no_published_model_says_why(
    bundle: Bundle, published: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def open_it(**how: object) -> None:
        open_recognizer(bundle, RecognitionSettings(model=f"sherpa:{published}", **how))

    with pytest.raises(InputError, match="hot words"):
        open_it(hot_words=("anna",))
    with pytest.raises(ConfigError, match="sherpa:DIR"):
        open_recognizer(bundle, RecognitionSettings(model="whisper"))
    monkeypatch.setenv("MERA_EDGE_MODELS", str(tmp_path))
    with pytest.raises(InputError, match="models pull zipformer-en"):
        open_recognizer(bundle, RecognitionSettings(model="sherpa:zipformer-en"))
    shutil.copy(bundle.role("voice").path(), published / "model.onnx")
    with pytest.raises(InputError, match="neither a Zipformer nor a WeNet"):
        open_it()
    (published / "model.onnx").rename(published / "encoder.onnx")
    with pytest.raises(InputError, match="no streaming model"):
        open_it()
    (published / "tokens.txt").unlink()
    with pytest.raises(InputError, match=r"tokens\.txt does not exist"):
        open_it()
