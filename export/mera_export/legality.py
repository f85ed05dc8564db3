"""Whether TensorRT would take a Q/DQ graph: told anywhere, before the device does.

A walk over the ONNX graph; nothing of TensorRT is imported. The rules are those of explicit
quantization from TensorRT 10.3 (JetPack 6) on: signed, symmetric, scales that are constants, one
scale per tensor for activations and one per output channel for weights.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, numpy_helper

OLDEST_OPSET, NEWEST_OPSET = 13, 20
"""Per-channel Q/DQ came with 13; the parser of TensorRT 10.3 reads up to 20."""

FOREIGN = frozenset(
    {
        "BitShift", "Compress", "ConvInteger", "Det", "DynamicQuantizeLinear", "MatMulInteger",
        "MelWeightMatrix", "Multinomial", "Optional", "QLinearConv", "QLinearMatMul",
        "SequenceAt", "SequenceConstruct", "SplitToSequence", "StringNormalizer", "Unique",
    }
)  # fmt: skip
"""Operators that exporters and quantizers like to make and TensorRT's parser does not read."""

IN_FLOAT = frozenset({"LayerNormalization", "InstanceNormalization", "Softmax", "Sigmoid"})
"""What loses accuracy in eight bits and has no eight-bit kernel to gain from."""

_WEIGHTS = frozenset({TensorProto.INT8, TensorProto.UINT8, TensorProto.BFLOAT16})
"""Element types that constants may have beside those of inputs and outputs."""

_ELEMENTS = frozenset(
    {TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.INT32, TensorProto.INT64, TensorProto.BOOL}
)


@dataclass(frozen=True)
class Violation:
    """One thing that TensorRT would refuse or run in float."""

    node: str
    """Of the node, input or output; ``graph`` where it is about all of it."""
    what: str


def violations(model: onnx.ModelProto) -> list[Violation]:
    """Return everything that is wrong with a graph; nothing when TensorRT should take it."""
    walk = _Walk(model)
    return [*walk.versions(), *walk.shapes(), *walk.operators(), *walk.pairs(), *walk.weights()]


class _Walk:
    def __init__(self, model: onnx.ModelProto) -> None:
        self.model, self.nodes = model, list(model.graph.node)
        self.constants: dict[str, NDArray[np.generic]] = {
            tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer
        }
        for node in self.nodes:
            if node.op_type == "Constant" and node.attribute[0].HasField("t"):
                self.constants[node.output[0]] = numpy_helper.to_array(node.attribute[0].t)
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
                yield Violation("graph", f"opset {opset.version}: {read}")

    def shapes(self) -> Iterator[Violation]:
        for value in [*self.model.graph.input, *self.model.graph.output]:
            tensor = value.type.tensor_type
            if not all(
                side.HasField("dim_value") and side.dim_value > 0 for side in tensor.shape.dim
            ):
                yield Violation(value.name, "its shape is not fixed")
            if tensor.elem_type not in _ELEMENTS:
                kind = TensorProto.DataType.Name(tensor.elem_type)
                yield Violation(value.name, f"no engine takes or gives {kind}")
        for constant in self.model.graph.initializer:
            if constant.data_type not in _ELEMENTS | _WEIGHTS:
                kind = TensorProto.DataType.Name(constant.data_type)
                yield Violation(constant.name, f"no engine holds {kind}")

    def operators(self) -> Iterator[Violation]:
        for node in self.nodes:
            if node.domain not in ("", "ai.onnx"):
                yield Violation(node.name, f"{node.domain}.{node.op_type} is no operator of ONNX")
            elif node.op_type in FOREIGN:
                yield Violation(node.name, f"the parser does not read {node.op_type}")
            elif node.op_type in IN_FLOAT and self._dequantized(node.input[0]):
                yield Violation(node.name, f"{node.op_type} should stay in float, without Q/DQ")

    def pairs(self) -> Iterator[Violation]:
        for node in self.nodes:
            if node.op_type == "QuantizeLinear":
                readers = self.readers.get(node.output[0], [])
                if not readers or any(r.op_type != "DequantizeLinear" for r in readers):
                    yield Violation(node.name, "a QuantizeLinear without its DequantizeLinear")
            elif node.op_type == "DequantizeLinear":
                maker = self.makers.get(node.input[0])
                whole = maker is not None and maker.op_type == "QuantizeLinear"
                if not whole and node.input[0] not in self.constants:
                    yield Violation(node.name, "a DequantizeLinear without its QuantizeLinear")
            else:
                continue
            yield from self._parameters(node)

    def _parameters(self, node: onnx.NodeProto) -> Iterator[Violation]:
        scale = self.constants.get(node.input[1])
        if scale is None:
            yield Violation(node.name, "its scale is no constant")
            return
        if not (np.isfinite(scale).all() and (scale > 0).all()):
            yield Violation(node.name, "its scale is not positive")
        stored = self.constants.get(node.input[0])
        if stored is not None and stored.dtype not in (np.int8, np.float32, np.float16):
            yield Violation(node.name, f"it stores {stored.dtype}, only int8 is read")
        if len(node.input) > 2 and node.input[2]:
            zero = self.constants.get(node.input[2])
            if zero is None:
                yield Violation(node.name, "its zero point is no constant")
            elif zero.dtype == np.uint8:
                yield Violation(node.name, "its zero point is unsigned, int8 is wanted")
            elif zero.any():
                yield Violation(node.name, "its zero point is not 0: quantize symmetrically")
        if scale.size > 1 and not self._weight(node):
            yield Violation(node.name, "an activation has more than one scale")

    def weights(self) -> Iterator[Violation]:
        for node in self.nodes:
            if node.op_type not in ("Conv", "ConvTranspose", "Gemm", "MatMul"):
                continue
            of_input, of_weight = map(self._dequantized, node.input[:2])
            if bool(of_input) != bool(of_weight):
                side = "weights" if of_input else "input"
                yield Violation(node.name, f"only its {side} stayed in float: it runs in float")
            if of_weight is None or not self._weight(of_weight):
                continue
            scale = self.constants.get(of_weight.input[1])
            stored = self._stored(of_weight)
            if scale is None or scale.size == 1 or stored is None:
                continue
            axis, wanted = _attribute(of_weight, "axis", 1), _channels(node, stored.ndim)
            if axis % stored.ndim != wanted:
                yield Violation(of_weight.name, f"its scales lie on axis {axis}, not {wanted}")
            elif scale.size != stored.shape[wanted]:
                sizes = f"{scale.size} scales for {stored.shape[wanted]} channels"
                yield Violation(of_weight.name, sizes)

    def _dequantized(self, name: str) -> onnx.NodeProto | None:
        maker = self.makers.get(name)
        return maker if maker is not None and maker.op_type == "DequantizeLinear" else None

    def _stored(self, node: onnx.NodeProto) -> NDArray[np.generic] | None:
        """The constant behind a Q or DQ node, be it stored in eight bits or in float."""
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


def _attribute(node: onnx.NodeProto, name: str, default: int) -> int:
    return next((int(a.i) for a in node.attribute if a.name == name), default)
