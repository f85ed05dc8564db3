"""Published voice and text encoders, by networks of their interface with random weights."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper
from pydantic import ValidationError
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from mera_edge.bundle import Bundle, catalogue
from mera_edge.bundle.catalogue import Published
from mera_edge.bundle.manifest import sha256
from mera_edge.errors import EngineError
from mera_edge.evaluation.role_evaluators import ROLE_EVALUATORS, Prediction
from mera_edge.evidence import Evidence
from mera_edge.features.audio import AudioBlock
from mera_edge.features.fbank import SAMPLE_RATE
from mera_edge.labels import EMOTIONS, OUTSIDE, to_emotion
from mera_edge.pipeline.mode import Offline
from mera_edge.pipeline.perception import SourceAvailability
from mera_edge.pipeline.pipeline import Pipeline
from mera_edge.sample import CLIP
from mera_edge.sources.media import MediaFile
from mera_edge.stages import adapters
from mera_edge.stages.adapters import adapter
from mera_edge.stages.adapters.sentence_classifier import ByteLevelTokenizer

SAID = ("I am so happy to see you", "don't stop it now!", "  leave me 12 times, naïve 我 😀  ")
Add = Callable[..., Path]
TAGS = ("happy", "sad", "angry", "neutral", "fearful", "disgusted", "surprised")


def save(path: Path, graph: onnx.GraphProto, facts: dict[str, str] | None = None) -> None:
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    helper.set_model_props(model, facts or {})
    onnx.save(model, path)


def sense_voice(path: Path, facts: dict[str, str]) -> None:
    """Logits of 12 tokens in four frames, of the mean of all inputs."""
    nodes = [
        helper.make_node("ReduceMean", ["x"], ["mean"], axes=[1], keepdims=1),
        helper.make_node("MatMul", ["mean", "weights"], ["frame"]),
        *(
            helper.make_node("Cast", [name], [f"{name}_f"], to=TensorProto.FLOAT)
            for name in ("x_length", "language", "text_norm")
        ),
        helper.make_node("Sum", ["x_length_f", "language_f", "text_norm_f"], ["told"]),
        helper.make_node("Mul", ["told", "zero"], ["nothing"]),
        helper.make_node("Add", ["frame", "nothing"], ["one"]),
        helper.make_node("Concat", ["one", "one", "one", "one"], ["logits"], axis=1),
    ]
    weights = np.random.default_rng(0).normal(0, 0.1, (560, 12)).astype(np.float32)
    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", "T", 560])]
    inputs += [
        helper.make_tensor_value_info(name, TensorProto.INT32, ["N"])
        for name in ("x_length", "language", "text_norm")
    ]
    outputs = [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["N", 4, 12])]
    values = {"weights": weights, "zero": np.zeros(1, np.float32)}
    kept = [numpy_helper.from_array(value, name) for name, value in values.items()]
    save(path, helper.make_graph(nodes, "voice", inputs, outputs, kept), facts)


def sentences(path: Path, words: int, answers: int) -> None:
    """Logits: the mean of a row for each token."""
    nodes = [
        helper.make_node("Gather", ["table", "input_ids"], ["rows"]),
        helper.make_node("Cast", ["attention_mask"], ["mask"], to=TensorProto.FLOAT),
        helper.make_node("Unsqueeze", ["mask", "last"], ["column"]),
        helper.make_node("Mul", ["rows", "column"], ["counted"]),
        helper.make_node("ReduceMean", ["counted"], ["logits"], axes=[1], keepdims=0),
    ]
    table = np.random.default_rng(1).normal(0, 2, (words, answers)).astype(np.float32)
    inputs = [
        helper.make_tensor_value_info(name, TensorProto.INT64, ["B", "T"])
        for name in ("input_ids", "attention_mask")
    ]
    outputs = [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["B", answers])]
    values = {"table": table, "last": np.array([2])}
    kept = [numpy_helper.from_array(value, name) for name, value in values.items()]
    save(path, helper.make_graph(nodes, "text", inputs, outputs, kept))


@pytest.fixture(scope="module")
def library() -> Tokenizer:
    """A byte-level BPE as RoBERTa's, by the library that made it."""
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=400, special_tokens=["<s>", "<pad>", "</s>", "<unk>"], show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )  # fmt: skip
    tokenizer.train_from_iterator([*SAID, *Path(__file__).read_text("utf-8").splitlines()], trainer)
    return tokenizer


@pytest.fixture
def add(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Add:
    """Enters a model into the catalogue, with the files that lie in its folder."""
    monkeypatch.setenv("MERA_EDGE_MODELS", str(tmp_path))
    known = dict(catalogue.catalogue())
    monkeypatch.setattr(catalogue, "catalogue", lambda: known)

    def enter(name: str, make: Callable[[Path], Any], **facts: Any) -> Path:
        folder = tmp_path / name
        folder.mkdir()
        make(folder)
        files = {path.name: sha256(path) for path in folder.iterdir()}
        said = {"licence": "MIT", "what": "a test", "sources": (), "files": files, **facts}
        known[name] = Published.model_validate(said)
        return folder

    return enter


@pytest.fixture
def tags(add: Add) -> str:
    facts = {"neg_mean": ",".join(["-8.0"] * 560), "inv_stddev": ",".join(["0.3"] * 560)}
    add("tags", lambda folder: sense_voice(folder / "model.onnx", facts), role="voice",
        kind="sense-voice", labels=TAGS,
        preprocess={"language": 0, "text_norm": 15, "first": 3})  # fmt: skip
    return "tags"


@pytest.fixture
def reader(add: Add, library: Tokenizer) -> str:
    labels = catalogue.catalogue()["goemotions-minilm"].labels

    def make(folder: Path) -> None:
        sentences(folder / "model.onnx", library.get_vocab_size(), len(labels))
        library.save(str(folder / "tokenizer.json"))

    add("reader", make, role="text", kind="sentence-classifier", labels=labels,
        preprocess={"longest": 16})  # fmt: skip
    return "reader"


def noise(seconds: float) -> np.ndarray:
    sound = np.random.default_rng(2).normal(0, 0.1, round(seconds * SAMPLE_RATE))
    return sound.astype(np.float32)


def test_a_voice_is_read_every_second_of_speech_and_forgotten(tags: str) -> None:
    encoder = adapter("voice", tags)
    frames = np.zeros((0, 80), np.float32)

    def heard() -> list[Evidence | None]:
        pieces = np.split(noise(3.0), 15)
        return [
            encoder.accept_block(AudioBlock(frames, (n + 1) / 5, piece))
            for n, piece in enumerate(pieces)
        ]

    first = heard()
    assert [n for n, one in enumerate(first) if one is not None] == [4, 9, 14]
    encoder.reset()
    again = heard()
    for one, other in zip(first, again, strict=True):
        assert (one is None) == (other is None)
        if one is not None and other is not None:
            np.testing.assert_array_equal(one.probabilities, other.probabilities)
            assert one.probabilities.sum() == pytest.approx(1, abs=1e-5)
            assert not one.embedding.size
    assert encoder.read(noise(0.2)) is None
    assert encoder.read(noise(30.0)).shape == (7,)


@settings(max_examples=80, deadline=None)
@given(text=st.text(max_size=60) | st.sampled_from(SAID))
def test_tokens_are_those_of_the_library(
    text: str, library: Tokenizer, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("tokens") / "tokenizer.json"
    library.save(str(path))
    assert ByteLevelTokenizer(path).encode(text) == library.encode(text).ids


def test_a_sentence_is_read_as_seven_emotions(reader: str) -> None:
    encoder = adapter("text", reader)
    for text in SAID:
        evidence = encoder.accept(text, 2.0)
        assert evidence.probabilities.sum() == pytest.approx(1, abs=1e-5)
        assert -1 <= evidence.valence <= 1
        assert evidence.captured_s == 2.0
    assert encoder.accept("  ", 2.0) is None
    # Of a long text the newest words count.
    long, end = encoder.accept("never mind " * 50 + SAID[0], 0.0), encoder.accept(SAID[0], 0.0)
    assert long.probabilities.argmax() == pytest.approx(end.probabilities.argmax(), abs=6)


@pytest.mark.parametrize("role", ["voice", "text"])
def test_published_models_work_in_a_run_and_in_an_evaluation(
    role: str, tags: str, reader: str
) -> None:
    bundle = Bundle.open(published={"voice": tags, "text": reader})
    predict = ROLE_EVALUATORS[role].from_file(bundle)
    answer = predict(SAID[0] if role == "text" else str(CLIP))
    assert isinstance(answer, Prediction)
    assert answer.probabilities.shape == (len(EMOTIONS),)
    pipeline, media = Pipeline(bundle, Offline()), MediaFile(CLIP)
    pipeline.warm_up()
    media.open()
    seen: list[Evidence] = []
    for tick in range(1, 26):
        available = SourceAvailability.of([media])
        seen += pipeline.tick(media.poll(tick / 5), tick / 5, available).observation.evidence
    media.close()
    assert any(each.modality == role and not each.embedding.size for each in seen)


def test_incompatible_published_models_are_refused(add: Add, tags: str, reader: str) -> None:
    add("plain", lambda folder: sense_voice(folder / "model.onnx", {}), role="voice",
        kind="sense-voice", labels=TAGS,
        preprocess={"language": 0, "text_norm": 15, "first": 3})  # fmt: skip
    with pytest.raises(EngineError, match="has no neg_mean"):
        adapter("voice", "plain")
    known = catalogue.catalogue()
    known["reader"] = known["reader"].model_copy(update={"labels": ("joy", "anger")})
    with pytest.raises(EngineError, match="returns"):
        adapter("text", "reader")
    with pytest.raises(ValidationError, match="'bored' is not an emotion label"):
        Published(role="text", kind="x", licence="MIT", what="", sources=(), labels=("bored",))


def test_a_new_kind_of_model_needs_one_file_and_one_catalogue_entry(
    add: Add, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "more"
    place.mkdir()
    (place / "always_sad.py").write_text(
        "import numpy as np\n"
        "from mera_edge.evidence import Evidence\n"
        "def open_model(directory, model):\n"
        "    return AlwaysSad()\n"
        "class AlwaysSad:\n"
        "    def accept(self, text, captured_s):\n"
        "        sad = np.eye(7, dtype=np.float32)[2]\n"
        "        return Evidence('text', captured_s, sad, -0.6, np.zeros(0, np.float32))\n"
    )
    monkeypatch.setattr(adapters, "__path__", [*adapters.__path__, str(place)])
    add("mine", lambda folder: None, role="text", kind="always-sad")
    bundle = Bundle.open(published={"text": "mine"})
    answer = ROLE_EVALUATORS["text"].from_file(bundle)("i am so happy")
    assert isinstance(answer, Prediction)
    assert EMOTIONS[int(answer.probabilities.argmax())] == "sad"


def test_the_catalogue_has_an_adapter_for_every_kind_and_labels_that_are_known() -> None:
    known = catalogue.catalogue()
    assert len(known) >= 12
    assert len({model.role for model in known.values()}) >= 6
    here = {path.stem.replace("_", "-") for path in Path(adapters.__file__).parent.glob("*.py")}
    for model in known.values():
        assert model.kind in here or model.role in {"asr", "asr_final"}
        assert {to_emotion(label) for label in set(model.labels) - OUTSIDE} <= set(EMOTIONS)
        assert model.sources
    lines = [
        len(path.read_text().splitlines()) for path in Path(adapters.__file__).parent.glob("*.py")
    ]
    assert max(lines) <= 120
