"""Compiles ONNX files to serialized engines, with any supported TensorRT.

Tested with the real TensorRT for RTX, which builds without a GPU (`mera_export.tensorrt_rtx`). *Not
run* with the TensorRT of a Jetson: tested with stand-ins for 10.3, 10.12 and 11.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from mera_edge.engine import cache
from mera_edge.engine.tensorrt import make_log
from mera_edge.errors import EngineError

Progress = Callable[[str], None]


class Compiler:
    """Parses ONNX files and builds engines.

    Args:
        trt: the module ``tensorrt``, 10.3 or newer.
        workspace_mb: maximum scratch memory of an engine.
        progress: receives progress messages.
        device: name of the target device, for progress messages.
        timings: timing cache file; ``None``: no cache.
    """

    def __init__(
        self, trt: Any, workspace_mb: int, progress: Progress, device: str, timings: Path | None
    ) -> None:
        self._trt, self._workspace_mb, self._progress = trt, workspace_mb, progress
        self._device, self._timings = device, timings
        self._log = make_log(trt)
        # TensorRT 11 removed weak typing. Strong typing is complete since 10.12, which introduced
        # this flag.
        has_weak = hasattr(trt.BuilderFlag, "INT8")
        self._weak = has_weak and not hasattr(trt.BuilderFlag, "DISTRIBUTIVE_INDEPENDENCE")

    @property
    def typing(self) -> str:
        """``weak`` or ``strong``: whether TensorRT or the model determines the precision of a
        layer.
        """
        return "weak" if self._weak else "strong"

    def compile(self, model: Path, name: str, precision: str) -> bytes:
        """Return the serialized engine of a model.

        Args:
            model: the ONNX file.
            name: name of its role, for progress messages.
            precision: ``int8``, ``fp16`` or ``fp32``, which sets flags with weak typing.

        Raises:
            EngineError: TensorRT does not start, cannot read the model or fails to build it.
        """
        trt = self._trt
        try:
            builder = trt.Builder(self._log)
        except (TypeError, RuntimeError) as error:
            raise EngineError(f"TensorRT does not start: {self._log.why()} ({error})") from error
        network = builder.create_network(self._network_flags())
        parser = trt.OnnxParser(network, self._log)
        if not parser.parse(model.read_bytes()):
            raise EngineError(f"TensorRT cannot read {model.name}: {_complaints(parser)}")
        config = builder.create_builder_config()
        config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, self._workspace_mb << 20)
        config.profiling_verbosity = trt.ProfilingVerbosity.DETAILED
        if self._weak:
            config.set_flag(trt.BuilderFlag.FP16)
            if precision == "int8":
                # With Q/DQ nodes in the model, no calibrator is needed.
                config.set_flag(trt.BuilderFlag.INT8)
        self._progress(f"{name}: building for {self._device}, which takes minutes")
        if hasattr(trt, "IProgressMonitor"):
            monitor = _monitor(trt, name, self._progress)
            config.progress_monitor = monitor
        if self._timings is not None:
            known = self._timings.read_bytes() if self._timings.is_file() else b""
            if not config.set_timing_cache(config.create_timing_cache(known), False):
                config.set_timing_cache(config.create_timing_cache(b""), False)
        plan = builder.build_serialized_network(network, config)
        if plan is None:
            raise EngineError(
                f"TensorRT could not build an engine of {model.name}: {self._log.why()}"
            )
        if self._timings is not None:
            cache.write(self._timings, bytes(config.get_timing_cache().serialize()))
        return bytes(plan)

    def _network_flags(self) -> int:
        kinds = self._trt.NetworkDefinitionCreationFlag
        # Options that 11 removed are always on there.
        wanted = ["EXPLICIT_BATCH"] if self._weak else ["EXPLICIT_BATCH", "STRONGLY_TYPED"]
        return sum(1 << int(getattr(kinds, kind)) for kind in wanted if hasattr(kinds, kind))


def _complaints(parser: Any) -> str:
    errors = [parser.get_error(index) for index in range(parser.num_errors)]
    return "; ".join(
        f"node {error.node_name() or error.node()} ({error.node_operator()}): {error.desc()}"
        for error in errors
    )


def _monitor(trt: Any, name: str, progress: Progress) -> Any:
    """Create a progress monitor for TensorRT that forwards only the outermost phases."""

    class Monitor(trt.IProgressMonitor):  # type: ignore[misc]
        def __init__(self) -> None:
            trt.IProgressMonitor.__init__(self)
            self.steps: dict[str, int] = {}

        def phase_start(self, phase_name: str, parent_phase: str | None, num_steps: int) -> None:
            if parent_phase is None:
                self.steps[phase_name] = num_steps

        def step_complete(self, phase_name: str, step: int) -> bool:
            if phase_name in self.steps:
                progress(f"{name}: {phase_name}, {step + 1} of {self.steps[phase_name]}")
            return True

        def phase_finish(self, phase_name: str) -> None:
            self.steps.pop(phase_name, None)

    return Monitor()
