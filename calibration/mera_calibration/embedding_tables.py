"""INT8 for lookup tables (embeddings, n-gram weights), which ONNX Runtime leaves in float."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
import onnx
from onnx import numpy_helper

WEIGHTED = ("Conv", "Gemm", "MatMul")
"""Operators with weights."""

SMALLEST = 4096
"""Tables with fewer elements stay in float."""


def table_gathers(model: onnx.ModelProto) -> list[onnx.NodeProto]:
    """Return the Gather nodes that read rows of a large constant float32 table."""
    large = {
        tensor.name
        for tensor in model.graph.initializer
        if tensor.data_type == onnx.TensorProto.FLOAT
        and len(tensor.dims) == 2
        and np.prod(tensor.dims) >= SMALLEST
    }
    return [
        node
        for node in model.graph.node
        if node.op_type == "Gather"
        and node.input[0] in large
        and all(attribute.i == 0 for attribute in node.attribute if attribute.name == "axis")
    ]


def quantize_tables(model: onnx.ModelProto, chosen: Collection[str]) -> None:
    """Quantize the tables of the ``chosen`` nodes to INT8 with a scale per column, in place.

    Only the rows that were read are dequantized; ONNX Runtime would otherwise dequantize the
    whole table in every run.
    """
    graph = model.graph
    constants = {tensor.name: tensor for tensor in graph.initializer}
    ranks = _index_ranks(model)
    nodes = list(graph.node)
    for gather in [node for node in table_gathers(model) if node.name in chosen]:
        table = numpy_helper.to_array(constants[gather.input[0]])
        scale = np.maximum(np.abs(table).max(axis=0) / 127, 1e-12).astype(np.float32)
        small = np.clip(np.rint(table / scale), -127, 127).astype(np.int8)
        source, wide = gather.input[0], gather.output[0]
        names = [f"{source}_{part}" for part in ("quantized", "scale", "zero_point")]
        values = (small, scale, np.zeros_like(scale, np.int8))
        for name, value in zip(names, values, strict=True):
            if name not in constants:
                constants[name] = numpy_helper.from_array(value, name)
                graph.initializer.append(constants[name])
        gather.input[0], gather.output[0] = names[0], f"{wide}_quantized"
        widen = onnx.helper.make_node(
            "DequantizeLinear",
            [gather.output[0], *names[1:]],
            [wide],
            name=f"{gather.name}_dequantize",
            axis=ranks[gather.input[1]],
        )
        nodes.insert(next(i for i, node in enumerate(nodes) if node.name == gather.name) + 1, widen)
    del graph.node[:]
    graph.node.extend(nodes)
    # The types of the rows have changed and have to be inferred again.
    changed = {name for node in graph.node for name in node.output if name.endswith("_quantized")}
    for value in [value for value in graph.value_info if value.name in changed]:
        graph.value_info.remove(value)
    used = {name for node in graph.node for name in node.input}
    for tensor in [tensor for tensor in graph.initializer if tensor.name not in used]:
        graph.initializer.remove(tensor)


def _index_ranks(model: onnx.ModelProto) -> dict[str, int]:
    inferred = onnx.shape_inference.infer_shapes(model).graph
    values = [*inferred.value_info, *inferred.input]
    ranks = {value.name: len(value.type.tensor_type.shape.dim) for value in values}
    return ranks | {tensor.name: len(tensor.dims) for tensor in inferred.initializer}
