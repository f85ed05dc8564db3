"""The part of the CUDA runtime that an engine needs: device properties, memory, one stream.

*Not run on a GPU or a Jetson*: tested with a stand-in for the CUDA runtime that copies in host
memory.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mera_edge.engine.protocol import Array
from mera_edge.errors import EngineError, MissingExtra

DEVICE_FILES = (Path("/dev/nvidia0"), Path("/dev/nvhost-gpu"), Path("/dev/nvgpu"))
"""Device files of the GPU driver: the first on a PC, the others on a Jetson."""


@dataclass(frozen=True)
class Device:
    """A GPU."""

    name: str
    capability: str
    """Compute capability, for example ``8.7``."""


class Cuda:
    """The first GPU, through the CUDA runtime.

    Args:
        runtime: the module ``cuda.bindings.runtime``; imported when ``None``.
        files: at least one of them must exist before CUDA is initialized, because without a GPU
            CUDA and libraries built on it can end the process.

    Raises:
        EngineError: there is no GPU, or CUDA does not start.
        MissingExtra: cuda-bindings is not installed.
    """

    def __init__(self, runtime: Any = None, files: Sequence[Path] = DEVICE_FILES) -> None:
        if not any(file.exists() for file in files):
            raise EngineError("no NVIDIA GPU was found", "models also run on the CPU")
        self._runtime = _runtime() if runtime is None else runtime
        facts = self._checked("cudaGetDeviceProperties", 0)
        self.device = Device(facts.name.decode().rstrip("\0"), f"{facts.major}.{facts.minor}")

    def stream(self) -> Any:
        """Create a stream; TensorRT takes its ``int`` value."""
        return self._checked("cudaStreamCreate")

    def allocate(self, size: int) -> int:
        """Allocate ``size`` bytes on the device and return their address."""
        return int(self._checked("cudaMalloc", size))

    def upload(self, address: int, array: Array, stream: Any) -> None:
        """Copy a contiguous array to the device."""
        kind = self._runtime.cudaMemcpyKind.cudaMemcpyHostToDevice
        self._checked("cudaMemcpyAsync", address, array.ctypes.data, array.nbytes, kind, stream)

    def download(self, array: Array, address: int, stream: Any) -> None:
        """Copy from the device into a contiguous array; complete after `synchronize`."""
        kind = self._runtime.cudaMemcpyKind.cudaMemcpyDeviceToHost
        self._checked("cudaMemcpyAsync", array.ctypes.data, address, array.nbytes, kind, stream)

    def synchronize(self, stream: Any) -> None:
        """Wait until all work on a stream is done."""
        self._checked("cudaStreamSynchronize", stream)

    def release(self, addresses: Sequence[int], stream: Any) -> None:
        """Free memory and destroy a stream."""
        for address in addresses:
            self._checked("cudaFree", address)
        self._checked("cudaStreamDestroy", stream)

    def _checked(self, function: str, *arguments: Any) -> Any:
        error, *values = getattr(self._runtime, function)(*arguments)
        if error != self._runtime.cudaError_t.cudaSuccess:
            _, name = self._runtime.cudaGetErrorName(error)
            raise EngineError(
                f"{function} of CUDA failed: {name.decode()}", _REMEDIES.get(name, "")
            )
        return values[0] if values else None


_REMEDIES = {
    b"cudaErrorInsufficientDriver": "cuda-bindings is newer than the driver: on JetPack 6 "
    "pip install 'cuda-bindings>=12.6,<13'",
    b"cudaErrorMemoryAllocation": "the memory of the GPU is full: run fewer models on it",
}


def _runtime() -> Any:
    try:
        from cuda.bindings import runtime
    except ModuleNotFoundError as error:
        raise MissingExtra("cuda-bindings", "tensorrt") from error
    except ImportError as error:
        raise EngineError(f"cuda-bindings does not start ({error})") from error
    return runtime
