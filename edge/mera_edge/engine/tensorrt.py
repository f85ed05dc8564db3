"""TensorRT behind the `Engine` protocol.

**Not run with TensorRT**: tested with a stand-in that has the names of its Python interface from
10.3 to 11.4.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from mera_edge.engine import cache
from mera_edge.engine.cuda import Cuda
from mera_edge.engine.protocol import Array, TensorSpec
from mera_edge.errors import EngineError, MissingExtra


def tensorrt() -> Any:
    """Import TensorRT.

    Raises:
        MissingExtra: it is not installed, or its libraries are not there.
    """
    try:
        return importlib.import_module("tensorrt")
    except (ImportError, OSError) as error:
        raise MissingExtra(f"TensorRT ({error})", "tensorrt") from error


class TensorRtEngine:
    """An engine of the cache, with buffers on the device that are allocated once.

    Args:
        path: the engine; its record lies beside it.
        trt: a module like `tensorrt`, which is imported when ``None``.
        cuda: the device.

    Raises:
        EngineError: the engine does not load here, or has another interface than its record.
        MissingExtra: TensorRT is not installed.
    """

    provider = "TensorRT"

    def __init__(self, path: Path, trt: Any = None, cuda: Cuda | None = None) -> None:
        trt = tensorrt() if trt is None else trt
        self._cuda = Cuda() if cuda is None else cuda
        record = cache.read(path)
        self._path = path
        self.metadata: dict[str, str] = record.metadata
        self.inputs = {tensor.name: _spec(tensor) for tensor in record.inputs}
        self.outputs = {tensor.name: _spec(tensor) for tensor in record.outputs}
        # Kept: the engine lives no longer than the runtime that made it.
        self._runtime = trt.Runtime(trt.Logger(trt.Logger.ERROR))
        self._engine = self._runtime.deserialize_cuda_engine(path.read_bytes())
        if self._engine is None:
            raise EngineError(f"{path} does not load with this TensorRT", cache.BUILD)
        self._context = self._engine.create_execution_context()
        if self._context is None:
            raise EngineError(f"{path}: not enough memory on the device", "free some of it")
        names = [self._engine.get_tensor_name(i) for i in range(self._engine.num_io_tensors)]
        if missing := [name for name in self.outputs if name not in names]:
            raise EngineError(f"{path} has no output {missing[0]}", cache.BUILD)
        self._addresses: dict[str, int] = {}
        specs = {**self.inputs, **self.outputs}
        # The builder drops inputs that no layer reads; nothing need be copied for them.
        for name in names:
            size = int(np.prod(specs[name].shape)) * specs[name].dtype.itemsize
            self._addresses[name] = self._cuda.allocate(size)
            self._context.set_tensor_address(name, self._addresses[name])

    def run(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        held = []
        for name, spec in self.inputs.items():
            given = feeds.get(name)
            if given is None or given.shape != spec.shape or given.dtype != spec.dtype:
                found = "missing" if given is None else f"{given.dtype} {given.shape}"
                raise EngineError(
                    f"{self._path.name}: {name} is {found}, not {spec.dtype} {spec.shape}"
                )
            if name in self._addresses:
                # Kept until the copy is done.
                held.append(np.ascontiguousarray(given))
                self._cuda.upload(held[-1], self._addresses[name])
        if not self._context.execute_async_v3(self._cuda.stream):
            raise EngineError(f"{self._path.name} did not run", cache.BUILD)
        answers = {name: np.empty(spec.shape, spec.dtype) for name, spec in self.outputs.items()}
        for name, array in answers.items():
            self._cuda.download(self._addresses[name], array)
        self._cuda.wait()
        return answers


def _spec(tensor: cache.Tensor) -> TensorSpec:
    return TensorSpec(tensor.name, tensor.shape, np.dtype(tensor.dtype))
