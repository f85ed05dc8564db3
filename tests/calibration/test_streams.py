"""Streaming models are calibrated as they run: chunk by chunk, with the caches they really have."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from mera_calibration import quality_gate
from mera_calibration.activation_ranges import measure_ranges, recorded_feeds
from mera_calibration.calibration_set import CalibrationSet, Example, Sample
from mera_calibration.instrumented_bundle import InstrumentedBundle
from mera_edge.bundle import SCHEMA, Bundle, Manifest, RoleEntry
from mera_edge.bundle.manifest import FileEntry, Tensor
from mera_edge.engine.onnx import OnnxEngine
from mera_edge.engine.stream import StreamModel
from mera_edge.errors import InputError
from mera_edge.evaluation.role_evaluators import (
    ROLE_EVALUATORS,
    Prediction,
    Predictor,
    RoleEvaluator,
)
from mera_edge.features.fbank import BINS, SPEC
from mera_edge.labels import EMOTIONS

CHUNK = 8


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """A voice encoder that remembers two frames and a running sum."""
    directory = tmp_path_factory.mktemp("voice")
    random = np.random.default_rng(0)
    constants = {
        "w": random.normal(0, 0.1, (16, BINS, 3)).astype(np.float32),
        "head": random.normal(0, 0.1, (16, 7)).astype(np.float32),
        "rate": random.normal(0, 0.1, (16, 1)).astype(np.float32),
        "time": np.array([2]), "fade": np.float32(0.9),
        "first": np.array([CHUNK]), "last": np.array([CHUNK + 2]), "axis": np.array([2]),
    }  # fmt: skip
    node = helper.make_node
    nodes = [
        node("Transpose", ["frames"], ["bands"], perm=[0, 2, 1]),
        node("Concat", ["cache_past", "bands"], ["seen"], axis=2),
        node("Slice", ["seen", "first", "last", "axis"], ["next_cache_past"]),
        node("Conv", ["seen", "w"], ["heard"], "conv"),
        node("Relu", ["heard"], ["positive"]),
        node("ReduceMean", ["positive", "time"], ["mean"], keepdims=0),
        node("Mul", ["cache_sum", "fade"], ["faded"]),
        node("Add", ["faded", "mean"], ["next_cache_sum"]),
        node("Identity", ["next_cache_sum"], ["embedding"]),
        node("MatMul", ["embedding", "head"], ["logits"], "head"),
        node("Softmax", ["logits"], ["probabilities"]),
        node("MatMul", ["embedding", "rate"], ["valence"], "rate"),
    ]
    shapes = {
        "frames": [1, CHUNK, BINS], "cache_past": [1, BINS, 2], "cache_sum": [1, 16],
        "probabilities": [1, 7], "valence": [1, 1], "embedding": [1, 16],
        "next_cache_past": [1, BINS, 2], "next_cache_sum": [1, 16],
        "seen": [1, BINS, CHUNK + 2], "heard": [1, 16, CHUNK], "positive": [1, 16, CHUNK],
    }  # fmt: skip
    values = {
        name: helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
        for name, shape in shapes.items()
    }
    graph = helper.make_graph(
        nodes,
        "voice",
        [values[name] for name in list(shapes)[:3]],
        [values[name] for name in list(shapes)[3:8]],
        [numpy_helper.from_array(np.asarray(array), name) for name, array in constants.items()],
        value_info=[values[name] for name in list(shapes)[8:]],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    path = directory / "voice.onnx"
    path.write_bytes(model.SerializeToString())
    tensors = [
        Tensor(name=name, shape=tuple(shape), dtype="float32") for name, shape in shapes.items()
    ]
    entry = RoleEntry(
        files={"model": FileEntry.of(path)},
        precision="fp32",
        inputs=tuple(tensors[:3]),
        outputs=tuple(tensors[3:8]),
        labels=EMOTIONS,
        features=SPEC,
        settings={"chunk_frames": CHUNK},
        licence="none",
        card="# Voice",
    )
    manifest = Manifest(schema=SCHEMA, name="test", created_with={}, roles={"voice": entry})
    (directory / "bundle.json").write_text(manifest.to_json())
    return Bundle.open(directory)


def chosen(count: int, frames: int) -> CalibrationSet:
    samples = []
    for seed in range(count):
        random = np.random.default_rng(seed)
        heard = random.normal(8, 2, (frames, BINS)).astype(np.float32)
        samples.append(Sample(Example(str(seed), "happy", "", lambda: None), 0.0, heard))
    return CalibrationSet("voice", 0, tuple(samples))


def test_every_chunk_is_recorded_with_the_caches_it_met(bundle: Bundle) -> None:
    calibration = chosen(3, frames=4 * CHUNK + 3)
    streams = list(recorded_feeds(ROLE_EVALUATORS["voice"], bundle, "voice", calibration.samples))
    assert [len(stream) for stream in streams] == [4, 4, 4]
    engine = bundle.role("voice").engine()
    for stream, sample in zip(streams, calibration.samples, strict=True):
        assert not stream[0]["cache_sum"].any(), "every sample begins a stream of its own"
        model = StreamModel(engine)
        for number, fed in enumerate(stream):
            part = sample.inputs[number * CHUNK : (number + 1) * CHUNK]
            np.testing.assert_array_equal(fed["frames"][0], part)
            if number + 1 < len(stream):
                wanted = engine.run(fed)
                following = stream[number + 1]
                np.testing.assert_array_equal(following["cache_past"], wanted["next_cache_past"])
                np.testing.assert_array_equal(following["cache_sum"], wanted["next_cache_sum"])
                assert following["cache_sum"].any()
            model.step({"frames": fed["frames"]})


@pytest.mark.parametrize("method", ["minmax", "percentile"])
def test_ranges_span_what_the_stream_computed(bundle: Bundle, method: str) -> None:
    calibration = chosen(20, frames=5 * CHUNK)
    found = measure_ranges(ROLE_EVALUATORS["voice"], bundle, calibration, method, ["Conv"])  # type: ignore[arg-type]
    assert (found.samples, found.steps) == (20, 100)
    low, high = found.tensors["seen"]
    every = np.concatenate([sample.inputs for sample in calibration.samples])
    assert high == pytest.approx(every.max(), rel=0.05)
    # Caches start at zero, which chunks without their past would never show.
    assert low <= 0


def test_samples_too_short_for_a_chunk_are_refused(bundle: Bundle) -> None:
    with pytest.raises(InputError, match="20 of 20 calibration samples for voice"):
        measure_ranges(
            ROLE_EVALUATORS["voice"], bundle, chosen(20, frames=CHUNK - 1), "minmax", ["Conv"]
        )


def test_an_unknown_method_is_named(bundle: Bundle) -> None:
    with pytest.raises(InputError, match="'guess'"):
        measure_ranges(ROLE_EVALUATORS["voice"], bundle, chosen(20, CHUNK), "guess", ["Conv"])  # type: ignore[arg-type]


def test_a_stream_in_pieces_equals_the_whole(bundle: Bundle) -> None:
    samples = chosen(4, frames=6 * CHUNK).samples
    assert quality_gate.stream_difference(ROLE_EVALUATORS["voice"], bundle, samples) == 0
    assert quality_gate.stream_difference(ROLE_EVALUATORS["face"], bundle, samples) is None


def test_a_stream_that_depends_on_its_pieces_is_noticed(bundle: Bundle) -> None:
    def predictor(bundle: Bundle) -> Predictor:
        def predict(inputs: NDArray[np.float32], chunk: int | None = None) -> Prediction:
            return Prediction(np.array([0.4 if chunk else 0.5], np.float32))

        return predict

    leaky = RoleEvaluator("uar", predictor, lambda bundle: str, str, streaming=True)
    found = quality_gate.stream_difference(leaky, bundle, chosen(2, CHUNK).samples)
    assert found == pytest.approx(0.1)


def test_a_view_replaces_one_role_only(bundle: Bundle) -> None:
    engine = OnnxEngine(bundle.role("voice").path())
    view = InstrumentedBundle(bundle, "voice", engine)
    assert view.role("voice").engine() is engine
    assert view.role("voice").entry == bundle.role("voice").entry
    assert bundle.role("voice").engine() is not engine
