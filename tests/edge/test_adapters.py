"""Published models in the place of the bundle's, by networks of their interface."""

from pathlib import Path

import av
import cv2
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from mera_edge.bundle import Bundle, catalogue
from mera_edge.bundle.catalogue import Published
from mera_edge.bundle.manifest import sha256
from mera_edge.config import load
from mera_edge.errors import ConfigError, EngineError, InputError, MeraError
from mera_edge.evaluation.compare import compare
from mera_edge.evaluation.evaluate import evaluate
from mera_edge.evidence import Evidence
from mera_edge.features.audio import AudioBlock
from mera_edge.features.face import Box, Face
from mera_edge.labels import EMOTIONS
from mera_edge.pipeline.mode import Offline
from mera_edge.pipeline.perception import SourceAvailability
from mera_edge.pipeline.pipeline import Pipeline
from mera_edge.sample import CLIP
from mera_edge.sources.media import MediaFile
from mera_edge.stages.adapters import adapter
from mera_edge.stages.adapters.blazeface import BlazeFace
from mera_edge.stages.face_encoder import FaceEncoder
from mera_edge.stages.fusion import FusionStage
from mera_edge.stages.vad import HANGOVER_S, SpeechDetector

LABELS = ("anger", "contempt", "disgust", "fear", "happiness", "neutral", "sadness", "surprise")
TEMPLATE = ((38.3, 51.7), (73.5, 51.5), (56.0, 71.7), (41.5, 92.4), (70.7, 92.2))


def written(
    path: Path,
    nodes: list[onnx.NodeProto],
    inputs: dict[str, list[int]],
    outputs: dict[str, list[int]],
    values: dict[str, np.ndarray],
) -> str:
    """Write a network; return its SHA-256."""
    kinds = {"sr": TensorProto.INT64}
    graph = helper.make_graph(
        nodes,
        "network",
        [helper.make_tensor_value_info(n, kinds.get(n, 1), s) for n, s in inputs.items()],
        [helper.make_tensor_value_info(n, 1, s) for n, s in outputs.items()],
        [numpy_helper.from_array(value, name) for name, value in values.items()],
    )
    opsets = [helper.make_opsetid("", 17)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=9), path)
    return sha256(path)


def classifier(path: Path, channels: int, size: int, more: int) -> str:
    """Scores of `LABELS`: the mean of each colour, times random weights; ``more`` numbers: 0.25."""
    random = np.random.default_rng(0)
    weights = np.concatenate([random.normal(size=(channels, 8)), np.zeros((channels, more))], 1)
    nodes = [
        helper.make_node("ReduceMean", ["picture"], ["means"], axes=[2, 3], keepdims=0),
        helper.make_node("MatMul", ["means", "weights"], ["scores"]),
        helper.make_node("Add", ["scores", "bias"], ["answer"]),
    ]
    bias = np.concatenate([np.zeros(8), np.full(more, 0.25)])
    values = {"weights": weights.astype(np.float32), "bias": bias.astype(np.float32)}
    shape = [1, channels, size, size]
    return written(path, nodes, {"picture": shape}, {"answer": [1, 8 + more]}, values)


def silero(path: Path) -> str:
    """Speech where the newest samples are loud; the state is counted up."""
    nodes = [
        helper.make_node("Abs", ["input"], ["size"]),
        helper.make_node("ReduceMean", ["size"], ["loudness"], axes=[1], keepdims=1),
        helper.make_node("Mul", ["loudness", "factor"], ["scaled"]),
        helper.make_node("Tanh", ["scaled"], ["output"]),
        helper.make_node("Cast", ["sr"], ["rate"], to=TensorProto.FLOAT),
        helper.make_node("Div", ["rate", "rate"], ["one"]),
        helper.make_node("Add", ["state", "one"], ["stateN"]),
    ]
    inputs = {"input": [1, 576], "state": [2, 1, 128], "sr": []}
    outputs = {"output": [1, 1], "stateN": [2, 1, 128]}
    return written(path, nodes, inputs, outputs, {"factor": np.array([[20.0]], np.float32)})


def blazeface(path: Path) -> str:
    """One face of 32 pixels a side, in the fifth cell of the fourth row of the finer grid."""
    scores, places = np.full((1, 896, 1), -9, np.float32), np.zeros((1, 896, 16), np.float32)
    at = 2 * (16 * 3 + 4)
    scores[0, at] = 3
    points = [(0, 0), (32, 32), (-8, -8), (8, -8), (0, 0), (0, 10), (-16, 0), (16, 0)]
    places[0, at] = np.ravel(points)
    nodes = [
        helper.make_node("ReduceMean", ["picture"], ["mean"], axes=[1, 2, 3], keepdims=0),
        helper.make_node("Mul", ["mean", "nothing"], ["nought"]),
        helper.make_node("Add", ["scores", "nought"], ["classificators"]),
        helper.make_node("Add", ["places", "nought"], ["regressors"]),
    ]
    outputs = {"classificators": [1, 896, 1], "regressors": [1, 896, 16]}
    values = {"nothing": np.zeros(1, np.float32), "scores": scores, "places": places}
    return written(path, nodes, {"picture": [1, 3, 128, 128]}, outputs, values)


@pytest.fixture
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Three models, pulled."""
    monkeypatch.setenv("MERA_EDGE_MODELS", str(tmp_path))
    known = dict(catalogue.catalogue())

    def add(name: str, digest: str, **facts: object) -> None:
        said = {"licence": "MIT", "what": "a test", "sources": (), **facts}
        known[name] = Published.model_validate({**said, "files": {"model.onnx": digest}})

    for name in ("grey", "colour", "gate"):
        (tmp_path / name).mkdir()
    at = {name: tmp_path / name / "model.onnx" for name in ("grey", "colour", "gate")}
    face = {"role": "face", "kind": "face-classifier", "labels": LABELS}
    add("grey", classifier(at["grey"], 1, 64, 0), **face,
        preprocess={"size": 64, "colour": "grey", "std": [255.0]})  # fmt: skip
    how = {"size": 112, "colour": "rgb", "mean": [127.5], "std": [127.5], "template": TEMPLATE}
    add("colour", classifier(at["colour"], 3, 112, 2), **face, preprocess=how)
    add("gate", silero(at["gate"]), role="vad", kind="silero")
    monkeypatch.setattr(catalogue, "catalogue", lambda: known)


@pytest.mark.usefixtures("models")
def test_classifier_input_and_output_follow_the_catalogue() -> None:
    encoder: FaceEncoder = adapter("face", "colour")
    red = np.zeros((200, 200, 3), np.uint8)
    red[..., 2] = 255
    crop = encoder.cut_out(red, None)
    assert crop.shape == (3, 112, 112)
    assert crop[:, 0, 0].tolist() == [1, -1, -1]  # red first
    answer = encoder.read(crop)
    weights = np.random.default_rng(0).normal(size=(3, 8))
    scores = np.exp(np.array([1, -1, -1]) @ weights)
    np.testing.assert_allclose(answer.probabilities, scores / scores.sum(), rtol=1e-4)
    assert answer.valence == 0.25
    assert not answer.embedding.size
    grey: FaceEncoder = adapter("face", "grey")
    assert grey.cut_out(red, None).shape == (1, 64, 64)
    happy = grey.read(grey.cut_out(red, None))
    assert -1 <= happy.valence <= 1  # of its labels: it gives none itself


@pytest.mark.usefixtures("models")
def test_crop_aligns_landmarks_with_the_template() -> None:
    encoder: FaceEncoder = adapter("face", "colour")
    turned = cv2.getRotationMatrix2D((56, 70), 25, 1.7)
    landmarks = np.array(TEMPLATE) @ turned[:, :2].T + turned[:, 2] + 240
    image = np.zeros((600, 600, 3), np.uint8)
    for x, y in landmarks:
        cv2.circle(image, (round(x), round(y)), 4, (255, 255, 255), -1)
    face = Face(Box(100, 100, 100, 100), landmarks.astype(np.float32), 1.0)
    crop = encoder.cut_out(image, face)
    for x, y in TEMPLATE:
        assert crop[0, round(y), round(x)] > 0.9
    assert crop[0, 5, 5] == -1


@pytest.mark.usefixtures("models")
def test_result_is_independent_of_block_sizes() -> None:
    random = np.random.default_rng(1)
    loudness = np.repeat([0.0, 0.3, 0.0], 16_000)
    samples = (loudness * random.normal(size=48_000)).astype(np.float32)

    def heard(piece: int) -> list[bool]:
        detector: SpeechDetector = adapter("vad", "gate")
        said = []
        for start in range(0, len(samples), piece):
            block = AudioBlock(np.zeros((0, 80), np.float32), 0.0, samples[start : start + piece])
            said.append(detector.accept_block(block))
        return said

    fine, coarse = heard(160), heard(3200)
    assert coarse == fine[19::20]
    begins, ends = fine.index(True), len(fine) - fine[::-1].index(True)
    assert 1.0 <= begins / 100 <= 1.2
    assert 2.0 + HANGOVER_S - 0.1 <= ends / 100 <= 2.0 + HANGOVER_S + 0.1


@pytest.mark.usefixtures("models")
def test_a_run_uses_them_and_says_so_by_its_answers() -> None:
    chosen = load(None, {"published": {"face": "colour", "vad": "gate"}}, {}).published
    pipeline = Pipeline(Bundle.open(published=chosen), Offline())
    pipeline.warm_up()
    media = MediaFile(CLIP)
    media.open()
    seen: list[Evidence] = []
    for tick in range(1, 13):
        now_s = tick / 4
        available = SourceAvailability.of([media])
        seen += pipeline.tick(media.poll(now_s), now_s, available).observation.evidence
    media.close()
    faces = [piece for piece in seen if piece.modality == "face"]
    assert faces
    assert all(
        not piece.embedding.size and abs(piece.probabilities.sum() - 1) < 1e-4 for piece in faces
    )


def test_without_embeddings_probabilities_are_pooled() -> None:
    stage = FusionStage(Bundle.open())
    said = np.full(7, 0.1, np.float32)
    said[EMOTIONS.index("happy")] = 0.4
    none = np.zeros(0, np.float32)
    face = Evidence("face", 0.0, said, 0.5, none)
    voice = Evidence("voice", 0.0, np.full(7, 1 / 7, np.float32), 0.0, none)
    alone, both = stage.fuse([face], 0.0), stage.fuse([face, voice], 0.0)
    np.testing.assert_allclose(alone.probabilities, said, atol=1e-6)
    assert EMOTIONS[int(both.probabilities.argmax())] == "happy"
    assert 1 / 7 < both.probabilities.max() < 0.4
    assert both.weights == {"face": 0.5, "voice": 0.5}


def test_blazeface_finds_the_square_from_brow_to_chin_and_five_landmarks(tmp_path: Path) -> None:
    blazeface(tmp_path / "model.onnx")
    detector = BlazeFace(tmp_path / "model.onnx")
    (face,) = detector.find(np.zeros((256, 512, 3), np.uint8))
    assert face.confidence == pytest.approx(1 / (1 + np.exp(-3)))
    # The cell's middle is at (36, 28) of 128, four pixels of the picture each.
    assert (face.box.y + face.box.height, face.box.height) == (44 * 4, 40 * 4)
    assert face.box.x + face.box.width / 2 == 36 * 4
    right, left, nose, right_mouth, left_mouth = face.landmarks
    assert [*right, *left, *nose] == [112, 80, 176, 80, 144, 112]
    assert right_mouth[0] < 144 < left_mouth[0]
    assert right_mouth[1] == left_mouth[1] == 152
    assert detector.find(np.zeros((256, 512, 3), np.uint8), 0.96) == []
    classifier(tmp_path / "other.onnx", 3, 128, 0)
    with pytest.raises(EngineError, match=r"other.onnx returns"):
        BlazeFace(tmp_path / "other.onnx")
    (tmp_path / "broken.onnx").write_bytes(b"no network")
    with pytest.raises(EngineError, match="models pull blazeface"):
        BlazeFace(tmp_path / "broken.onnx")


def test_a_detector_is_evaluated_on_pictures_with_and_without_a_face(tmp_path: Path) -> None:
    (first, *_) = av.open(str(CLIP)).decode(video=0)
    cv2.imwrite(str(tmp_path / "face.png"), first.to_ndarray(format="bgr24"))
    cv2.imwrite(str(tmp_path / "wall.png"), np.full((240, 320, 3), 90, np.uint8))
    manifest = tmp_path / "pictures.csv"
    manifest.write_text("file,label\nface.png,face\nwall.png,none\n")
    found = evaluate("face_detector", manifest, Bundle.open())
    assert (found["n"], found["uar"]) == (2, 1.0)


@pytest.mark.usefixtures("models")
def test_incompatible_published_models_are_refused(tmp_path: Path) -> None:
    for role, name, error, match in (
        ("face", "gate", InputError, "gate is for the role vad, not face"),
        ("face", "nobody", InputError, "there is no published model named 'nobody'"),
    ):
        with pytest.raises(error, match=match):
            adapter(role, name)
    broken: dict[str, type[MeraError]] = {"face": EngineError, "vad": EngineError}
    for role, name in (("face", "colour"), ("vad", "gate")):
        other = tmp_path / ("gate" if name == "colour" else "grey") / "model.onnx"
        data = other.read_bytes()
        (tmp_path / name / "model.onnx").write_bytes(data)
        with pytest.raises(InputError, match="was altered"):
            adapter(role, name)
        catalogue.catalogue()[name].files["model.onnx"] = sha256(other)
        with pytest.raises(broken[role], match="expects"):
            adapter(role, name)
    (tmp_path / "grey" / "model.onnx").unlink()
    with pytest.raises(InputError, match="is missing"):
        adapter("face", "grey")
    with pytest.raises(ConfigError, match=r"published\.fusion"):
        load(None, {"published": {"fusion": "grey"}}, {})
    with pytest.raises(ConfigError, match="face_detector is now published"):
        load(None, {"face_detector": "yunet"}, {})


def test_models_are_compared_on_the_same_examples(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(4):
        picture = np.full((48, 48, 3), 40 * number, np.uint8)
        cv2.imwrite(str(tmp_path / f"{number}.png"), picture)
    labels = ("happy", "sad", "angry", "neutral")
    rows = [f"{number}.png,{label}" for number, label in enumerate(labels)]
    manifest = tmp_path / "faces.csv"
    manifest.write_text("file,label\n" + "\n".join(rows) + "\n")
    one, two = compare("face", ["ours", "ours"], manifest, None)
    assert one.figures == two.figures
    assert one.figures["n"] == 4
    assert one.cpu_s > 0.1
    assert 20 < one.memory_mb < 2000
    monkeypatch.setenv("MERA_EDGE_MODELS", str(tmp_path))
    for role, name, match in (
        ("face", "silero", "silero is for the role vad, not face"),
        ("face", "ferplus", "run: mera-edge models pull ferplus"),
        ("face", "feplus", "there is no published model named 'feplus'"),
    ):
        with pytest.raises(InputError, match=match):
            compare(role, ["ours", name], manifest, None)
    (tmp_path / "0.png").write_bytes(b"")
    with pytest.raises(InputError, match="ours could not be evaluated"):
        compare("face", ["ours"], manifest, None)
