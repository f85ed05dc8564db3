"""Engines for TensorRT, built on the device that shall run them.

Nothing of torch or onnx is imported: this runs on a Jetson. **Not run with TensorRT**: tested with
a stand-in that has the names of its Python interface from 10.3 (JetPack 6) to 11.4. Eight bits are
explicit, as Q/DQ nodes in the model; calibrators were removed with TensorRT 11.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.table import Table

from mera_edge.bundle import Bundle, RoleName
from mera_edge.engine import cache
from mera_edge.engine.choose import Model, key
from mera_edge.engine.cuda import Cuda, present
from mera_edge.engine.onnx import OnnxEngine
from mera_edge.engine.probe import probe
from mera_edge.engine.protocol import TensorSpec
from mera_edge.engine.tensorrt import tensorrt
from mera_edge.errors import EngineError, InputError, MeraError

WORKSPACE = 1024 << 20
"""Bytes that the builder may use, as `mera_edge.engine.choose.OPTIONS` says: a Jetson has 8 GB for
everything."""

Progress = Callable[[str], None]


@dataclass(frozen=True)
class Built:
    """What became of one role."""

    role: RoleName
    precision: str
    path: Path | None = None
    """The engine; ``None`` when there is none."""
    seconds: float = 0.0
    layers: dict[str, int] = field(default_factory=dict)
    """How many layers run in which precision."""
    reason: str = ""
    """Why there is none, or why it is not to be trusted."""


class Builder:
    """Builds engines with whatever TensorRT there is, chosen by what it has, not by its number.

    Args:
        trt: a module like `tensorrt`.
        progress: told what is being done.

    Raises:
        InputError: it is too old: it lacks what every version from 10.3 on has.
    """

    def __init__(self, trt: Any, progress: Progress = lambda message: None) -> None:
        for name in ("OnnxParser", "Builder", "LayerInformationFormat", "MemoryPoolType"):
            if not hasattr(trt, name):
                raise InputError(f"this TensorRT has no {name}", "10.3 or newer is needed")
        self._trt, self._progress = trt, progress
        self._complaints: list[str] = []
        self._logger = _logger(trt, self._complaints)

    def build(self, onnx: Path, precision: str) -> tuple[bytes, dict[str, int]]:
        """Build an engine.

        Args:
            onnx: with Q/DQ nodes, or in FP16.
            precision: ``int8`` or ``fp16``: what the model is in.

        Returns:
            The engine, and how many layers it runs in which precision.

        Raises:
            EngineError: the parser or the builder refuses; says which node and why.
        """
        trt = self._trt
        builder = trt.Builder(self._logger)
        network = builder.create_network(self._network_flags())
        parser = trt.OnnxParser(network, self._logger)
        if not parser.parse(onnx.read_bytes()):
            raise EngineError(
                f"TensorRT cannot read {onnx.name}: {self._parser_errors(parser)}",
                "run `mera-edge export --verify` where the bundle was made",
            )
        config = builder.create_builder_config()
        config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, WORKSPACE)
        # Without it the inspector does not know what a layer runs in.
        config.profiling_verbosity = trt.ProfilingVerbosity.DETAILED
        self._allow(config, precision)
        if hasattr(trt, "IProgressMonitor"):
            config.progress_monitor = _monitor(trt, onnx.stem, self._progress)
        timings = cache.directory() / f"timings-{trt.__version__}.cache"
        known = timings.read_bytes() if timings.is_file() else b""
        config.set_timing_cache(config.create_timing_cache(known), False)
        plan = builder.build_serialized_network(network, config)
        if plan is None:
            told = self._complaints[-1] if self._complaints else "without a word"
            raise EngineError(
                f"TensorRT builds no engine of {onnx.name}: {told}",
                "close what else uses memory and try again",
            )
        cache.write(timings, bytes(config.get_timing_cache().serialize()))
        engine = bytes(plan)
        return engine, self._inspect(engine)

    @property
    def strong(self) -> bool:
        """Whether the types of the network's tensors decide, as they do since 10.12.

        In 11 nothing else is left; before, what came with it tells that it is complete.
        """
        trt = self._trt
        return not hasattr(trt.BuilderFlag, "INT8") or hasattr(trt, "EngineStat")

    def _network_flags(self) -> int:
        flags, kinds = 0, self._trt.NetworkDefinitionCreationFlag
        if hasattr(self._trt.BuilderFlag, "INT8"):
            # In 11 both are gone or mean nothing.
            names = ["EXPLICIT_BATCH", *(["STRONGLY_TYPED"] if self.strong else [])]
            for name in names:
                if hasattr(kinds, name):
                    flags |= 1 << int(getattr(kinds, name))
        return flags

    def _allow(self, config: Any, precision: str) -> None:
        if self.strong:
            return
        config.set_flag(self._trt.BuilderFlag.FP16)
        if precision == "int8":
            # With Q/DQ nodes in the network no calibrator is asked for.
            config.set_flag(self._trt.BuilderFlag.INT8)

    def _parser_errors(self, parser: Any) -> str:
        told = []
        for number in range(parser.num_errors):
            error = parser.get_error(number)
            node = error.node_name() if hasattr(error, "node_name") else error.node()
            told.append(f"node {node}: {error.desc()}")
        return "; ".join(told[:3]) or "without a word"

    def _inspect(self, engine: bytes) -> dict[str, int]:
        loaded = self._trt.Runtime(self._logger).deserialize_cuda_engine(engine)
        if loaded is None:
            raise EngineError("the engine that was just built does not load", cache.BUILD)
        inspector = loaded.create_engine_inspector()
        return precisions(inspector.get_engine_information(self._trt.LayerInformationFormat.JSON))


def build_engines(
    bundle: Bundle,
    progress: Progress = lambda message: None,
    trt: Any = None,
    device: Cuda | None = None,
    trial: Callable[[Path], None] = probe,
) -> list[Built]:
    """Build, keep and try an engine for every role that has a model for TensorRT.

    Args:
        bundle: with models for TensorRT.
        progress: told what is being done.
        trt: a module like `tensorrt`, which is imported when ``None``.
        device: the GPU.
        trial: runs an engine in a process of its own.

    Raises:
        InputError: there is nothing to build of, or TensorRT is too old.
        MissingExtra: TensorRT is not installed.
        EngineError: there is no GPU.
    """
    models = [bundle.role(name).model for name in bundle.manifest.roles]
    models = [model for model in models if model.tensorrt is not None]
    if not models:
        raise InputError(
            f"the bundle {bundle.manifest.name} has no model for TensorRT",
            "export it with --target tensorrt where its checkpoints are",
        )
    if device is None:
        if not present():
            raise EngineError(
                "there is no GPU", "engines are built on the device that shall run them"
            )
        device = Cuda()
    trt = tensorrt() if trt is None else trt
    builder = Builder(trt, progress)
    return [_one(model, builder, trt, device, progress, trial) for model in models]


def precisions(information: str) -> dict[str, int]:
    """Count the layers of an engine by the precision of their outputs.

    Args:
        information: what the engine inspector gives as JSON.

    Returns:
        For example ``{"INT8": 41, "FP16": 3}``. This is the proof that eight bits are run: builders
        have been seen to take a quantized model and run none of it in INT8.
    """
    names = {"int8": "INT8", "half": "FP16", "fp16": "FP16", "float": "FP32", "fp32": "FP32"}
    counts: Counter[str] = Counter()
    for layer in json.loads(information).get("Layers", []):
        if not isinstance(layer, dict):
            continue
        formats = " ".join(
            str(output.get("Format/Datatype", output.get("Datatype", "")))
            for output in layer.get("Outputs", [])
        ).lower()
        found = next((name for word, name in names.items() if word in formats), None)
        if found is not None:
            counts[found] += 1
    return dict(counts)


def table(results: Iterable[Built]) -> Table:
    """Return the results as a table for the terminal."""
    shown = Table("role", "model", "layers by precision", "seconds", "engine")
    for one in results:
        layers = ", ".join(f"{count} {name}" for name, count in sorted(one.layers.items()))
        where = one.reason or str(one.path)
        shown.add_row(one.role, one.precision.upper(), layers, f"{one.seconds:.0f}", where)
    return shown


def _one(
    model: Model,
    builder: Builder,
    trt: Any,
    device: Cuda,
    progress: Progress,
    trial: Callable[[Path], None],
) -> Built:
    role: Any = model.role
    wanted = key(model, trt, device)
    began = time.monotonic()
    try:
        try:
            path = cache.find(model.role, wanted)
            layers = cache.read(path).layers
            progress(f"{role}: its engine is there already")
        except EngineError:
            if model.tensorrt is None:
                raise
            progress(f"{role}: building an engine; this takes minutes")
            engine, layers = builder.build(model.tensorrt, model.precision)
            path = cache.store(model.role, engine, _record(model, wanted, engine, layers))
        progress(f"{role}: a trial run in another process")
        trial(path)
    except (MeraError, OSError) as error:
        return Built(role, model.precision, seconds=time.monotonic() - began, reason=str(error))
    return Built(role, model.precision, path, time.monotonic() - began, layers)


def _record(model: Model, wanted: cache.Key, engine: bytes, layers: dict[str, int]) -> cache.Record:
    # ONNX Runtime reads the interface: TensorRT forgets the order and what no layer reads.
    source = OnnxEngine(model.onnx)

    def tensors(specs: Iterable[TensorSpec]) -> tuple[cache.Tensor, ...]:
        return tuple(cache.Tensor(name=s.name, shape=s.shape, dtype=s.dtype.name) for s in specs)

    return cache.Record(
        schema=cache.SCHEMA,
        key=wanted,
        sha256=hashlib.sha256(engine).hexdigest(),
        inputs=tensors(source.inputs.values()),
        outputs=tensors(source.outputs.values()),
        metadata=source.metadata,
        layers=layers,
    )


def _logger(trt: Any, complaints: list[str]) -> Any:
    class Logger(trt.ILogger):  # type: ignore[misc]
        def __init__(self) -> None:
            trt.ILogger.__init__(self)

        def log(self, severity: Any, message: str) -> None:
            if severity in (trt.ILogger.ERROR, trt.ILogger.INTERNAL_ERROR):
                complaints.append(message)

    return Logger()


def _monitor(trt: Any, name: str, progress: Progress) -> Any:
    class Monitor(trt.IProgressMonitor):  # type: ignore[misc]
        def __init__(self) -> None:
            trt.IProgressMonitor.__init__(self)
            self._steps: dict[str, int] = {}

        def phase_start(self, phase: str, parent: str | None, steps: int) -> None:
            self._steps[phase] = steps

        def step_complete(self, phase: str, step: int) -> bool:
            progress(f"{name}: {phase}, step {step + 1} of {self._steps.get(phase, 0)}")
            return True

        def phase_finish(self, phase: str) -> None:
            self._steps.pop(phase, None)

    return Monitor()
