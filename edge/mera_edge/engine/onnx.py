"""ONNX Runtime behind the `Engine` protocol."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mera_edge.engine.protocol import Array, TensorSpec, numbers
from mera_edge.errors import EngineError

if TYPE_CHECKING:
    from mera_edge.engine.plugin import Plugin

_DTYPES: dict[str, np.dtype[Any]] = {
    "tensor(float)": np.dtype(np.float32),
    "tensor(int64)": np.dtype(np.int64),
    "tensor(bool)": np.dtype(np.bool_),
}

_MALLOC_OPTIONS = {-1: 32 << 20, -3: 8 << 20}
"""``M_TRIM_THRESHOLD`` and ``M_MMAP_THRESHOLD``, in bytes: the free memory at the end of the heap
that is returned, and the blocks that do not come from the heap."""

ExecutionProvider = str | tuple[str, Mapping[str, Any]]
"""Name of an execution provider, or its name and options."""


def read_metadata(path: Path) -> dict[str, str]:
    """Return the custom metadata of an ONNX file; its inputs need not be supported.

    Raises:
        EngineError: the file is not a usable model.
    """
    return dict(open_session(path).get_modelmeta().custom_metadata_map)


def open_session(
    path: Path,
    threads: int = 1,
    providers: Sequence[ExecutionProvider] = ("CPUExecutionProvider",),
    plugin: Plugin | None = None,
) -> Any:
    """Open an ONNX or ORT file in an ``onnxruntime.InferenceSession``.

    Args:
        path: the file.
        threads: intra-op threads. One is best for small models next to other work.
        providers: execution providers in order of preference, with or without options. The first
            must start: ONNX Runtime would otherwise silently run on the CPU.
        plugin: runs the model instead of ``providers``.

    Raises:
        EngineError: the file is not a usable model, or the provider did not start.
    """
    import onnxruntime

    _keep_memory()
    first = providers[0] if isinstance(providers[0], str) else providers[0][0]
    asked = first if plugin is None else plugin.provider
    available = onnxruntime.get_available_providers()
    if plugin is None and asked not in available:
        raise EngineError(
            f"{asked} did not start for {path.name}",
            f"this ONNX Runtime provides only {', '.join(available)}: install the one for your GPU",
        )
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    # An arena would not speed up small models, and would never release the memory used in loading.
    options.enable_cpu_mem_arena = False
    options.add_session_config_entry("session.use_device_allocator_for_initializers", "1")
    # Threads that spin between two ticks would occupy a core.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    if plugin is not None:
        options.add_provider_for_devices(list(plugin.devices), dict(plugin.options))
    try:
        # ONNX Runtime's own fallback prints to stdout, which is for events.
        session = onnxruntime.InferenceSession(
            str(path),
            options,
            providers=list(providers) if plugin is None else None,
            enable_fallback=0,
        )
    except failures() as error:
        raise EngineError(
            f"{path} cannot be loaded by ONNX Runtime ({_said(error)})",
            "check the file with `mera-edge models verify`",
        ) from error
    if session.get_providers()[0] != asked:
        raise EngineError(
            f"{asked} did not start for {path.name}",
            f"it runs on {session.get_providers()[0]} instead: `mera-edge doctor` says why",
        )
    return session


class OnnxEngine:
    """One ONNX file in one ONNX Runtime session.

    Args:
        path, threads, providers, plugin: see `open_session`.

    Raises:
        EngineError: the file is not a usable model, or the provider did not start.
    """

    def __init__(
        self,
        path: Path,
        threads: int = 1,
        providers: Sequence[ExecutionProvider] = ("CPUExecutionProvider",),
        plugin: Plugin | None = None,
    ) -> None:
        session = open_session(path, threads, providers, plugin)
        self._path = path
        self._session = session
        self._failures = failures()
        self.provider: str = session.get_providers()[0]
        try:
            self.metadata: dict[str, str] = dict(session.get_modelmeta().custom_metadata_map)
            inputs, outputs = session.get_inputs(), session.get_outputs()
        except UnicodeDecodeError as error:
            raise EngineError(f"{path} has tensor names that are not UTF-8 ({error})") from error
        self.inputs = {node.name: _spec(node, path) for node in inputs}
        self.outputs = {node.name: _spec(node, path) for node in outputs}
        self._names = list(self.outputs)

    def run(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        """See `Engine.run`."""
        try:
            values = self._session.run(self._names, dict(feeds))
        except self._failures as error:
            raise EngineError(f"{self._path.name} did not run: {_said(error)}") from error
        return numbers(dict(zip(self._names, values, strict=True)), self._path.name)


def failures() -> tuple[type[Exception], ...]:
    """Return the exceptions of ONNX Runtime and its bindings, which have no common base class."""
    from onnxruntime.capi import onnxruntime_pybind11_state as state

    theirs = [
        kind
        for kind in vars(state).values()
        if isinstance(kind, type) and issubclass(kind, Exception)
    ]
    return (*theirs, LookupError, MemoryError, OverflowError, RuntimeError, TypeError, ValueError)


def _said(error: Exception) -> str:
    """Return the first 300 characters of a message, on one line."""
    return " ".join(str(error).split())[:300]


@cache
def _keep_memory() -> None:
    """Keep freed memory for the next run of a model, if the C library supports it.

    Without an arena, glibc otherwise often takes the memory of a run from the system and returns it
    afterwards, depending on what else lies at the end of the heap: the recognizer then spends up to
    a fifth of its time on page faults.
    """
    set_option = _glibc("mallopt")
    if set_option is not None:
        for option, size in _MALLOC_OPTIONS.items():
            set_option(option, size)


def give_back_memory() -> None:
    """Return freed memory to the system, if the C library supports it."""
    trim = _glibc("malloc_trim")
    if trim is not None:
        trim(0)


def _glibc(name: str) -> Callable[..., int] | None:
    import ctypes

    return getattr(ctypes.CDLL(None), name, None)


def _spec(node: object, path: Path) -> TensorSpec:
    name, shape, kind = node.name, node.shape, node.type  # type: ignore[attr-defined]
    if kind not in _DTYPES or not all(isinstance(size, int) for size in shape):
        raise EngineError(
            f"{path.name}: {name} has type {kind} and shape {shape}",
            "export it with static shapes and float32, int64 or bool tensors",
        )
    return TensorSpec(name, tuple(shape), _DTYPES[kind])
