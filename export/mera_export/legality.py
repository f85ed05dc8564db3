"""Static check of whether TensorRT accepts a Q/DQ graph, on any machine.

It walks the ONNX graph and does not import TensorRT. The rules are those of explicit quantization
since TensorRT 10.3 (JetPack 6): signed, symmetric, constant scales, one scale per tensor for
activations and one per output channel for weights. Supported operators are from the operator table
and the importers of onnx-tensorrt 10.1, the last public version before 10.3. Newer versions support
more: if NVIDIA's own parser accepts a graph (`mera_export.tensorrt_rtx`), a violation concerns
older versions, or only costs speed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, numpy_helper

OLDEST_OPSET, NEWEST_OPSET = 13, 20
"""Opset 13 introduced per-channel Q/DQ; the parser of TensorRT 10.3 reads up to 20."""

FOREIGN = frozenset(
    {
        "AffineGrid", "Bernoulli", "BitShift", "BitwiseAnd", "BitwiseNot", "BitwiseOr",
        "BitwiseXor", "BlackmanWindow", "CenterCropPad", "Col2Im", "Compress",
        "ConcatFromSequence", "ConvInteger", "DFT", "Det", "DynamicQuantizeLinear",
        "HammingWindow", "HannWindow", "ImageDecoder", "MatMulInteger", "MaxRoiPool", "MaxUnpool",
        "MelWeightMatrix", "Multinomial", "NegativeLogLikelihoodLoss", "Optional",
        "OptionalGetElement", "OptionalHasElement", "QLinearConv", "QLinearMatMul",
        "RegexFullMatch", "STFT", "SequenceAt", "SequenceConstruct", "SequenceEmpty",
        "SequenceErase", "SequenceInsert", "SequenceLength", "SequenceMap",
        "SoftmaxCrossEntropyLoss", "SplitToSequence", "StringConcat", "StringNormalizer",
        "StringSplit", "TfIdfVectorizer", "Unique",
    }
)  # fmt: skip
"""Operators that the parser does not support."""

ON_FLOATS = frozenset(
    {
        "AveragePool", "BatchNormalization", "Ceil", "Clip", "Conv", "ConvTranspose", "Cos",
        "CumSum", "Einsum", "Elu", "Erf", "Exp", "Floor", "Gemm", "GlobalAveragePool",
        "GlobalMaxPool", "HardSigmoid", "HardSwish", "InstanceNormalization",
        "LayerNormalization", "LeakyRelu", "Log", "LogSoftmax", "MatMul", "MaxPool", "Mish",
        "PRelu", "Pow", "Reciprocal", "Resize", "Round", "Selu", "Sigmoid", "Sin", "Softmax",
        "Softplus", "Softsign", "Sqrt", "Tan", "Tanh", "ThresholdedRelu",
    }
)  # fmt: skip
"""Operators that TensorRT supports for floats only."""

CONSTANT_INPUT = {
    "CumSum": 1, "OneHot": 1, "Pad": 3, "ReduceMax": 1, "ReduceMean": 1, "ReduceMin": 1,
    "ReduceSum": 1, "Slice": 3, "Squeeze": 1, "Unsqueeze": 1,
}  # fmt: skip
"""Index of the input (mostly axes) that must be constant at build time."""

IN_FLOAT = frozenset({"LayerNormalization", "InstanceNormalization", "Softmax", "Sigmoid"})
"""Operators that lose accuracy in INT8 and have no INT8 kernel."""

_FLOATS = frozenset({TensorProto.FLOAT, TensorProto.FLOAT16})
_ELEMENTS = _FLOATS | {TensorProto.INT32, TensorProto.INT64, TensorProto.BOOL}
_QUANTIZING = frozenset({"QuantizeLinear", "DequantizeLinear"})


Verdict = Literal["refused", "older", "slower"]
"""Refused by every TensorRT; refused by older ones, such as the 10.3 of JetPack 6; accepted, but at
a cost in speed or accuracy.
"""

_MEANING: dict[Verdict, str] = {
    "refused": "",
    "older": " (older TensorRT refuses it, 10.3 of JetPack 6 for one)",
    "slower": " (TensorRT takes it, but it is slower or less accurate)",
}


@dataclass(frozen=True)
class Violation:
    """A reason for which TensorRT refuses a graph or runs part of it in float."""

    node: str
    """Name of the node, input or output; ``graph`` for the whole graph."""
    what: str
    """Description, with the affected versions if not all."""
    verdict: Verdict = "refused"


def violations(model: onnx.ModelProto) -> list[Violation]:
    """Return all violations of a graph; empty if TensorRT should accept it."""
    walk = _Walk(model)
    return [
        *walk.versions(),
        *walk.shapes(),
        *walk.elements(),
        *walk.operators(),
        *walk.pairs(),
        *walk.weights(),
    ]


class _Walk:
    def __init__(self, model: onnx.ModelProto) -> None:
        self.model, self.nodes = model, list(model.graph.node)
        self.constants: dict[str, NDArray[np.generic]] = {
            tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer
        }
        for node in self.nodes:
            if node.op_type == "Constant":
                value = onnx.helper.get_attribute_value(node.attribute[0])
                tensor = isinstance(value, TensorProto)
                array = numpy_helper.to_array(value) if tensor else np.asarray(value)
                self.constants[node.output[0]] = array
        self.types = _types(model)
        self.makers = {name: node for node in self.nodes for name in node.output}
        self.readers: dict[str, list[onnx.NodeProto]] = {}
        for node in self.nodes:
            for name in node.input:
                self.readers.setdefault(name, []).append(node)

    def versions(self) -> Iterator[Violation]:
        for opset in self.model.opset_import:
            known = OLDEST_OPSET <= opset.version <= NEWEST_OPSET
            if opset.domain in ("", "ai.onnx") and not known:
                read = f"{OLDEST_OPSET} to {NEWEST_OPSET} can be read"
                yield _violation("graph", f"opset {opset.version}: {read}", "older")

    def shapes(self) -> Iterator[Violation]:
        for value in [*self.model.graph.input, *self.model.graph.output]:
            tensor = value.type.tensor_type
            if not all(
                side.HasField("dim_value") and side.dim_value > 0 for side in tensor.shape.dim
            ):
                yield _violation(value.name, "its shape is not fixed", "refused")
            if tensor.elem_type not in _ELEMENTS:
                kind = TensorProto.DataType.Name(tensor.elem_type)
                yield _violation(value.name, f"an engine with {kind} outside", "older")

    def elements(self) -> Iterator[Violation]:
        ends = {value.name for value in [*self.model.graph.input, *self.model.graph.output]}
        for name, kind in self.types.items():
            readers, maker = self.readers.get(name, []), self.makers.get(name)
            # 8-bit types occur only next to Q/DQ nodes, which `pairs` checks.
            seen = [node.op_type for node in ([maker] if maker else []) + readers]
            if name in ends or kind in _ELEMENTS or _QUANTIZING.intersection(seen):
                continue
            # Newer parsers read DOUBLE.
            verdict: Verdict = "older" if kind == TensorProto.DOUBLE else "refused"
            if maker is None:
                yield _violation(name, f"it is {_name(kind)}", verdict)
            else:
                yield _at(maker, f"it makes {_name(kind)}", verdict)

    def operators(self) -> Iterator[Violation]:
        for node in self.nodes:
            if node.domain not in ("", "ai.onnx"):
                yield _at(node, f"{node.domain}.{node.op_type} is no operator of ONNX", "older")
            elif node.op_type in FOREIGN:
                yield _at(node, f"the parser does not read {node.op_type}")
            elif node.op_type in IN_FLOAT and self._dequantized(node.input[0]):
                yield _at(node, f"{node.op_type} should stay in float, without Q/DQ", "slower")
            elif node.op_type in ON_FLOATS:
                kind = self.types.get(node.input[0], TensorProto.FLOAT)
                if kind not in _FLOATS:
                    yield _at(node, f"{node.op_type} is for floats, not {_name(kind)}", "older")
            place = CONSTANT_INPUT.get(node.op_type, len(node.input))
            if any(name and name not in self.constants for name in node.input[place : place + 1]):
                yield _at(node, f"its input {node.input[place]} must be a constant")

    def pairs(self) -> Iterator[Violation]:
        for node in self.nodes:
            if node.op_type == "QuantizeLinear":
                readers = self.readers.get(node.output[0], [])
                if not readers or any(r.op_type != "DequantizeLinear" for r in readers):
                    yield _at(node, "a QuantizeLinear without its DequantizeLinear", "older")
            elif node.op_type == "DequantizeLinear":
                maker = self.makers.get(node.input[0])
                whole = maker is not None and maker.op_type == "QuantizeLinear"
                if not whole and node.input[0] not in self.constants:
                    yield _at(node, "a DequantizeLinear without its QuantizeLinear")
            else:
                continue
            yield from self._parameters(node)

    def _parameters(self, node: onnx.NodeProto) -> Iterator[Violation]:
        scale = self.constants.get(node.input[1])
        if scale is None:
            yield _at(node, "its scale is no constant", "older")
            return
        if not (np.isfinite(scale).all() and np.greater(scale, 0).all()):
            yield _at(node, "its scale is not positive")
        stored = self.constants.get(node.input[0])
        if stored is not None and stored.dtype not in (np.int8, np.float32, np.float16):
            yield _at(node, f"it stores {stored.dtype}, only int8 is read")
        if len(node.input) > 2 and node.input[2]:
            zero = self.constants.get(node.input[2])
            if zero is None:
                yield _at(node, "its zero point is no constant")
            elif zero.dtype == np.uint8:
                yield _at(node, "its zero point is unsigned, int8 is wanted", "older")
            elif zero.dtype != np.int8:
                yield _at(node, f"its zero point is {zero.dtype}, int8 is wanted")
            elif zero.any():
                yield _at(node, "its zero point is not 0: quantize symmetrically")
            elif zero.size != scale.size:
                yield _at(node, f"{zero.size} zero points for {scale.size} scales")
        elif node.op_type == "QuantizeLinear":
            what = "it has no zero point, which means unsigned: give an int8 0"
            yield _at(node, what, "older")
        if scale.size > 1 and not self._weight(node):
            yield _at(node, "an activation has more than one scale")

    def weights(self) -> Iterator[Violation]:
        for node in self.nodes:
            if node.op_type not in ("Conv", "ConvTranspose", "Gemm", "MatMul"):
                continue
            of_input, of_weight = map(self._dequantized, node.input[:2])
            if bool(of_input) != bool(of_weight):
                side = "weights" if of_input else "input"
                yield _at(node, f"only its {side} stayed in float: it runs in float", "slower")
            if of_weight is None or not self._weight(of_weight):
                continue
            scale = self.constants.get(of_weight.input[1])
            stored = self._stored(of_weight)
            if scale is None or scale.size == 1 or stored is None:
                continue
            axis, wanted = _attribute(of_weight, "axis", None), _channels(node, stored.ndim)
            if axis is None:
                yield _at(of_weight, "it names no axis: ONNX means 1, TensorRT 0")
            elif axis % stored.ndim != wanted:
                yield _at(of_weight, f"its scales lie on axis {axis}, not {wanted}")
            elif scale.size != stored.shape[wanted]:
                sizes = f"{scale.size} scales for {stored.shape[wanted]} channels"
                yield _at(of_weight, sizes)

    def _dequantized(self, name: str) -> onnx.NodeProto | None:
        maker = self.makers.get(name)
        return maker if maker is not None and maker.op_type == "DequantizeLinear" else None

    def _stored(self, node: onnx.NodeProto) -> NDArray[np.generic] | None:
        """Return the constant input of a Q or DQ node, stored in 8 bits or float."""
        if (found := self.constants.get(node.input[0])) is not None:
            return found
        maker = self.makers.get(node.input[0])
        quantized = maker is not None and maker.op_type == "QuantizeLinear"
        return self.constants.get(maker.input[0]) if quantized and maker is not None else None

    def _weight(self, node: onnx.NodeProto) -> bool:
        return self._stored(node) is not None


def _channels(node: onnx.NodeProto, rank: int) -> int:
    """Return the axis of the output channels in the weights of ``node``."""
    if node.op_type == "Conv":
        return 0
    if node.op_type == "ConvTranspose":
        return 1
    if node.op_type == "Gemm" and _attribute(node, "transB", 0):
        return 0
    return rank - 1


def _attribute(node: onnx.NodeProto, name: str, default: int | None) -> int | None:
    return next((int(a.i) for a in node.attribute if a.name == name), default)


def _types(model: onnx.ModelProto) -> dict[str, int]:
    """Return the element types of all initializers, inputs and inferable tensors."""
    try:
        graph = onnx.shape_inference.infer_shapes(model).graph
    except onnx.shape_inference.InferenceError:
        # Inference fails for invalid graphs: use the declared types only.
        graph = model.graph
    values = [*graph.value_info, *graph.input, *graph.output]
    kinds = {value.name: int(value.type.tensor_type.elem_type) for value in values}
    inferred = {name: kind for name, kind in kinds.items() if kind != TensorProto.UNDEFINED}
    return inferred | {tensor.name: int(tensor.data_type) for tensor in graph.initializer}


def _at(node: onnx.NodeProto, what: str, verdict: Verdict = "refused") -> Violation:
    return _violation(node.name or node.output[0], what, verdict)


def _violation(where: str, what: str, verdict: Verdict) -> Violation:
    return Violation(where, what + _MEANING[verdict], verdict)


def _name(kind: int) -> str:
    return str(TensorProto.DataType.Name(kind))
