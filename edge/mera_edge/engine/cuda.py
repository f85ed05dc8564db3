"""The CUDA device, if there is one. **Not run on a GPU**: tested with a stand-in for the driver."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mera_edge.engine.protocol import Array
from mera_edge.errors import EngineError, MissingExtra

DEVICE_FILES = ("/dev/nvidia0", "/dev/nvhost-gpu", "/dev/nvgpu", "/dev/nvhost-ctrl-gpu")
"""One of them is there where a GPU is. Without one CUDA is not even started: TensorRT would
bring the process down."""


@dataclass(frozen=True, slots=True)
class Device:
    """A GPU."""

    name: str
    capability: str
    """Compute capability, such as ``8.7``."""


def present(files: Sequence[str] = DEVICE_FILES) -> bool:
    """Whether this machine has a GPU, as far as the file system tells."""
    return any(Path(file).exists() for file in files)


class Cuda:
    """Memory and a stream of the first device.

    Args:
        runtime: a module like `cuda.bindings.runtime`, which is imported when ``None``.

    Raises:
        MissingExtra: the bindings are not installed.
        EngineError: the driver refuses.
    """

    def __init__(self, runtime: Any = None) -> None:
        if runtime is None:
            try:
                runtime = importlib.import_module("cuda.bindings.runtime")
            except ImportError as error:
                raise MissingExtra("cuda-bindings", "tensorrt") from error
        self._runtime = runtime
        if self._call("cudaGetDeviceCount") < 1:
            raise EngineError("CUDA finds no device", "check the driver with nvidia-smi")
        self.stream: int = int(self._call("cudaStreamCreate"))

    def device(self) -> Device:
        """Describe the device."""
        facts = self._call("cudaGetDeviceProperties", 0)
        name = facts.name.decode() if isinstance(facts.name, bytes) else str(facts.name)
        return Device(name.strip("\0 "), f"{facts.major}.{facts.minor}")

    def allocate(self, size: int) -> int:
        """Return the address of ``size`` bytes on the device."""
        return int(self._call("cudaMalloc", size))

    def free(self, address: int) -> None:
        """Give memory back."""
        self._call("cudaFree", address)

    def upload(self, array: Array, address: int) -> None:
        """Copy a contiguous array to the device, in the stream."""
        kind = self._runtime.cudaMemcpyKind.cudaMemcpyHostToDevice
        self._call("cudaMemcpyAsync", address, array.ctypes.data, array.nbytes, kind, self.stream)

    def download(self, address: int, array: Array) -> None:
        """Copy from the device into a contiguous array, in the stream."""
        kind = self._runtime.cudaMemcpyKind.cudaMemcpyDeviceToHost
        self._call("cudaMemcpyAsync", array.ctypes.data, address, array.nbytes, kind, self.stream)

    def wait(self) -> None:
        """Wait until everything in the stream is done."""
        self._call("cudaStreamSynchronize", self.stream)

    def _call(self, name: str, *arguments: object) -> Any:
        error, *values = getattr(self._runtime, name)(*arguments)
        if int(error) != 0:
            _, words = self._runtime.cudaGetErrorString(error)
            told = words.decode() if isinstance(words, bytes) else str(words)
            raise EngineError(f"{name} failed: {told}", "check the driver with nvidia-smi")
        return values[0] if values else None
