"""Stand-ins for TensorRT and CUDA, so that all around them is real.

The CUDA stand-in copies in host memory. The TensorRT stand-in's engines hold the ONNX model and
really compute it, through addresses, with ONNX Runtime. Nothing here ran on a GPU.
"""

from __future__ import annotations

import ctypes
import enum
import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper

from mera_edge.bundle import SCHEMA, Bundle, Manifest, RoleEntry
from mera_edge.bundle.manifest import FileEntry, Tensor
from mera_edge.engine.cuda import Cuda


class CudaRuntime:
    """As much of ``cuda.bindings.runtime`` as is used, on host memory."""

    cudaError_t = enum.IntEnum("cudaError_t", {"cudaSuccess": 0, "cudaErrorMemoryAllocation": 2})
    cudaMemcpyKind = enum.IntEnum("cudaMemcpyKind", ["cudaMemcpyHostToDevice", "cudaMemcpyDeviceToHost"])  # fmt: skip  # noqa: E501

    def __init__(self, name: bytes = b"Orin\0\0", room: int = 1 << 20) -> None:
        self.name, self.room = name, room
        self.memory: dict[int, Any] = {}
        self.streams: set[int] = set()

    def _answer(self, *values: Any) -> tuple[Any, ...]:
        return (self.cudaError_t.cudaSuccess, *values)

    def cudaGetErrorName(self, error: Any) -> tuple[Any, bytes]:
        return self._answer(error.name.encode())

    def cudaGetDeviceProperties(self, device: int) -> tuple[Any, Any]:
        return self._answer(SimpleNamespace(name=self.name, major=8, minor=7))

    def cudaStreamCreate(self) -> tuple[Any, int]:
        self.streams.add(7)
        return self._answer(7)

    def cudaStreamDestroy(self, stream: int) -> tuple[Any, ...]:
        self.streams.remove(stream)
        return self._answer()

    def cudaStreamSynchronize(self, stream: int) -> tuple[Any, ...]:
        return self._answer()

    def cudaMalloc(self, size: int) -> tuple[Any, ...]:
        if size > self.room:
            return self.cudaError_t.cudaErrorMemoryAllocation, None
        buffer = ctypes.create_string_buffer(size)
        self.memory[ctypes.addressof(buffer)] = buffer
        return self._answer(ctypes.addressof(buffer))

    def cudaFree(self, address: int) -> tuple[Any, ...]:
        del self.memory[address]
        return self._answer()

    def cudaMemcpyAsync(self, to: int, of: int, size: int, *_: Any) -> tuple[Any, ...]:
        ctypes.memmove(to, of, size)
        return self._answer()


class _ILogger:
    INTERNAL_ERROR, ERROR, WARNING = range(3)


class _Monitor:
    def __init__(self) -> None:
        pass


class TensorRt:
    """As much of the module ``tensorrt`` as is used.

    Args:
        version: ``10.3.0`` has weak typing, ``10.12.0`` both, ``11.4.0`` only strong typing.
        monitors: whether it can tell progress.
        refuses: an operator that its parser does not read.
        builds: whether building succeeds.
    """

    ILogger = _ILogger
    MemoryPoolType = SimpleNamespace(WORKSPACE="workspace")
    ProfilingVerbosity = SimpleNamespace(DETAILED="detailed")
    LayerInformationFormat = SimpleNamespace(JSON="json")
    TensorIOMode = SimpleNamespace(INPUT="input", OUTPUT="output")

    def __init__(
        self, version: str = "10.3.0", monitors: bool = True, refuses: str = "", builds: bool = True
    ) -> None:
        self.__version__ = version
        major, minor = (int(part) for part in version.split(".")[:2])
        flags = {"TF32": 1}
        if major < 11:
            flags |= {"INT8": 2, "FP16": 3}
        if (major, minor) >= (10, 12):
            flags["DISTRIBUTIVE_INDEPENDENCE"] = 4
        self.BuilderFlag = SimpleNamespace(**flags)
        kinds = {"STRONGLY_TYPED": 1} | ({"EXPLICIT_BATCH": 0} if major < 11 else {})
        self.NetworkDefinitionCreationFlag = SimpleNamespace(**kinds)
        if monitors:
            self.IProgressMonitor = _Monitor
        self.refuses, self.builds = refuses, builds
        self.network_flags: int | None = None
        self.config: _Config | None = None
        self.timings_read: list[bytes] = []
        self.timings_refused: list[bytes] = []
        self.Builder = lambda log: _Builder(self, log)
        self.OnnxParser = lambda network, log: _Parser(self, network)
        self.Runtime = lambda log: _Runtime(self, log)

    @staticmethod
    def nptype(kind: str) -> type:
        return {"tensor(float)": np.float32, "tensor(int64)": np.int64}[kind]

    def plan(self, model: bytes) -> bytes:
        return self.__version__.encode() + b"\0" + model


class _Config:
    def __init__(self, trt: TensorRt) -> None:
        self._trt = trt
        self.flags: set[int] = set()
        self.workspace = 0
        self.profiling_verbosity = ""
        self.progress_monitor: Any = None
        self._timings: Any = None

    def set_memory_pool_limit(self, pool: str, size: int) -> None:
        self.workspace = size

    def set_flag(self, flag: int) -> None:
        self.flags.add(flag)

    def create_timing_cache(self, data: bytes) -> bytes:
        return data

    def set_timing_cache(self, data: bytes, ignore_mismatch: bool) -> bool:
        self._trt.timings_read.append(data)
        return data not in self._trt.timings_refused

    def get_timing_cache(self) -> Any:
        return SimpleNamespace(serialize=lambda: memoryview(b"timings"))


class _Builder:
    def __init__(self, trt: TensorRt, log: Any) -> None:
        self._trt, self._log = trt, log

    def create_network(self, flags: int) -> SimpleNamespace:
        self._trt.network_flags = flags
        return SimpleNamespace(model=b"")

    def create_builder_config(self) -> _Config:
        self._trt.config = _Config(self._trt)
        return self._trt.config

    def build_serialized_network(self, network: Any, config: _Config) -> Any:
        if (monitor := config.progress_monitor) is not None:
            monitor.phase_start("Building", None, 2)
            monitor.phase_start("Inner", "Building", 9)
            for step in range(2):
                monitor.step_complete("Inner", step)
                monitor.step_complete("Building", step)
            monitor.phase_finish("Building")
        if not self._trt.builds:
            self._log.log(_ILogger.WARNING, "it is warm")
            self._log.log(_ILogger.ERROR, "no room for conv2")
            return None
        return memoryview(self._trt.plan(network.model))


class _Parser:
    def __init__(self, trt: TensorRt, network: Any) -> None:
        self._trt, self._network = trt, network
        self.num_errors = 0

    def parse(self, model: bytes) -> bool:
        self._network.model = model
        nodes = onnx.load_from_string(model).graph.node
        self._bad = [node for node in nodes if node.op_type == self._trt.refuses]
        self.num_errors = len(self._bad)
        return not self._bad

    def get_error(self, index: int) -> Any:
        node = self._bad[index]
        return SimpleNamespace(
            node_name=lambda: node.name,
            node_operator=lambda: node.op_type,
            node=lambda: index,
            desc=lambda: "not supported",
        )


class _Runtime:
    def __init__(self, trt: TensorRt, log: Any) -> None:
        self._trt, self._log = trt, log

    def deserialize_cuda_engine(self, plan: bytes) -> Any:
        version, _, model = plan.partition(b"\0")
        if version != self._trt.__version__.encode():
            self._log.log(_ILogger.ERROR, "Version tag does not match")
            return None
        return _Engine(onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"]))


class _Engine:
    def __init__(self, session: Any) -> None:
        self.session = session
        self._inputs = {node.name for node in session.get_inputs()}
        self._nodes = [*session.get_inputs(), *session.get_outputs()]
        self.num_io_tensors = len(self._nodes)

    def _node(self, name: str) -> Any:
        return next(node for node in self._nodes if node.name == name)

    def get_tensor_name(self, index: int) -> str:
        return self._nodes[index].name

    def get_tensor_shape(self, name: str) -> list[int]:
        return self._node(name).shape

    def get_tensor_dtype(self, name: str) -> str:
        return self._node(name).type

    def get_tensor_mode(self, name: str) -> str:
        return "input" if name in self._inputs else "output"

    def create_execution_context(self) -> Any:
        return _Context(self)

    def create_engine_inspector(self) -> Any:
        return SimpleNamespace(get_engine_information=lambda _: json.dumps(LAYERS))


class _Context:
    def __init__(self, engine: _Engine) -> None:
        self._session = engine.session
        self._addresses: dict[str, int] = {}

    def set_tensor_address(self, name: str, address: int) -> bool:
        self._addresses[name] = address
        return True

    def _view(self, node: Any) -> np.ndarray:
        dtype = np.dtype(TensorRt.nptype(node.type))
        size = int(np.prod(node.shape)) * dtype.itemsize
        memory = (ctypes.c_char * size).from_address(self._addresses[node.name])
        return np.frombuffer(memory, dtype).reshape(node.shape)

    def execute_async_v3(self, stream: int) -> bool:
        feeds = {node.name: self._view(node) for node in self._session.get_inputs()}
        answers = self._session.run(None, feeds)
        for node, answer in zip(self._session.get_outputs(), answers, strict=True):
            self._view(node)[...] = answer
        return True


def layer(kind: str, *read: str) -> dict[str, Any]:
    return {"LayerType": kind, "Inputs": [{"Format/Datatype": one} for one in read]}


LAYERS = {
    "Layers": [
        layer("Reformat", "Row major linear FP32"),
        layer("CaskConvolution", "Thirty-two wide channel vectorized row major Int8 format"),
        layer("CaskConvolution", "Row major Int8 format", "Row major linear FP16 format"),
        layer("PointWiseV2", "Half"),
        layer("SoftMaxV2", "Row major linear FP32"),
        layer("gather", "Int64"),
    ]
}
"""As inspectors of different versions write it."""


@pytest.fixture
def trt() -> type[TensorRt]:
    """Make a TensorRT of some version."""
    return TensorRt


@pytest.fixture
def cuda_runtime() -> type[CudaRuntime]:
    """Make a CUDA runtime."""
    return CudaRuntime


@pytest.fixture
def gpu(tmp_path: Path) -> Cuda:
    """A device that is there."""
    (tmp_path / "nvidia0").touch()
    return Cuda(CudaRuntime(), files=[tmp_path / "nvidia0"])


@pytest.fixture(autouse=True)
def engines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache of engines."""
    monkeypatch.setenv("MERA_EDGE_ENGINES", str(tmp_path / "engines"))
    return tmp_path / "engines"


@pytest.fixture
def bundle(tmp_path: Path) -> Callable[..., Bundle]:
    """Make a bundle whose one model keeps a running sum, ``total = cache_sum + x``."""

    def make(tensorrt: str | None = "int8", precision: str = "fp32") -> Bundle:
        directory = tmp_path / "bundle"
        directory.mkdir(exist_ok=True)
        names = ["x", "cache_sum", "total", "next_cache_sum"]
        values = [helper.make_tensor_value_info(n, TensorProto.FLOAT, [1, 2]) for n in names]
        nodes = [
            helper.make_node("Add", ["x", "cache_sum"], ["total"], "add"),
            helper.make_node("Identity", ["total"], ["next_cache_sum"], "keep"),
        ]
        graph = helper.make_graph(nodes, "sum", values[:2], values[2:])
        opset = [helper.make_opsetid("", 18)]
        model = helper.make_model(graph, opset_imports=opset, ir_version=9)
        helper.set_model_props(model, {"unit": "apples"})
        onnx.save(model, directory / "voice.onnx")
        files = {"model": FileEntry.of(directory / "voice.onnx")}
        if tensorrt is not None:
            files["tensorrt"] = files["model"]
        tensors = [Tensor(name=name, shape=(1, 2), dtype="float32") for name in names]
        voice = RoleEntry(
            files=files,
            precision=precision,  # type: ignore[arg-type]
            tensorrt=tensorrt,  # type: ignore[arg-type]
            inputs=tuple(tensors[:2]),
            outputs=tuple(tensors[2:]),
            licence="none",
            card="# Voice",
        )
        facts = Manifest(schema=SCHEMA, name="test", created_with={}, roles={"voice": voice})
        (directory / "bundle.json").write_text(facts.to_json())
        return Bundle.open(directory)

    return make
