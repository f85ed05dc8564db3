"""What TensorRT would refuse is named before a device is asked, and NVIDIA's own parser agrees.

A Jetson's TensorRT is *not run*: the parser and builder are those of TensorRT for RTX.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from mera_calibration.activation_ranges import measure_ranges
from mera_calibration.calibration_set import draw
from mera_calibration.qdq import preset_for, quantize, write
from mera_edge.cli import main
from mera_edge.engine.onnx import OnnxEngine
from mera_edge.evaluation.role_evaluators import ROLE_EVALUATORS
from mera_export.legality import violations
from mera_export.tensorrt_rtx import installed, try_build

# The wheels are for Linux on x86-64 and arm64; `make test` installs them there.
needs_rtx = pytest.mark.skipif(not installed(), reason="TensorRT for RTX is not installed")


@pytest.fixture
def model(faces) -> onnx.ModelProto:
    """The face encoder as it goes to TensorRT."""
    bundle, material = faces()
    chosen = draw("face", material.train, 32, seed=0)
    ranges = measure_ranges(
        ROLE_EVALUATORS["face"], bundle, chosen, "minmax", preset_for("face").operators
    )
    full = onnx.load(bundle.role("face").path())
    return quantize(full, ranges, preset_for("face"), target="tensorrt")


def constant(model: onnx.ModelProto, name: str) -> onnx.TensorProto:
    return next(tensor for tensor in model.graph.initializer if tensor.name == name)


def replace(model: onnx.ModelProto, name: str, value: np.ndarray) -> None:
    constant(model, name).CopyFrom(numpy_helper.from_array(value, name))


def node(model: onnx.ModelProto, kind: str, place: int = 0) -> onnx.NodeProto:
    return [n for n in model.graph.node if n.op_type == kind][place]


def weight_of(model: onnx.ModelProto, name: str) -> onnx.NodeProto:
    layer = next(n for n in model.graph.node if n.name == name)
    return next(n for n in model.graph.node if n.output[0] == layer.input[1])


def test_our_file_is_legal_and_still_answers(model: onnx.ModelProto, tmp_path: Path) -> None:
    assert violations(model) == []
    write(model, tmp_path / "face.onnx")
    answer = OnnxEngine(tmp_path / "face.onnx").run({"face": np.zeros((1, 1, 16, 16), np.float32)})
    assert answer["probabilities"].sum() == pytest.approx(1, abs=1e-5)


def test_unsigned_cpu_quantization_is_not_legal_for_tensorrt(faces) -> None:
    bundle, material = faces()
    chosen = draw("face", material.train, 32, seed=0)
    ranges = measure_ranges(
        ROLE_EVALUATORS["face"], bundle, chosen, "minmax", preset_for("face").operators
    )
    full = onnx.load(bundle.role("face").path())
    found = violations(quantize(full, ranges, preset_for("face")))
    assert any("unsigned" in violation.what for violation in found)


def unsigned(model: onnx.ModelProto) -> str:
    spoiled = node(model, "QuantizeLinear")
    replace(model, spoiled.input[2], np.uint8(0))
    return spoiled.name


def off_centre(model: onnx.ModelProto) -> str:
    spoiled = node(model, "QuantizeLinear")
    replace(model, spoiled.input[2], np.int8(3))
    return spoiled.name


def wrong_axis(model: onnx.ModelProto) -> str:
    spoiled = weight_of(model, "conv2")
    next(a for a in spoiled.attribute if a.name == "axis").i = 1
    return spoiled.name


def too_few_scales(model: onnx.ModelProto) -> str:
    spoiled = weight_of(model, "conv2")
    replace(model, spoiled.input[1], np.full(31, 0.1, np.float32))
    return spoiled.name


def many_scales(model: onnx.ModelProto) -> str:
    spoiled = node(model, "QuantizeLinear")
    replace(model, spoiled.input[1], np.array([0.1, 0.2], np.float32))
    return spoiled.name


def zero_scale(model: onnx.ModelProto) -> str:
    spoiled = node(model, "QuantizeLinear")
    replace(model, spoiled.input[1], np.float32(0))
    return spoiled.name


def computed_scale(model: onnx.ModelProto) -> str:
    spoiled = node(model, "QuantizeLinear")
    model.graph.node.insert(0, helper.make_node("Abs", [spoiled.input[1]], ["computed"], "abs"))
    spoiled.input[1] = "computed"
    return spoiled.name


def lonely(model: onnx.ModelProto) -> str:
    spoiled = node(model, "QuantizeLinear")
    model.graph.node.append(helper.make_node("Cast", [spoiled.output[0]], ["read"], "cast", to=1))
    return spoiled.name


def float_weights(model: onnx.ModelProto) -> str:
    layer = next(n for n in model.graph.node if n.name == "conv2")
    model.graph.initializer.append(
        numpy_helper.from_array(np.zeros((32, 16, 3, 3), np.float32), "plain")
    )
    layer.input[1] = "plain"
    return layer.name


def integer_bias(model: onnx.ModelProto) -> str:
    values = {"bias": np.zeros(32, np.int32), "bias_scale": np.float32(1)}
    model.graph.initializer.extend(numpy_helper.from_array(v, k) for k, v in values.items())
    widen = helper.make_node("DequantizeLinear", ["bias", "bias_scale"], ["b"], "bias_dequantize")
    model.graph.node.insert(0, widen)
    next(n for n in model.graph.node if n.name == "conv2").input.append("b")
    return widen.name


def quantized_softmax(model: onnx.ModelProto) -> str:
    spoiled = node(model, "Softmax")
    spoiled.input[0] = node(model, "DequantizeLinear", -1).output[0]
    return spoiled.name


def foreign_domain(model: onnx.ModelProto) -> str:
    spoiled = node(model, "QuantizeLinear")
    spoiled.domain = "com.microsoft"
    return spoiled.name


def integer_operator(model: onnx.ModelProto) -> str:
    spoiled = node(model, "Tanh")
    spoiled.op_type = "MatMulInteger"
    return spoiled.name


def open_shape(model: onnx.ModelProto) -> str:
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_param = "batch"
    return "face"


def doubles(model: onnx.ModelProto) -> str:
    model.graph.output[0].type.tensor_type.elem_type = TensorProto.DOUBLE
    return "probabilities"


def short_keys(model: onnx.ModelProto) -> str:
    model.graph.initializer.append(numpy_helper.from_array(np.zeros(4, np.int16), "keys"))
    return "keys"


def double_inside(model: onnx.ModelProto) -> str:
    cast = helper.make_node("Cast", ["centred"], ["wide"], "widen", to=TensorProto.DOUBLE)
    back = helper.make_node("Cast", ["wide"], ["narrow"], "back", to=TensorProto.FLOAT)
    model.graph.node.extend([cast, back])
    return "widen"


def integer_clip(model: onnx.ModelProto) -> str:
    cast = helper.make_node("Cast", ["centred"], ["whole"], "cast", to=TensorProto.INT64)
    model.graph.node.extend([cast, helper.make_node("Clip", ["whole"], ["clipped"], "clip")])
    return "clip"


def computed_axes(model: onnx.ModelProto) -> str:
    shape = helper.make_node("Shape", ["centred"], ["axes"], "shape")
    squeeze = helper.make_node("Squeeze", ["centred", "axes"], ["squeezed"], "squeeze")
    model.graph.node.extend([shape, squeeze])
    return "squeeze"


def no_axis(model: onnx.ModelProto) -> str:
    spoiled = weight_of(model, "conv2")
    spoiled.attribute.remove(next(a for a in spoiled.attribute if a.name == "axis"))
    return spoiled.name


def no_zero_point(model: onnx.ModelProto) -> str:
    spoiled = node(model, "QuantizeLinear")
    del spoiled.input[2:]
    return spoiled.name


def many_zero_points(model: onnx.ModelProto) -> str:
    spoiled = node(model, "QuantizeLinear")
    replace(model, spoiled.input[2], np.zeros(2, np.int8))
    return spoiled.name


def too_new(model: onnx.ModelProto) -> str:
    model.opset_import[0].version = 25
    return "graph"


SPOILED: list[tuple[Callable[[onnx.ModelProto], str], str]] = [
    (unsigned, "unsigned"),
    (off_centre, "zero point is not 0"),
    (wrong_axis, "axis 1, not 0"),
    (too_few_scales, "31 scales for 32 channels"),
    (many_scales, "more than one scale"),
    (zero_scale, "not positive"),
    (computed_scale, "scale is no constant"),
    (lonely, "without its DequantizeLinear"),
    (float_weights, "only its weights stayed in float"),
    (integer_bias, "stores int32"),
    (quantized_softmax, "Softmax should stay in float"),
    (foreign_domain, "is no operator of ONNX"),
    (integer_operator, "does not read MatMulInteger"),
    (open_shape, "not fixed"),
    (doubles, "DOUBLE"),
    (short_keys, "INT16"),
    (double_inside, "makes DOUBLE"),
    (integer_clip, "Clip is for floats, not INT64"),
    (computed_axes, "input axes must be a constant"),
    (no_axis, "ONNX means 1, TensorRT 0"),
    (no_zero_point, "no zero point"),
    (many_zero_points, "2 zero points for 1 scales"),
    (too_new, "opset 25"),
]


@pytest.mark.parametrize(("spoil", "what"), SPOILED)
def test_a_spoiled_graph_is_refused_by_node(
    model: onnx.ModelProto, spoil: Callable[[onnx.ModelProto], str], what: str
) -> None:
    name = spoil(model)
    found = violations(model)
    assert any(v.node == name and what in v.what for v in found), found


@needs_rtx
def test_our_tensorrt_refusals_agree_with_nvidias_parser(
    model: onnx.ModelProto, tmp_path: Path
) -> None:
    write(model, tmp_path / "legal.onnx")
    ours = {"legal": True}
    for spoil, _ in SPOILED:
        spoiled = onnx.ModelProto()
        spoiled.CopyFrom(model)
        spoil(spoiled)
        ours[spoil.__name__] = all(v.verdict != "refused" for v in violations(spoiled))
        write(spoiled, tmp_path / f"{spoil.__name__}.onnx")
    theirs = {
        v.path.stem: v.accepted for v in try_build([tmp_path / f"{name}.onnx" for name in ours])
    }
    assert theirs == ours


@needs_rtx
def test_a_file_that_is_no_model_is_refused_with_nvidias_words(tmp_path: Path) -> None:
    (tmp_path / "words.onnx").write_text("no model")
    assert "Failed to parse" in try_build([tmp_path / "words.onnx"])[0].complaint


@needs_rtx
def test_export_engines_check_accepts_the_bundle(faces, capsys: pytest.CaptureFixture[str]) -> None:
    bundle, _ = faces()
    with pytest.raises(SystemExit) as left:
        main(["export", "engines", str(bundle.directory), "--check"])
    said = capsys.readouterr()
    assert not left.value.code, said.err
    assert "an engine of" in said.out
