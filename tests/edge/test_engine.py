"""The engine runs real ONNX files, says what it runs on, and names what it cannot run."""

from pathlib import Path
from platform import libc_ver
from resource import RUSAGE_SELF, getrusage

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from mera_edge.engine.onnx import OnnxEngine
from mera_edge.engine.stream import StreamModel
from mera_edge.errors import EngineError


def write(path: Path, shape: list[int | str], memory: str = "next_cache_sum") -> Path:
    """A running sum: ``total = cache_sum + x``."""
    names = ["x", "cache_sum", "total", memory]
    tensors = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name in names]
    nodes = [
        helper.make_node("Add", ["x", "cache_sum"], ["total"]),
        helper.make_node("Identity", ["total"], [memory]),
    ]
    graph = helper.make_graph(nodes, "sum", tensors[:2], tensors[2:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    helper.set_model_props(model, {"unit": "apples"})
    onnx.save(model, path)
    return path


def test_engine_reports_specs_metadata_and_provider(tmp_path: Path) -> None:
    engine = OnnxEngine(write(tmp_path / "sum.onnx", [1, 2]))
    assert engine.inputs["x"].shape == (1, 2)
    assert engine.inputs["x"].dtype == np.float32
    assert engine.metadata == {"unit": "apples"}
    assert engine.provider == "CPUExecutionProvider"


def test_model_state_is_carried_between_steps_and_cleared_on_reset(tmp_path: Path) -> None:
    model = StreamModel(OnnxEngine(write(tmp_path / "sum.onnx", [1, 2])))
    ones = {"x": np.ones((1, 2), np.float32)}
    totals = [model.step(ones)["total"][0, 0] for _ in range(3)]
    model.reset()
    assert [*totals, model.step(ones)["total"][0, 0]] == [1, 2, 3, 1]


@pytest.mark.skipif(libc_ver()[0] != "glibc", reason="only glibc has the option")
def test_memory_of_a_run_is_kept_for_the_next(tmp_path: Path) -> None:
    engine = OnnxEngine(write(tmp_path / "sum.onnx", [1, 500_000]))
    inputs = {name: np.ones((1, 500_000), np.float32) for name in engine.inputs}
    faults = []
    for _ in range(30):
        before = getrusage(RUSAGE_SELF).ru_minflt
        engine.run(inputs)
        faults.append(getrusage(RUSAGE_SELF).ru_minflt - before)
    assert sum(faults[10:]) < 3_000, "2 MB are 488 pages; once, the heap may move"


def test_a_cache_input_without_a_matching_output_is_refused(tmp_path: Path) -> None:
    engine = OnnxEngine(write(tmp_path / "sum.onnx", [1, 2], memory="next_sum"))
    with pytest.raises(EngineError, match="cache_sum has no output of the same shape"):
        StreamModel(engine)


def test_wrong_inputs_are_refused(tmp_path: Path) -> None:
    engine = OnnxEngine(write(tmp_path / "sum.onnx", [1, 2]))
    for feeds in ({}, {"x": np.ones((1, 3), np.float32), "cache_sum": np.ones((1, 2), np.float32)}):
        with pytest.raises(EngineError, match=r"sum\.onnx did not run"):
            engine.run(feeds)


def test_invalid_model_is_named(tmp_path: Path) -> None:
    (tmp_path / "half.onnx").write_bytes(write(tmp_path / "sum.onnx", [1]).read_bytes()[:50])
    (tmp_path / "text.onnx").write_text("hello")
    for name in ("half.onnx", "text.onnx", "absent.onnx"):
        with pytest.raises(EngineError, match=f"{name} cannot be loaded"):
            OnnxEngine(tmp_path / name)


def test_dynamic_shapes_are_refused(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="static shapes"):
        OnnxEngine(write(tmp_path / "sum.onnx", [1, "T"]))


def test_a_provider_that_does_not_start_is_an_error_not_a_fallback(tmp_path: Path) -> None:
    path = write(tmp_path / "sum.onnx", [1])
    with pytest.raises(EngineError, match="TensorrtExecutionProvider did not start"):
        OnnxEngine(path, providers=["TensorrtExecutionProvider", "CPUExecutionProvider"])
