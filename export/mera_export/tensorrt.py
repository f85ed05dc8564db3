"""TensorRT engines, built on the device that runs them.

*Not run on a GPU or a Jetson*: tested with stand-ins for TensorRT 10.3, 10.12 and 11. Quantization
is explicit: precision comes from Q/DQ nodes or FP16 in the model, not from a calibrator. Needs
neither torch nor onnx.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from mera_edge.bundle import Bundle, RoleName
from mera_edge.engine import cache
from mera_edge.engine.cuda import Cuda
from mera_edge.engine.onnx import OnnxEngine
from mera_edge.engine.probe import COMMAND, probe
from mera_edge.engine.tensorrt import load_tensorrt, make_log, require_version
from mera_edge.errors import EngineError, InputError
from mera_export.compiler import Compiler, Progress

if TYPE_CHECKING:
    from rich.table import Table

PRECISIONS: Final = ("INT8", "FP16", "FP32", "other")

_NAMES = {"int8": "INT8", "fp16": "FP16", "half": "FP16", "fp32": "FP32", "float": "FP32"}
"""Names of element types in inspectors of different versions."""

_MOVES = frozenset({"Constant", "NoOp", "Reformat", "Shuffle", "Signal", "Wait"})
"""Layer types without computation."""


@dataclass(frozen=True)
class Options:
    """Build options."""

    workspace_mb: int = 512
    """Maximum scratch memory of an engine: on a Jetson, memory is shared with everything else."""
    rebuild: bool = False
    """Whether to build even if a matching engine is in the cache."""


@dataclass(frozen=True)
class Built:
    """The result for one role."""

    role: RoleName
    precision: str
    path: Path | None
    """The engine in the cache, run once by the probe; ``None`` if there is none."""
    reason: str
    """Why there is no engine."""
    layers: dict[str, int]
    """Number of layers by `PRECISIONS`, from the engine inspector."""
    seconds: float
    """Build time; 0 if it was cached."""


def build_engines(
    bundle: Bundle,
    options: Options,
    progress: Progress,
    trt: Any = None,
    cuda: Cuda | None = None,
    probe_command: Sequence[str] = COMMAND,
) -> list[Built]:
    """Build, cache and probe an engine for every role with a model for TensorRT.

    Args:
        bundle: exported for TensorRT.
        options: build options.
        progress: receives progress messages.
        trt: the module ``tensorrt``; imported if ``None``.
        cuda: the device; the first one if ``None``.
        probe_command: command of the child process that runs an engine once.

    Returns:
        One result per role, in the bundle's order; a role that fails does not stop the others.

    Raises:
        InputError: no role has a model for TensorRT.
        EngineError: there is no GPU, or TensorRT is missing, too old or does not start.
        MissingExtra: cuda-bindings is not installed.
    """
    roles = [name for name, entry in bundle.manifest.roles.items() if "tensorrt" in entry.files]
    if not roles:
        raise InputError(
            f"the bundle {bundle.manifest.name} has no model for TensorRT",
            "export it with --target tensorrt where the checkpoints are",
        )
    cuda = Cuda() if cuda is None else cuda
    trt = load_tensorrt() if trt is None else trt
    require_version(trt)
    builder = Builder(trt, cuda, options, progress, probe_command)
    return [builder.build(bundle, name) for name in roles]


class Builder:
    """Builds engines with the installed version of TensorRT."""

    def __init__(
        self,
        trt: Any,
        cuda: Cuda,
        options: Options,
        progress: Progress,
        probe_command: Sequence[str],
    ) -> None:
        self._trt, self._cuda, self._options = trt, cuda, options
        self._progress, self._probe_command = progress, probe_command
        device = cuda.device
        timings = cache.directory() / f"timings-{trt.__version__}-{device.capability}"
        self._compiler = Compiler(trt, options.workspace_mb, progress, device.name, timings)

    def build(self, bundle: Bundle, name: RoleName) -> Built:
        """Build the engine of one role, or take it from the cache."""
        role, began = bundle.role(name), time.perf_counter()
        precision = str(role.entry.tensorrt)
        given: dict[str, int | str] = {
            "workspace_mb": self._options.workspace_mb,
            "typing": self._compiler.typing,
        }
        key = cache.Key.of(role.entry, self._trt.__version__, self._cuda.device, given)
        if not self._options.rebuild and (found := _there(key)):
            path, record = found
            return Built(name, precision, path, "", record.layers, 0.0)
        try:
            data = self._compiler.compile(role.path("tensorrt"), name, precision)
            layers = self._layers(data)
            path = cache.store(key, data, OnnxEngine(role.path()).metadata, layers)
            self._progress(f"{name}: trying the engine")
            _probe(path, self._probe_command)
        except (EngineError, OSError) as error:
            what = error.what if isinstance(error, EngineError) else str(error)
            return Built(name, precision, None, what, {}, 0.0)
        return Built(name, precision, path, "", layers, time.perf_counter() - began)

    def _layers(self, data: bytes) -> dict[str, int]:
        log = make_log(self._trt)
        runtime = self._trt.Runtime(log)
        engine = runtime.deserialize_cuda_engine(data)
        if engine is None:
            raise EngineError(f"TensorRT cannot load the engine that it built: {log.why()}")
        inspector = engine.create_engine_inspector()
        facts = inspector.get_engine_information(self._trt.LayerInformationFormat.JSON)
        return layers_by_precision(json.loads(facts))


def layers_by_precision(facts: dict[str, Any]) -> dict[str, int]:
    """Count the layers of an engine by the lowest precision of their inputs.

    Args:
        facts: the inspector's JSON for an engine built with detailed profiling.

    Returns:
        A count for each of `PRECISIONS`. Layers that only move data are not counted.
    """
    counts: Counter[str] = Counter()
    for layer in facts["Layers"]:
        if isinstance(layer, str) or layer["LayerType"] in _MOVES:
            continue
        words = " ".join(one["Format/Datatype"] for one in layer["Inputs"]).lower().split()
        read = {_NAMES[word] for word in words if word in _NAMES}
        counts[next((kind for kind in PRECISIONS if kind in read), "other")] += 1
    return {kind: counts[kind] for kind in PRECISIONS}


def table(built: Sequence[Built]) -> Table:
    """Return the results as a table for the terminal."""
    from rich.table import Table

    shown = Table("role", "precision", *(f"{kind} layers" for kind in PRECISIONS), "engine")
    for one in built:
        counts = (str(one.layers[kind]) if one.layers else "" for kind in PRECISIONS)
        took = f"built in {one.seconds:.0f} s" if one.seconds else "there already"
        shown.add_row(one.role, one.precision, *counts, one.reason or took)
    return shown


def _there(key: cache.Key) -> tuple[Path, cache.Record] | None:
    try:
        path, record = cache.find(key)
    except EngineError:
        return None
    return (path, record) if record.key == key and record.probed else None


def _probe(path: Path, command: Sequence[str]) -> None:
    try:
        probe(path, command=command)
    except EngineError:
        cache.remove(path)
        raise
