"""Loads a model on the requested provider, or falls back to the CPU and reports the reason."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

import numpy as np

from mera_edge.engine.plugin import PACKAGES, PluginName, load
from mera_edge.engine.probe import COMMAND, probe
from mera_edge.engine.protocol import Engine
from mera_edge.errors import EngineError, MeraError

if TYPE_CHECKING:
    from mera_edge.bundle.manifest import RoleEntry
    from mera_edge.engine.cuda import Cuda

Provider = Literal["auto", "cpu", "cuda", "onnx-tensorrt", "tensorrt", PluginName]
"""``auto``: TensorRT if an engine was built here, else the CPU. ``cuda`` and ``onnx-tensorrt`` are
providers of ONNX Runtime; ``tensorrt`` is `TensorRtEngine`; the others are plug-ins."""


MOST_APART = 0.05
"""Largest accepted difference between the outputs of a plug-in and the CPU for the same input."""


class Model(Protocol):
    """A role of a bundle: its name, manifest entry and files."""

    @property
    def name(self) -> str:
        """Its name in the bundle."""

    @property
    def entry(self) -> RoleEntry:
        """Its entry in the manifest."""

    def path(self, file: str = "model") -> Path:
        """Return the path of one of its files."""


def load_engine(role: Model, asked: Provider) -> tuple[Engine, str | None]:
    """Load a role's model.

    *Not run on a GPU or a Jetson*, except for ``cpu`` and the fallback of the others without a GPU.

    Returns:
        The engine, and the reason for a fallback to the CPU, or ``None``. ``auto`` requests
        TensorRT only if an engine of this model was built; otherwise the CPU is not a fallback.

    Raises:
        EngineError: ONNX Runtime cannot load the model on the CPU either.
    """
    from mera_edge.engine.onnx import OnnxEngine

    if asked == "auto":
        asked = "tensorrt" if _was_built(role) else "cpu"
    if asked == "cpu":
        return OnnxEngine(role.path()), None
    try:
        return _LOADERS[asked](role), None
    except (MeraError, OSError) as error:
        what = error.what if isinstance(error, MeraError) else error
        return OnnxEngine(role.path()), f"{asked}: {what}"


def _was_built(role: Model) -> bool:
    from mera_edge.engine.cache import built_from

    file = role.entry.files.get("tensorrt")
    return file is not None and bool(built_from(file.sha256))


def built_engine(
    role: Model,
    trt: Any = None,
    cuda: Cuda | None = None,
    probe_command: Sequence[str] = COMMAND,
) -> Engine:
    """Load the engine built here for a role, after it has run once in a child process.

    Raises:
        BundleError: the role has no model for TensorRT.
        EngineError: there is no GPU, no TensorRT or no matching engine, or the probe failed.
        MissingExtra: cuda-bindings is not installed.
    """
    from mera_edge.engine.cache import Key, find
    from mera_edge.engine.cuda import Cuda
    from mera_edge.engine.tensorrt import TensorRtEngine, load_tensorrt

    role.path("tensorrt")
    cuda = Cuda() if cuda is None else cuda
    trt = load_tensorrt() if trt is None else trt
    path, record = find(Key.of(role.entry, trt.__version__, cuda.device))
    if not record.probed:
        probe(path, command=probe_command)
    return TensorRtEngine(path, trt, cuda)


def _cuda(role: Model) -> Engine:
    from mera_edge.engine.onnx import OnnxEngine

    return OnnxEngine(role.path(), providers=["CUDAExecutionProvider", "CPUExecutionProvider"])


def _onnx_tensorrt(role: Model) -> Engine:
    from mera_edge.engine.cache import directory
    from mera_edge.engine.onnx import OnnxEngine

    if role.entry.precision == "int8" and role.entry.tensorrt is None:
        raise EngineError(f"the bundle has {role.name} only in INT8 for the CPU")
    kept = directory() / "onnxruntime"
    kept.mkdir(parents=True, exist_ok=True)
    options: dict[str, Any] = {
        "trt_engine_cache_enable": True,
        "trt_engine_cache_path": str(kept),
        "trt_timing_cache_enable": True,
        "trt_timing_cache_path": str(kept),
        "trt_fp16_enable": role.entry.tensorrt is not None,
        "trt_int8_enable": role.entry.tensorrt == "int8",
    }
    return OnnxEngine(
        role.path("model" if role.entry.tensorrt is None else "tensorrt"),
        providers=[
            ("TensorrtExecutionProvider", options),
            "CUDAExecutionProvider",
            "CPUExecutionProvider",
        ],
    )


def _plugin(name: PluginName, role: Model) -> Engine:
    from mera_edge.engine.onnx import OnnxEngine

    engine, cpu = OnnxEngine(role.path(), plugin=load(name)), OnnxEngine(role.path())
    feeds = {name: np.ones(spec.shape, spec.dtype) for name, spec in cpu.inputs.items()}
    theirs, ours = engine.run(feeds), cpu.run(feeds)
    apart = max(float(np.abs(theirs[name] - ours[name]).max()) for name in ours)
    # Providers may compute in half precision.
    if not apart <= MOST_APART:
        raise EngineError(f"{engine.provider} differs from the CPU by {apart:.2g}")
    return engine


_LOADERS: dict[str, Callable[[Model], Engine]] = {
    "tensorrt": built_engine,
    "cuda": _cuda,
    "onnx-tensorrt": _onnx_tensorrt,
    **{name: partial(_plugin, name) for name in PACKAGES},
}
