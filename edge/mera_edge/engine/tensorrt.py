"""TensorRT as an `Engine`.

*Not run on a GPU or a Jetson*: tested with stand-ins for TensorRT and CUDA.
"""

from __future__ import annotations

import weakref
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from mera_edge.engine.cache import BUILD, Record
from mera_edge.engine.cuda import Cuda
from mera_edge.engine.protocol import Array, TensorSpec, numbers
from mera_edge.errors import EngineError

OLDEST = (10, 3)
"""Version in JetPack 6."""


class TensorRtEngine:
    """One engine file, built on this device by `mera-edge export --target tensorrt`.

    Loading an engine that does not match the device can end the process: `engine.factory` loads
    only engines that `engine.probe` has run before.

    Args:
        path: the engine, with its record next to it; see `engine.cache`.
        trt: the module ``tensorrt``; imported when ``None``.
        cuda: the device; the first one when ``None``.

    Raises:
        EngineError: there is no GPU, TensorRT is missing or too old, or it rejects the engine.
        MissingExtra: cuda-bindings is not installed.
    """

    def __init__(self, path: Path, trt: Any = None, cuda: Cuda | None = None) -> None:
        # CUDA first: without a device TensorRT ends the process.
        self._cuda = Cuda() if cuda is None else cuda
        trt = load_tensorrt() if trt is None else trt
        self.provider = "TensorRT"
        self.metadata: Mapping[str, str] = Record.beside(path).metadata
        self._name = path.name
        self._log = make_log(trt)
        try:
            self._runtime = trt.Runtime(self._log)
            engine = self._runtime.deserialize_cuda_engine(path.read_bytes())
        except (TypeError, RuntimeError, OSError) as error:
            raise EngineError(f"TensorRT does not load {path} ({error})", BUILD) from error
        if engine is None:
            raise EngineError(f"TensorRT cannot use {path} ({self._log.why()})", BUILD)
        self._context = engine.create_execution_context()
        if self._context is None:
            raise EngineError(
                f"{path.name} does not fit into the device's memory ({self._log.why()})"
            )
        self._stream = self._cuda.stream()
        self.inputs: dict[str, TensorSpec] = {}
        self.outputs: dict[str, TensorSpec] = {}
        self._addresses: dict[str, int] = {}
        weakref.finalize(self, _release, self._cuda, self._addresses, self._stream)
        for index in range(engine.num_io_tensors):
            spec = _spec(trt, engine, engine.get_tensor_name(index), path)
            size = max(1, spec.dtype.itemsize * int(np.prod(spec.shape)))
            self._addresses[spec.name] = self._cuda.allocate(size)
            self._context.set_tensor_address(spec.name, self._addresses[spec.name])
            given = engine.get_tensor_mode(spec.name) == trt.TensorIOMode.INPUT
            (self.inputs if given else self.outputs)[spec.name] = spec

    def run(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        """See `Engine.run`."""
        if feeds.keys() != self.inputs.keys():
            odd = ", ".join(sorted(feeds.keys() ^ self.inputs.keys()))
            raise EngineError(f"{self._name} did not run: inputs are missing or unknown: {odd}")
        # Must stay alive until the stream is synchronized.
        given = {name: np.ascontiguousarray(value) for name, value in feeds.items()}
        for name, spec in self.inputs.items():
            array = given[name]
            if (array.shape, array.dtype) != (spec.shape, spec.dtype):
                raise EngineError(
                    f"{self._name} did not run: {name} is {array.dtype} {array.shape}, "
                    f"not {spec.dtype} {spec.shape}"
                )
            self._cuda.upload(self._addresses[name], array, self._stream)
        if not self._context.execute_async_v3(int(self._stream)):
            raise EngineError(f"{self._name} did not run: {self._log.why()}")
        answers = {name: np.empty(spec.shape, spec.dtype) for name, spec in self.outputs.items()}
        for name, array in answers.items():
            self._cuda.download(array, self._addresses[name], self._stream)
        self._cuda.synchronize(self._stream)
        return numbers(answers, self._name)


def load_tensorrt() -> Any:
    """Import TensorRT; call only after a device has been found.

    Raises:
        EngineError: it is not installed, cannot be imported, or is older than `OLDEST`.
    """
    try:
        import tensorrt
    except (ImportError, OSError) as error:
        # Not `MissingExtra`: pip would install a version that the Jetson's driver does not support.
        raise EngineError(
            f"TensorRT is not installed, or incomplete ({error})",
            "on a Jetson it comes with JetPack: create the environment with "
            "--system-site-packages; "
            "elsewhere run: pip install 'mera-edge[tensorrt]'",
        ) from error
    require_version(tensorrt)
    return tensorrt


def require_version(trt: Any) -> None:
    """Check the version of TensorRT.

    Raises:
        EngineError: it is older than `OLDEST`.
    """
    found = tuple(int(part) for part in trt.__version__.split(".")[:2])
    if found < OLDEST:
        oldest = ".".join(map(str, OLDEST))
        raise EngineError(
            f"TensorRT {trt.__version__} is too old; the oldest supported version is {oldest}",
            "install JetPack 6 or newer; until then models run on ONNX Runtime",
        )


def make_log(trt: Any) -> Any:
    """Create a logger for TensorRT that collects errors and prints nothing.

    Its ``why()`` returns the errors since the last call, on one line.
    """

    class Log(trt.ILogger):  # type: ignore[misc]
        def __init__(self) -> None:
            trt.ILogger.__init__(self)
            self.errors: list[str] = []

        def log(self, severity: Any, message: str) -> None:
            if severity in (trt.ILogger.INTERNAL_ERROR, trt.ILogger.ERROR):
                self.errors.append(message)

        def why(self) -> str:
            found, self.errors = self.errors, []
            return "; ".join(found) or "TensorRT gives no reason"

    return Log()


def _spec(trt: Any, engine: Any, name: str, path: Path) -> TensorSpec:
    shape = tuple(engine.get_tensor_shape(name))
    kind = engine.get_tensor_dtype(name)
    if min(shape, default=1) < 0:
        raise EngineError(f"{path.name}: {name} has the dynamic shape {shape}", BUILD)
    try:
        return TensorSpec(name, shape, np.dtype(trt.nptype(kind)))
    except TypeError as error:
        raise EngineError(f"{path.name}: {name} is {kind}, which numpy does not have") from error


def _release(cuda: Cuda, addresses: dict[str, int], stream: Any) -> None:
    cuda.release(list(addresses.values()), stream)
