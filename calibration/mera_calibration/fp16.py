"""Half precision for a network: what TensorRT runs where eight bits do not do."""

from __future__ import annotations

import onnx


def half(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return a copy in FP16 whose inputs and outputs stay in FP32.

    Since TensorRT 11 the precision is a fact of the graph and no flag of the builder.
    """
    from onnxruntime.transformers.float16 import convert_float_to_float16

    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    metadata = {entry.key: entry.value for entry in model.metadata_props}
    # Nothing is held back: the converter's own list is for operators that ONNX Runtime lacks.
    converted: onnx.ModelProto = convert_float_to_float16(
        copy, keep_io_types=True, op_block_list=[]
    )
    del converted.metadata_props[:]
    onnx.helper.set_model_props(converted, dict(sorted(metadata.items())))
    return converted
