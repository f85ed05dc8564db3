"""Whole-utterance recognizers of sherpa-onnx, on made-up models with their interfaces."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from mera_edge.asr.factory import open_recognizer
from mera_edge.asr.sherpa_offline import SherpaUtterances
from mera_edge.asr.two_pass import TwoPass
from mera_edge.bundle import Bundle
from mera_edge.config import RecognitionSettings
from mera_edge.errors import ConfigError, InputError

SPEECH = np.random.default_rng(0).normal(0, 0.1, 16_000).astype(np.float32)
TOKENS = ["<blank>", "<unk>", "你", "好", "<|zh|>", "<|ko|>", "<|NEUTRAL|>", "<|Speech|>",
          "<|BGM|>", "<|withitn|>", "▁hello", "</s>"]  # fmt: skip
FRONT_END = {
    "vocab_size": str(len(TOKENS)), "lfr_window_size": "7", "lfr_window_shift": "6",
    "normalize_samples": "0", "neg_mean": ",".join(["0"] * 560),
    "inv_stddev": ",".join(["1"] * 560),
}  # fmt: skip


def _rows(said: list[str]) -> np.ndarray:
    scores = np.full((1, len(said), len(TOKENS)), -5, np.float32)
    for at, token in enumerate(said):
        scores[0, at, TOKENS.index(token)] = 5
    return scores


def _value(name: str, kind: int, shape: list[int | str]) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, kind, shape)


def _write(path: Path, nodes: list, inputs: list, outputs: list, constants: dict, facts: dict):
    tensors = [numpy_helper.from_array(value, name) for name, value in constants.items()]
    graph = helper.make_graph(nodes, "made-up", inputs, outputs, tensors)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    helper.set_model_props(model, facts)
    onnx.save(model, path)
    lines = [f"{token} {index}\n" for index, token in enumerate(TOKENS)]
    (path.parent / "tokens.txt").write_text("".join(lines), encoding="utf-8")


def sense_voice(folder: Path, said: list[str]) -> Path:
    """Write a model that says these tokens, four tags first, and then nothing."""
    node = helper.make_node
    languages = {
        f"lang_{name}": "0" for name in ("auto", "zh", "en", "ja", "ko", "yue", "nospeech")
    }
    _write(
        folder / "model.int8.onnx",
        [
            node("Shape", ["x"], ["shape"]),
            node("Gather", ["shape", "one"], ["frames"]),
            node("Add", ["frames", "rest"], ["count"]),
            node("Concat", ["one", "count", "one"], ["wanted"], axis=0),
            node("Expand", ["nothing", "wanted"], ["silence"]),
            node("Concat", ["words", "silence"], ["logits"], axis=1),
        ],
        [
            _value("x", TensorProto.FLOAT, ["N", "T", 560]),
            _value("x_length", TensorProto.INT32, ["N"]),
            _value("language", TensorProto.INT32, ["N"]),
            _value("text_norm", TensorProto.INT32, ["N"]),
        ],
        [_value("logits", TensorProto.FLOAT, ["N", "U", len(TOKENS)])],
        {
            "one": np.array([1], np.int64),
            "rest": np.array([4 - len(said)], np.int64),
            "nothing": _rows(["<blank>"]),
            "words": _rows(said),
        },
        {"model_type": "sense_voice_ctc", "with_itn": "14", "without_itn": "15",
         **FRONT_END, **languages},
    )  # fmt: skip
    return folder


def paraformer(folder: Path, said: list[str]) -> Path:
    """Write a model that says these tokens."""
    node = helper.make_node
    _write(
        folder / "model.onnx",
        [node("Identity", ["words"], ["logits"]), node("Identity", ["count"], ["token_num"])],
        [
            _value("speech", TensorProto.FLOAT, ["N", "T", 560]),
            _value("speech_lengths", TensorProto.INT32, ["N"]),
        ],
        [
            _value("logits", TensorProto.FLOAT, [1, len(said), len(TOKENS)]),
            _value("token_num", TensorProto.INT32, [1]),
        ],
        {"words": _rows(said), "count": np.array([len(said)], np.int32)},
        {"model_type": "paraformer", **FRONT_END},
    )
    return folder


def tagged(language: str = "<|zh|>", event: str = "<|Speech|>") -> list[str]:
    return [language, "<|NEUTRAL|>", event, "<|withitn|>", "你", "好"]


def test_sense_voice_says_what_was_said(tmp_path: Path) -> None:
    said = SherpaUtterances(sense_voice(tmp_path, tagged())).recognize(SPEECH)
    assert said.text == "你好"
    assert len(said.words) == 1 and -0.3 < said.log_probability < 0


@pytest.mark.parametrize(
    ("said", "languages", "text"),
    [
        (tagged("<|ko|>"), ("zh", "en"), ""),
        (tagged("<|ko|>"), ("ko",), "你好"),
        (tagged("<|ko|>"), (), "你好"),
        (tagged(event="<|BGM|>"), (), ""),
    ],
)
def test_another_language_and_music_are_no_words(
    tmp_path: Path, said: list[str], languages: tuple[str, ...], text: str
) -> None:
    recognizer = SherpaUtterances(sense_voice(tmp_path, said), languages)
    assert recognizer.recognize(SPEECH).text == text


def test_paraformer_says_what_was_said(tmp_path: Path) -> None:
    said = SherpaUtterances(paraformer(tmp_path, ["你", "好", "</s>"])).recognize(SPEECH)
    assert said.text == "你好"


def test_a_model_directory_can_be_chosen_as_the_final_pass(tmp_path: Path) -> None:
    settings = RecognitionSettings(final=f"sherpa:{paraformer(tmp_path, ['你'])}")
    assert isinstance(open_recognizer(Bundle.open(), settings), TwoPass)


def test_a_final_pass_of_another_language_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MERA_EDGE_MODELS", str(tmp_path))
    settings = RecognitionSettings(final="moonshine-tiny-en", model="sherpa:zipformer-zh")
    with pytest.raises((ConfigError, InputError)):
        open_recognizer(Bundle.open(), settings)


@pytest.mark.parametrize("missing", ["tokens.txt", "model.onnx"])
def test_a_missing_model_file_is_reported(tmp_path: Path, missing: str) -> None:
    (paraformer(tmp_path, ["你"]) / missing).unlink()
    with pytest.raises(InputError, match=r"tokens\.txt|no complete model"):
        SherpaUtterances(tmp_path)


def test_a_network_of_another_kind_does_not_end_the_process(tmp_path: Path) -> None:
    model = onnx.load(paraformer(tmp_path, ["你"]) / "model.onnx")
    helper.set_model_props(model, {"model_type": "voice"})
    onnx.save(model, tmp_path / "model.onnx")
    with pytest.raises(InputError, match="neither SenseVoice nor Paraformer"):
        SherpaUtterances(tmp_path)
    (tmp_path / "model.onnx").rename(tmp_path / "base-encoder.int8.onnx")
    onnx.save(model, tmp_path / "base-decoder.onnx")
    with pytest.raises(InputError, match="neither Whisper's encoder nor"):
        SherpaUtterances(tmp_path)
