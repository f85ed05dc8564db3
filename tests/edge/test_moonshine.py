"""A recognizer of whole utterances, on a made-up model with Moonshine's interface."""

from __future__ import annotations

import importlib
import math
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from mera_edge.asr.alternatives import Words
from mera_edge.asr.factory import open_recognizer
from mera_edge.asr.hot_words import misheard
from mera_edge.asr.joint_rescoring import written
from mera_edge.asr.moonshine import FILES, Moonshine
from mera_edge.asr.recognizer import Recognizer
from mera_edge.asr.two_pass import TwoPass
from mera_edge.asr.utterance import repeats
from mera_edge.bundle import Bundle, catalogue
from mera_edge.bundle.catalogue import Published
from mera_edge.bundle.manifest import sha256
from mera_edge.bundle.pull import pull
from mera_edge.config import RecognitionSettings
from mera_edge.errors import EngineError, MeraError
from mera_edge.metrics.word_error_rate import normalized

VOCABULARY = ["<unk>", "<s>", "</s>", "\u2581the", "\u2581door", "s"]
HEADS, WIDTH = 2, 4


def _value(name: str, kind: int, shape: list[int | str]) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, kind, shape)


def _save(path: Path, nodes: list, inputs: list, outputs: list, constants: dict) -> None:
    tensors = [numpy_helper.from_array(value, name) for name, value in constants.items()]
    graph = helper.make_graph(nodes, path.stem, inputs, outputs, tensors)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    # ONNX Runtime's own format, as the published files have it.
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(path)
    options.add_session_config_entry("session.save_model_format", "ORT")
    onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )


def published(
    folder: Path,
    following: dict[int, int],
    vocabulary: list[str] = VOCABULARY,
    nearly: dict[int, int] | None = None,
) -> Path:
    """Write a model whose decoder says after each token the one that follows it, and nearly
    another."""
    node = helper.make_node
    _save(
        folder / "encoder_model.ort",
        [node("Unsqueeze", ["input_values", "last"], ["hidden"])],
        [_value("input_values", TensorProto.FLOAT, ["b", "n"])],
        [_value("hidden", TensorProto.FLOAT, ["b", "n", 1])],
        {"last": np.array([2], np.int64)},
    )
    table = np.full((len(vocabulary),) * 2, -2.0, np.float32)
    for token, newest in (nearly or {}).items():
        table[token, newest] = 5.0
    for token, newest in following.items():
        table[token, newest] = 6.0
    cache = "past_key_values.0.decoder.key"
    _save(
        folder / "decoder_model_merged.ort",
        [
            node("Gather", ["table", "input_ids"], ["logits"]),
            node("Concat", [cache, "column"], ["present.0.decoder.key"], axis=2),
        ],
        [
            _value("input_ids", TensorProto.INT64, ["b", "s"]),
            _value("encoder_hidden_states", TensorProto.FLOAT, ["b", "n", 1]),
            _value("use_cache_branch", TensorProto.BOOL, [1]),
            _value(cache, TensorProto.FLOAT, ["b", HEADS, "p", WIDTH]),
        ],
        [
            _value("logits", TensorProto.FLOAT, ["b", "s", len(vocabulary)]),
            _value("present.0.decoder.key", TensorProto.FLOAT, ["b", HEADS, "q", WIDTH]),
        ],
        {"table": table, "column": np.ones((1, HEADS, 1, WIDTH), np.float32)},
    )
    tokens = b"".join(bytes([len(t.encode())]) + t.encode() for t in vocabulary)
    (folder / "tokenizer.bin").write_bytes(tokens)
    return folder


def test_words_are_joined_with_their_confidence(tmp_path: Path) -> None:
    model = Moonshine(published(tmp_path, {1: 3, 3: 4, 4: 5, 5: 2}))
    said = model.recognize(np.zeros(16_000, np.float32))
    assert said.text == "the doors"
    wanted = -np.log(1 + (len(VOCABULARY) - 1) * np.exp(-8))
    assert said.log_probability == pytest.approx(wanted, abs=1e-6)


@pytest.mark.parametrize("samples", [0, 1, 3_999, 160_000])
def test_sound_of_any_length_is_taken(tmp_path: Path, samples: int) -> None:
    model = Moonshine(published(tmp_path, {1: 3, 3: 2}))
    assert model.recognize(np.zeros(samples, np.float32)).text == "the"


def test_a_decoder_that_repeats_itself_is_stopped(tmp_path: Path) -> None:
    model = Moonshine(published(tmp_path, {1: 3, 3: 4, 4: 3}))
    said = model.recognize(np.zeros(60 * 16_000, np.float32))
    assert said.text.split() == ["the", "door"] * 4


def test_a_decoder_that_never_ends_is_bounded_by_the_sound(tmp_path: Path) -> None:
    model = Moonshine(published(tmp_path, {1: 3, 3: 3}))
    assert len(model.recognize(np.zeros(4_000, np.float32)).text.split()) <= 6


@pytest.mark.parametrize("name", ["encoder_model.ort", "decoder_model_merged.ort", "tokenizer.bin"])
def test_a_missing_model_file_is_named(tmp_path: Path, name: str) -> None:
    (published(tmp_path, {1: 2}) / name).unlink()
    with pytest.raises(EngineError, match=name):
        Moonshine(tmp_path)


@pytest.mark.parametrize(
    ("hot_words", "boost", "text"),
    [
        ((), 1.5, "anne"),
        (("anna",), 1.5, "anna"),
        (("anna",), 0.1, "anne"),
        (("anton", "zoë"), 1.5, "anne"),
        (("anne",), 1.5, "anne"),
        (("banana",), 9.0, "anne"),
    ],
)
def test_a_hot_word_takes_the_place_of_what_sounds_like_it_if_it_is_likelier(
    tmp_path: Path, hot_words: tuple[str, ...], boost: float, text: str
) -> None:
    vocabulary = ["<unk>", "<s>", "</s>", "\u2581a", "\u2581an", "ne", "na"]
    model = published(tmp_path, {1: 4, 4: 5, 5: 2, 6: 2}, vocabulary, {4: 6})
    said = Moonshine(model, hot_words, boost).recognize(np.zeros(16_000, np.float32))
    assert said.text == text
    assert len(said.words) == 1 and said.log_probability < 0


class Heard:
    """A streaming pass that prefers one text to all others, by so many nats."""

    def __init__(self, text: str, nats: float) -> None:
        self.texts = (tuple(text.split()),)
        self._nats = nats

    def scores(self, texts: Iterable[Words]) -> dict[Words, float]:
        return {text: self._nats if text in self.texts else 0.0 for text in texts}


@pytest.mark.parametrize(
    ("streamed", "nats", "text"),
    [
        ("a bs", 0.0, "A b."),
        ("a bs", 20.0, "A bs."),
        ("a bs", -math.inf, "A b."),
        ("a zoo", 99.0, "A b."),
        ("", 99.0, "A b."),
    ],
)
def test_where_it_is_not_sure_the_streaming_pass_is_asked_too(
    tmp_path: Path, streamed: str, nats: float, text: str
) -> None:
    vocabulary = ["<unk>", "<s>", "</s>", "\u2581A", "\u2581b", "s", "."]
    following, nearly = {1: 3, 3: 4, 4: 6, 5: 6, 6: 2}, {1: 0, 3: 0, 4: 5, 6: 0}
    model = Moonshine(published(tmp_path, following, vocabulary, nearly))
    said = model.recognize(np.zeros(16_000, np.float32), Heard(streamed, nats))
    assert said.text == "A b." and said.log_probability < -0.3
    assert said.joint is not None and said.joint.text == text
    assert len(said.joint.words) == 2


def test_repeated_scoring_equals_immediate_scoring(
    tmp_path: Path,
) -> None:
    vocabulary = ["<unk>", "<s>", "</s>", "\u2581A", "\u2581b", "s", "."]
    following, nearly = {1: 3, 3: 4, 4: 6, 5: 6, 6: 2}, {1: 0, 3: 0, 4: 5, 6: 0}
    directory = published(tmp_path, following, vocabulary, nearly)
    model, sound, heard = Moonshine(directory), np.zeros(16_000, np.float32), Heard("a bs", 99.0)
    first, again = model.recognize(sound), model.recognize(sound, heard)
    assert first.joint is None and again.joint is not None
    assert again == Moonshine(directory).recognize(sound, heard)


def test_confident_final_text_needs_no_rescoring(tmp_path: Path) -> None:
    model = Moonshine(published(tmp_path, {1: 3, 3: 2}))
    assert model.recognize(np.zeros(16_000, np.float32), Heard("other", 99.0)).joint is None


_WORDS = st.lists(st.sampled_from(["a", "b", "cat", "it's"]), min_size=1, max_size=6)


@given(_WORDS, _WORDS, st.sampled_from(["", ".", "?"]))
def test_text_is_written_as_recognized_with_the_same_meaning(
    words: list[str], heard: list[str], ending: str
) -> None:
    text = written(tuple(words), " ".join(heard).capitalize() + ending)
    assert normalized(text).split() == words
    assert text[0] == text[0].upper() and text.endswith(ending)
    there = " ".join(words).capitalize() + ending
    assert written(tuple(words), there) == there


def test_hot_word_replaces_two_words_and_keeps_punctuation() -> None:
    changed = dict(misheard("So many deaver ing, friends.", ["endeavouring"]))
    assert "So many endeavouring, friends." in changed
    assert not list(misheard("So many friends.", ["endeavouring"]))


@given(st.lists(st.integers(0, 3), max_size=30))
def test_a_repetition_is_four_times_the_same_at_the_end(tokens: list[int]) -> None:
    cycles = range(1, len(tokens) // 4 + 1)
    wanted = any(tokens[-4 * n :] == tokens[-n:] * 4 for n in cycles if n <= 12)
    assert repeats(tokens) == wanted


@pytest.fixture
def pulled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A catalogue with the made-up model, and the folder where pulled models lie."""
    models = tmp_path / "models"
    monkeypatch.setenv("MERA_EDGE_MODELS", str(models))
    source = tmp_path / "published"
    source.mkdir()
    published(source, {1: 3, 3: 4, 4: 2})
    files = {name: sha256(source / name) for name in FILES}
    final = Published(role="asr_final", kind="moonshine", licence="MIT", languages=("en",),
                      what="w", sources=(f"{source.as_uri()}/",), files=files)  # fmt: skip
    other = Published(role="face_detector", kind="yunet", licence="MIT", what="w",
                      sources=("https://x.invalid/",), files=files)  # fmt: skip
    known = {"made-up": final, "detector": other}
    monkeypatch.setattr(catalogue, "catalogue", lambda: known)
    monkeypatch.setattr(
        importlib.import_module(open_recognizer.__module__), "catalogue", lambda: known
    )
    return models


def test_pulled_model_is_the_final_pass_by_default(pulled: Path) -> None:
    bundle = Bundle.open()
    assert isinstance(open_recognizer(bundle), Recognizer)
    pull("made-up")
    recognizer = open_recognizer(bundle)
    assert isinstance(recognizer, TwoPass)
    assert isinstance(open_recognizer(bundle, RecognitionSettings(final="made-up")), TwoPass)
    assert isinstance(open_recognizer(bundle, RecognitionSettings(final="none")), Recognizer)
    hot = RecognitionSettings(hot_words=("door",))
    assert isinstance(open_recognizer(bundle, hot), TwoPass)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("made-up", "models pull made-up"),
        ("detector", "not a model for whole utterances"),
        ("nothing", "known: made-up, detector"),
    ],
)
def test_an_unavailable_final_pass_is_reported(pulled: Path, name: str, message: str) -> None:
    with pytest.raises(MeraError, match=message):
        open_recognizer(Bundle.open(), RecognitionSettings(final=name))


def test_an_intact_local_model_is_not_downloaded_again(
    pulled: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = pull("made-up")
    monkeypatch.setattr("urllib.request.urlopen", None)
    assert pull("made-up") == path
    (path / FILES[2]).write_bytes(b"spoiled")
    with pytest.raises(TypeError):
        pull("made-up")
