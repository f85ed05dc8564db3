"""A teacher for the speech detector that needs no package."""

from pathlib import Path

import numpy as np
from onnx import TensorProto, helper, numpy_helper, save


def loudness_teacher(path: Path) -> Path:
    """A network with Silero's interface that takes what is loud for speech."""
    node, half = helper.make_node, np.full(1, 10, np.float32)
    graph = helper.make_graph(
        [
            node("ReduceL2", ["input", "axis"], ["level"], keepdims=0),
            node("Sub", ["level", "half"], ["above"]),
            node("Sigmoid", ["above"], ["speech_probs"]),
            node("Identity", ["h"], ["hn"]),
            node("Identity", ["c"], ["cn"]),
        ],
        "loudness",
        [
            helper.make_tensor_value_info("input", TensorProto.FLOAT, ["n", 576]),
            *(helper.make_tensor_value_info(n, TensorProto.FLOAT, [1, 1, 128]) for n in "hc"),
        ],
        [
            helper.make_tensor_value_info("speech_probs", TensorProto.FLOAT, ["n"]),
            *(helper.make_tensor_value_info(f"{n}n", TensorProto.FLOAT, [1, 1, 128]) for n in "hc"),
        ],
        [numpy_helper.from_array(half, "half"), numpy_helper.from_array(np.array([1]), "axis")],
    )
    save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8), path)
    return path
