"""What a model runs on: what was asked for, or the CPU and the reason."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from mera_edge.engine import cache, cuda
from mera_edge.engine.onnx import OnnxEngine
from mera_edge.engine.probe import probe
from mera_edge.engine.protocol import Engine
from mera_edge.engine.tensorrt import TensorRtEngine, tensorrt
from mera_edge.errors import EngineError, MeraError

Provider = Literal["auto", "cpu", "cuda", "onnx-tensorrt", "tensorrt"]
"""``auto``: an engine of ours where one can be, else the CPU. ``cuda``, ``onnx-tensorrt``: ONNX
Runtime's providers of that name. ``tensorrt``: an engine of ours."""

OPTIONS = "workspace 1024 MiB"
"""Of the builder, as engines of ours are looked for."""


@dataclass(frozen=True)
class Model:
    """The files of one role."""

    role: str
    onnx: Path
    tensorrt: Path | None = None
    """What an engine is built from."""
    sha256: str = ""
    """Of `tensorrt`."""
    precision: str = ""
    """Of `tensorrt`."""


def choose(model: Model, provider: Provider = "auto") -> tuple[Engine, str]:
    """Load a model.

    Returns:
        The engine, and why it is not what was asked for (nothing, if it is).

    Raises:
        EngineError: not even the CPU can run it.
    """
    makers: dict[Provider, Callable[[Model], Engine]] = {
        "cuda": lambda m: OnnxEngine(m.onnx, providers=_cuda()),
        "onnx-tensorrt": lambda m: OnnxEngine(m.onnx, providers=_onnx_tensorrt()),
        "tensorrt": own,
    }
    if provider == "auto":
        # A machine without a GPU lacks nothing: no reason is given.
        able = model.tensorrt is not None and cuda.present() and _installed()
        provider = "tensorrt" if able else "cpu"
    if provider == "cpu":
        return OnnxEngine(model.onnx), ""
    try:
        return makers[provider](model), ""
    except MeraError as error:
        return OnnxEngine(model.onnx), f"{provider}: {error}"


def own(model: Model, trt: Any = None, device: cuda.Cuda | None = None) -> Engine:
    """Load the engine that was built of ``model`` on this device.

    Raises:
        EngineError, MissingExtra: there is none, or it does not run; says why.
    """
    if model.tensorrt is None:
        raise EngineError(
            f"the bundle has no {model.role} for TensorRT", "export it with --target tensorrt"
        )
    if device is None:
        if not cuda.present():
            raise EngineError("there is no GPU", "run on the CPU")
        device = cuda.Cuda()
    trt = tensorrt() if trt is None else trt
    path = cache.find(model.role, key(model, trt, device))
    probe(path)
    return TensorRtEngine(path, trt, device)


def key(model: Model, trt: Any, device: cuda.Cuda) -> cache.Key:
    """Return what an engine of ``model`` must have been built for to run here."""
    found = device.device()
    return cache.Key(
        onnx=model.sha256,
        precision=model.precision,
        tensorrt=str(trt.__version__),
        gpu=found.name,
        capability=found.capability,
        system=cache.system_release(),
        options=OPTIONS,
    )


def _installed() -> bool:
    return importlib.util.find_spec("tensorrt") is not None


def _cuda() -> tuple[Any, ...]:
    return ("CUDAExecutionProvider", "CPUExecutionProvider")


def _onnx_tensorrt() -> tuple[Any, ...]:
    kept = str(cache.directory() / "onnxruntime")
    options = {
        "trt_engine_cache_enable": True,
        "trt_engine_cache_path": kept,
        "trt_timing_cache_enable": True,
        "trt_fp16_enable": True,
    }
    return (("TensorrtExecutionProvider", options), *_cuda())
