"""FP16 for TensorRT, where INT8 fails the gate."""

from __future__ import annotations

import onnx


def to_fp16(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return a copy in FP16 whose inputs and outputs stay in FP32.

    Since TensorRT 11, precision is set in the graph and no longer by a flag of the builder.
    """
    from onnxruntime.transformers.float16 import convert_float_to_float16

    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    metadata = {entry.key: entry.value for entry in model.metadata_props}
    # No exceptions: the default list is for operators that ONNX Runtime lacks.
    converted: onnx.ModelProto = convert_float_to_float16(
        copy, keep_io_types=True, op_block_list=[]
    )
    del converted.metadata_props[:]
    onnx.helper.set_model_props(converted, dict(sorted(metadata.items())))
    return converted
