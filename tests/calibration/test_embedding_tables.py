"""Look-up tables in eight bits."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from mera_calibration.embedding_tables import quantize_tables, table_gathers
from mera_calibration.qdq import layers
from mera_edge.engine.onnx import OnnxEngine


@pytest.fixture
def model() -> onnx.ModelProto:
    random = np.random.default_rng(0)
    # Columns of very different size: one scale for all would lose the small ones.
    table = random.normal(0, 1, (512, 16)).astype(np.float32) * np.geomspace(0.01, 10, 16)
    constants = {
        "table": table.astype(np.float32),
        "small": random.normal(0, 1, (8, 16)).astype(np.float32),
        "keys": random.integers(0, 99, 512),
    }
    nodes = [
        helper.make_node("Gather", ["table", "at"], ["rows"], "rows"),
        helper.make_node("Gather", ["small", "at"], ["few"], "few"),
        helper.make_node("Gather", ["keys", "at"], ["number"], "keys"),
        helper.make_node("Add", ["rows", "few"], ["sum"], "sum"),
    ]
    graph = helper.make_graph(
        nodes,
        "tables",
        [helper.make_tensor_value_info("at", TensorProto.INT64, [1, 5])],
        [
            helper.make_tensor_value_info("sum", TensorProto.FLOAT, [1, 5, 16]),
            helper.make_tensor_value_info("number", TensorProto.INT64, [1, 5]),
        ],
        [numpy_helper.from_array(array, name) for name, array in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)


def test_only_large_numeric_tables_are_selected(model: onnx.ModelProto) -> None:
    assert [node.name for node in table_gathers(model)] == ["rows"]
    assert layers(model) == ["rows"]


def test_rows_are_looked_up_in_eight_bits_and_nearly_the_same(
    model: onnx.ModelProto, tmp_path: Path
) -> None:
    feeds = {"at": np.array([[0, 1, 2, 3, 7]])}
    paths = tmp_path / "full.onnx", tmp_path / "small.onnx"
    paths[0].write_bytes(model.SerializeToString())
    quantize_tables(model, ["rows"])
    onnx.checker.check_model(model)
    paths[1].write_bytes(model.SerializeToString())
    assert paths[1].stat().st_size < 0.6 * paths[0].stat().st_size
    full, small = (OnnxEngine(path).run(feeds) for path in paths)
    columns = np.abs(full["sum"]).max(axis=(0, 1))
    assert (np.abs(full["sum"] - small["sum"]) <= 0.03 * np.maximum(columns, 1)).all()
    np.testing.assert_array_equal(full["number"], small["number"])
    assert [node.op_type for node in model.graph.node][:2] == ["Gather", "DequantizeLinear"]


def test_a_table_that_was_not_chosen_stays(model: onnx.ModelProto) -> None:
    before = model.SerializeToString()
    quantize_tables(model, [])
    assert model.SerializeToString() == before
