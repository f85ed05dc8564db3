"""Small networks that really tell their inputs apart, written as ONNX without training."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from mera_calibration.calibration_set import Example
from mera_calibration.request import Dataset
from mera_edge.bundle import SCHEMA, Bundle, Manifest, RoleEntry
from mera_edge.bundle.manifest import FileEntry, Tensor
from mera_edge.engine.onnx import OnnxEngine
from mera_edge.features.face import SPEC

LABELS = ("neutral", "happy", "sad", "angry")
SIDE = 16

Faces = Callable[..., tuple[Bundle, Dataset]]


def picture(label: int, seed: int) -> NDArray[np.float32]:
    """A stripe pattern of its class in noise."""
    random = np.random.default_rng([label, seed])
    x, y = np.meshgrid(np.arange(SIDE), np.arange(SIDE))
    wave = np.sin((1 + label) * (x if label % 2 else y) / 2.5 + random.uniform(0, 6))
    grey = 128 + 50 * wave + random.normal(0, 15, (SIDE, SIDE)) + random.uniform(-20, 20)
    return np.clip(grey, 0, 255).astype(np.float32)


def examples(count: int, first: int) -> list[Example]:
    return [
        Example(f"picture{first + i}", LABELS[i % 4], "", partial(picture, i % 4, first + i))
        for i in range(count)
    ]


def face_graph(head: NDArray[np.float32], outlier: float) -> onnx.ModelProto:
    """Two convolutions, a pooled embedding and a linear head ``[33, 4]``, the last row its bias.

    ``outlier`` is the gain of one channel that nothing reads: harmless in float, but eight bits
    that must span it have nothing left for the others.
    """
    random = np.random.default_rng(0)
    first = random.normal(0, 0.3, (16, 1, 3, 3)).astype(np.float32)
    second = random.normal(0, 0.1, (32, 16, 3, 3)).astype(np.float32)
    if outlier > 1:
        first[0] = outlier * np.abs(first[0])
        second[:, 0] = 0
    third = np.concatenate([np.eye(32), random.normal(0, 0.1, (32, 32))]).astype(np.float32)
    constants = {
        "grey": np.float32(128), "contrast": np.float32(64), "w1": first, "w2": second, "w3": third,
        "w4": np.concatenate([head[:-1], np.zeros((32, 4), np.float32)]), "b4": head[-1],
        "w5": np.full((64, 1), 0.01, np.float32),
    }  # fmt: skip
    node = helper.make_node
    nodes = [
        node("Sub", ["face", "grey"], ["centred"], "centre"),
        node("Div", ["centred", "contrast"], ["x"], "scale"),
        node("Conv", ["x", "w1"], ["c1"], "conv1", pads=[1, 1, 1, 1]),
        node("Relu", ["c1"], ["r1"], "relu1"),
        node("Conv", ["r1", "w2"], ["c2"], "conv2", strides=[2, 2]),
        node("Relu", ["c2"], ["r2"], "relu2"),
        node("GlobalAveragePool", ["r2"], ["pool"], "pool"),
        node("Flatten", ["pool"], ["flat"], "flat"),
        node("Gemm", ["flat", "w3"], ["embedding"], "embed", transB=1),
        node("Gemm", ["embedding", "w4", "b4"], ["logits"], "emotion"),
        node("Softmax", ["logits"], ["probabilities"], "softmax", axis=1),
        node("MatMul", ["embedding", "w5"], ["rated"], "rate"),
        node("Tanh", ["rated"], ["valence"], "tanh"),
    ]

    def value(name: str, shape: list[int]) -> onnx.ValueInfoProto:
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)

    graph = helper.make_graph(
        nodes,
        "face",
        [value("face", [1, 1, SIDE, SIDE])],
        [value("probabilities", [1, 4]), value("valence", [1, 1]), value("embedding", [1, 64])],
        [numpy_helper.from_array(array, name) for name, array in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    helper.set_model_props(model, {"labels": ",".join(LABELS)})
    model = onnx.shape_inference.infer_shapes(model)
    onnx.checker.check_model(model)
    return model


def fitted_head(path: Path, pictures: list[Example]) -> NDArray[np.float32]:
    """Return the ridge regression from embeddings to classes, sharpened to probabilities."""
    engine = OnnxEngine(path)
    found = [engine.run({"face": e.load()[None, None]})["embedding"][0, :32] for e in pictures]
    features = np.concatenate([np.stack(found), np.ones((len(found), 1))], axis=1)
    target = np.eye(4)[[LABELS.index(e.label) for e in pictures]]
    normal = features.T @ features + 1e-4 * np.eye(33)
    return (12 * np.linalg.solve(normal, features.T @ target)).astype(np.float32)


@pytest.fixture
def faces(tmp_path: Path) -> Faces:
    """Make a bundle whose face encoder recognizes four patterns, and its material."""

    def make(outlier: float = 1.0, labels: str = "true") -> tuple[Bundle, Dataset]:
        directory = tmp_path / "full"
        directory.mkdir(exist_ok=True)
        path, train = directory / "face.onnx", examples(400, 0)
        path.write_bytes(face_graph(np.zeros((33, 4), np.float32), outlier).SerializeToString())
        head = fitted_head(path, train)
        path.write_bytes(face_graph(head, outlier).SerializeToString())
        engine = OnnxEngine(path)
        tensors = [
            tuple(Tensor(name=s.name, shape=s.shape, dtype="float32") for s in side.values())
            for side in (engine.inputs, engine.outputs)
        ]
        entry = RoleEntry(
            files={"model": FileEntry.of(path)},
            precision="fp32",
            inputs=tensors[0],
            outputs=tensors[1],
            labels=LABELS,
            features=SPEC,
            licence="none",
            card="# Face",
        )
        manifest = Manifest(schema=SCHEMA, name="test", created_with={}, roles={"face": entry})
        (directory / "bundle.json").write_text(manifest.to_json())
        return Bundle.open(directory), Dataset(train, examples(400, 1000))

    return make
