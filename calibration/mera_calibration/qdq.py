"""INT8 as Q/DQ nodes with calibrated activation ranges, and the check that it was done."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import onnx

from mera_calibration.activation_ranges import ActivationRanges
from mera_calibration.embedding_tables import WEIGHTED, quantize_tables, table_gathers
from mera_edge.bundle import RoleName
from mera_edge.errors import CheckFailed

Target = Literal["cpu", "tensorrt"]
InstructionSet = Literal["x86", "x86-vnni", "arm64"]

WEIGHT_BITS: dict[InstructionSet, int] = {"x86": 7, "x86-vnni": 8, "arm64": 8}
"""x86 without VNNI adds two products in 16 bits and saturates, unless weights have 7 bits. A
model with 7 bits is right everywhere."""

_ANSWERS = ("probabilities", "log_probs", "valence", "weights")
"""Outputs whose last layers (the heads) stay in float."""

LARGEST = 0.9
"""Largest accepted size, as a share of the full-precision file."""


@dataclass(frozen=True)
class Preset:
    """What is quantized in a family of networks. Everything else stays in float."""

    operators: tuple[str, ...]
    """Always Conv, Gemm *and* MatMul for layers with weights: optimizers turn one into another,
    and a missing operator would silently leave its layers in float."""
    tensorrt: str = ""
    """Why there is no TensorRT model, if there is none."""


# Convolutions fuse the Relu after them. Residual sums, norms, softmax and sigmoid are where
# encoders lose accuracy, and they take little time.
_ENCODER = Preset((*WEIGHTED, "Relu"))
# An image network is one chain of convolutions: converting to float and back for every sum and
# pooling would cost more than the convolutions save.
_PICTURES = Preset((*WEIGHTED, "Relu", "Add", "AveragePool"))

_SPECIAL: dict[RoleName, Preset] = {
    "face": _PICTURES,
    "text": Preset(_ENCODER.operators, "it mainly looks up hashed n-grams, which is fast on a CPU"),
}


def preset_for(role: RoleName) -> Preset:
    """Return what is quantized in the network of a role."""
    return _SPECIAL.get(role, _ENCODER)


@dataclass(frozen=True)
class Proof:
    """How much of a file is quantized."""

    quantize: int
    """QuantizeLinear nodes."""
    dequantize: int
    """DequantizeLinear nodes."""
    layers: int
    """Conv, Gemm, MatMul and table lookups with INT8 weights."""
    of: int
    """All such layers."""
    bytes: int


def layers(model: onnx.ModelProto) -> list[str]:
    """Return the names of the quantizable nodes with weights, in graph order."""
    heads = set(_heads(model))
    constants = {tensor.name for tensor in model.graph.initializer}
    return [
        node.name
        for node in model.graph.node
        if node.op_type in WEIGHTED and node.input[1] in constants and node.name not in heads
    ] + [node.name for node in table_gathers(model)]


def sizes(model: onnx.ModelProto) -> dict[str, int]:
    """Return the size in bytes of the weights of every layer in `layers`."""
    known = {tensor.name: tensor.ByteSize() for tensor in model.graph.initializer}
    place = {node.name: 0 if node.op_type == "Gather" else 1 for node in model.graph.node}
    inputs = {node.name: node.input for node in model.graph.node}
    return {name: known[inputs[name][place[name]]] for name in layers(model)}


def quantize(
    model: onnx.ModelProto,
    ranges: ActivationRanges,
    preset: Preset,
    leave: Collection[str] = (),
    target: Target = "cpu",
    instruction_set: InstructionSet = "x86",
) -> onnx.ModelProto:
    """Return a copy with Q/DQ nodes and S8 weights with a scale per channel.

    Args:
        model: in full precision, every node with a name.
        ranges: its activation ranges.
        preset: what to quantize.
        leave: names of layers to keep in float, besides the heads.
        target: ``cpu`` has U8 activations, which is faster there, and weights of `WEIGHT_BITS`;
            ``tensorrt`` takes symmetric S8 only, biases and tables in float (`mera_export.legality`
            has its rules).
        instruction_set: of the CPU; ``tensorrt`` ignores it.
    """
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    metadata = {entry.key: entry.value for entry in model.metadata_props}
    chosen = [name for name in layers(model) if name not in set(leave)]
    if target == "cpu":
        quantize_tables(copy, chosen)
    weighted = [node.name for node in copy.graph.node if node.op_type in WEIGHTED]
    stays = [name for name in weighted if name not in chosen]
    if len(stays) < len(weighted):
        copy = _with_qdq(copy, ranges, preset, stays, target, instruction_set)
    del copy.metadata_props[:]
    onnx.helper.set_model_props(copy, dict(sorted(metadata.items())))
    return copy


def _with_qdq(
    model: onnx.ModelProto,
    ranges: ActivationRanges,
    preset: Preset,
    stays: Sequence[str],
    target: Target,
    instruction_set: InstructionSet,
) -> onnx.ModelProto:
    """Add Q/DQ nodes to all layers except ``stays``."""
    from onnxruntime.quantization import CalibrationMethod, QuantType
    from onnxruntime.quantization.calibrate import TensorsData
    from onnxruntime.quantization.qdq_quantizer import QDQQuantizer

    cpu = target == "cpu"
    # A new copy each time, because the quantizer changes it.
    spans = {name: tuple(map(np.float32, span)) for name, span in ranges.tensors.items()}
    quantizer = QDQQuantizer(
        model,
        per_channel=True,
        reduce_range=cpu and WEIGHT_BITS[instruction_set] == 7,
        weight_qType=QuantType.QInt8,
        activation_qType=QuantType.QUInt8 if cpu else QuantType.QInt8,
        tensors_range=TensorsData(CalibrationMethod.MinMax, spans),
        nodes_to_quantize=[],
        nodes_to_exclude=[*stays, *_beside(model, set(stays))],
        op_types_to_quantize=list(preset.operators),
        extra_options={
            "ActivationSymmetric": not cpu,
            "WeightSymmetric": True,
            "QuantizeBias": cpu,
            # TensorRT fuses what follows a layer into it, in float, unless Q/DQ is between.
            "OpTypesToExcludeOutputQuantization": [] if cpu else list(WEIGHTED),
            "DedicatedQDQPair": not cpu,
        },
    )
    quantized: onnx.ModelProto = quantizer.quantize_model()
    return quantized


def write(model: onnx.ModelProto, path: Path) -> None:
    """Write a model deterministically."""
    path.write_bytes(model.SerializeToString(deterministic=True))


def prove(full: Path, quantized: Path, leave: Collection[str] = ()) -> Proof:
    """Check that all chosen layers are quantized and that the file is smaller.

    Raises:
        CheckFailed: names the layers that are still in float, or the sizes.
    """
    before, after = onnx.load(full), onnx.load(quantized)
    meant = [name for name in layers(before) if name not in set(leave)]
    done = set(_eight_bit(after))
    if missed := [name for name in meant if name not in done]:
        raise CheckFailed(
            f"{full.name}: {len(missed)} of {len(meant)} layers were not quantized "
            f"({', '.join(missed[:5])})",
            "look for weights that are not constants, or for other operators",
        )
    if not meant:
        raise CheckFailed(f"{full.name} has no layer to quantize", "keep it in full precision")
    small, large = quantized.stat().st_size, full.stat().st_size
    if small > LARGEST * large:
        raise CheckFailed(
            f"{full.name} is hardly smaller ({small} of {large} bytes)",
            "too little of it can be quantized: keep it in full precision",
        )
    counts = Counter(node.op_type for node in after.graph.node)
    every = sum(node.op_type in WEIGHTED for node in before.graph.node)
    return Proof(
        quantize=counts["QuantizeLinear"],
        dequantize=counts["DequantizeLinear"],
        layers=len(done),
        of=every + len(table_gathers(before)),
        bytes=small,
    )


def _eight_bit(model: onnx.ModelProto) -> Iterator[str]:
    """Yield the layers with INT8 weights."""
    small = {
        tensor.name
        for tensor in model.graph.initializer
        if tensor.data_type in (onnx.TensorProto.INT8, onnx.TensorProto.UINT8)
    }
    widened = {
        node.output[0]
        for node in model.graph.node
        if node.op_type == "DequantizeLinear" and node.input[0] in small
    }
    for node in model.graph.node:
        if node.op_type in WEIGHTED and node.input[1] in widened:
            yield node.name
        if node.op_type == "Gather" and node.input[0] in small:
            yield node.name


def _heads(model: onnx.ModelProto) -> Iterator[str]:
    """Yield the heads: the first layers with weights on every path back from the outputs."""
    makers = {output: node for node in model.graph.node for output in node.output}
    waiting = [value.name for value in model.graph.output if value.name in _ANSWERS]
    seen: set[str] = set()
    while waiting:
        name = waiting.pop()
        node = makers.get(name)
        if node is None or name in seen:
            continue
        seen.add(name)
        if node.op_type in WEIGHTED:
            yield node.name
        else:
            waiting += node.input


def _beside(model: onnx.ModelProto, stays: set[str]) -> list[str]:
    """Return the nodes without weights whose neighbours all stay in float.

    Quantizing a sum or a Relu between two float layers would lose accuracy for nothing.
    """
    makers = {output: node for node in model.graph.node for output in node.output}
    readers: dict[str, list[onnx.NodeProto]] = {}
    for node in model.graph.node:
        for name in node.input:
            readers.setdefault(name, []).append(node)

    def quantized(node: onnx.NodeProto | None) -> bool:
        return node is not None and node.op_type in WEIGHTED and node.name not in stays

    found = []
    for node in model.graph.node:
        if node.op_type in WEIGHTED:
            continue
        above = [makers.get(name) for name in node.input]
        below = [reader for name in node.output for reader in readers.get(name, [])]
        # A sum may follow the Relu of another sum: look at the sources of its inputs.
        above += [makers.get(n) for up in above if up is not None for n in up.input]
        if not any(quantized(other) for other in [*above, *below]):
            found.append(node.name)
    return found
