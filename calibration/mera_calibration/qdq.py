"""Eight bits for a network: Q/DQ nodes with ranges from calibration, and the proof of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator
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
"""Outputs whose last layers, the heads, stay in float."""

LARGEST = 0.9
"""Of the full-precision file's size. A file that is hardly smaller was hardly quantized."""


@dataclass(frozen=True)
class Preset:
    """What is quantized in a family of networks. All else stays in float."""

    operators: tuple[str, ...]
    """Layers with weights are always meant as Conv, Gemm *and* MatMul: optimizers turn one into
    the other, and a list without it would quantize nothing and not say so."""
    tensorrt: str = ""
    """Why TensorRT is not for them, if it is not."""


# Convolutions swallow the Relu after them. Sums around blocks, norms, softmax and sigmoid are where
# encoders lose their accuracy, and they cost little time.
_ENCODER = Preset((*WEIGHTED, "Relu"))
# A network for pictures is one chain of convolutions: leaving eight bits for every sum and pooling
# and coming back would cost more than the convolutions save.
_PICTURES = Preset((*WEIGHTED, "Relu", "Add", "AveragePool"))

PRESETS: dict[RoleName, Preset] = {
    "asr": _ENCODER,
    "voice": _ENCODER,
    "face": _PICTURES,
    "text": Preset(_ENCODER.operators, "it looks up hashed n-grams, which a CPU does at once"),
}


@dataclass(frozen=True)
class Proof:
    """That a file is quantized."""

    quantize: int
    """QuantizeLinear nodes."""
    dequantize: int
    """DequantizeLinear nodes."""
    layers: int
    """Conv, Gemm, MatMul and table look-ups whose weights have eight bits."""
    of: int
    """All such layers."""
    bytes: int


def layers(model: onnx.ModelProto) -> list[str]:
    """Return the names of the nodes with weights that may be quantized, in graph order."""
    heads = set(_heads(model))
    constants = {tensor.name for tensor in model.graph.initializer}
    return [
        node.name
        for node in model.graph.node
        if node.op_type in WEIGHTED and node.input[1] in constants and node.name not in heads
    ] + [node.name for node in table_gathers(model)]


def sizes(model: onnx.ModelProto) -> dict[str, int]:
    """Return the bytes of the weights of every layer in `layers`."""
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
    """Return a copy with Q/DQ nodes, weights in S8 with a scale per channel.

    Args:
        model: in full precision, every node with a name.
        ranges: of its activations.
        preset: what to quantize.
        leave: names of layers to leave in full precision, beside the heads.
        target: ``cpu`` has U8 activations, which is faster there, and weights of `WEIGHT_BITS`;
            ``tensorrt`` takes symmetric S8 only, biases and tables in float (`mera_export.legality`
            has its rules).
        instruction_set: of the CPU; ``tensorrt`` ignores it.
    """
    from onnxruntime.quantization import CalibrationMethod, QuantType
    from onnxruntime.quantization.calibrate import TensorsData
    from onnxruntime.quantization.qdq_quantizer import QDQQuantizer

    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    metadata = {entry.key: entry.value for entry in model.metadata_props}
    chosen = [name for name in layers(model) if name not in set(leave)]
    cpu = target == "cpu"
    if cpu:
        quantize_tables(copy, chosen)
    stays = [
        node.name
        for node in copy.graph.node
        if node.op_type in WEIGHTED and node.name not in chosen
    ]
    if any(node.op_type in WEIGHTED and node.name in chosen for node in copy.graph.node):
        # Made anew every time: the quantizer changes it.
        spans = {name: tuple(map(np.float32, span)) for name, span in ranges.tensors.items()}
        quantizer = QDQQuantizer(
            copy,
            per_channel=True,
            reduce_range=cpu and WEIGHT_BITS[instruction_set] == 7,
            weight_qType=QuantType.QInt8,
            activation_qType=QuantType.QUInt8 if cpu else QuantType.QInt8,
            tensors_range=TensorsData(CalibrationMethod.MinMax, spans),
            nodes_to_quantize=[],
            nodes_to_exclude=[*stays, *_beside(copy, set(stays))],
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
        copy = quantizer.quantize_model()
    del copy.metadata_props[:]
    onnx.helper.set_model_props(copy, dict(sorted(metadata.items())))
    return copy


def write(model: onnx.ModelProto, path: Path) -> None:
    """Write a model: the same model gives the same bytes."""
    path.write_bytes(model.SerializeToString(deterministic=True))


def prove(full: Path, quantized: Path, leave: Collection[str] = ()) -> Proof:
    """Check that what was to be quantized is, and that the file is smaller for it.

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
            "look for weights that are no constants of the graph, or another operator's name",
        )
    if not meant:
        raise CheckFailed(f"{full.name} has no layer to quantize", "leave it in full precision")
    small, large = quantized.stat().st_size, full.stat().st_size
    if small > LARGEST * large:
        raise CheckFailed(
            f"{full.name} hardly became smaller ({large} bytes, then {small})",
            "too little of it can be quantized: leave it in full precision",
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
    """Yield the layers whose weights are stored in eight bits."""
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
    """Yield the layers nearest to the answers: the first that lie on any way back from them."""
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
    """Return nodes without weights whose neighbours all stay in float.

    Eight bits for a sum or a Relu between two layers in float would cost accuracy for nothing.
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
        # A sum may follow another sum's Relu: what matters is what its inputs come from.
        above += [makers.get(n) for up in above if up is not None for n in up.input]
        if not any(quantized(other) for other in [*above, *below]):
            found.append(node.name)
    return found
