"""Benchmarks ONNX Runtime's execution providers on every model of a bundle."""

from __future__ import annotations

import json
import tempfile
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mera_edge.bench.figures import spread
from mera_edge.bundle import Bundle
from mera_edge.engine.onnx import OnnxEngine
from mera_edge.engine.protocol import Array, Engine
from mera_edge.errors import EngineError

SCHEMA = "mera-edge/providers/1"
WARM_UPS, RUNS = 5, 50


def time_providers(bundle: Bundle) -> list[dict[str, Any]]:
    """Time every model on every available provider, interleaved.

    Returns:
        Per role: the times of each provider, or why it did not run; the number of operators that
        ran on each provider, since ONNX Runtime silently moves unsupported operators, or the whole
        model, to the CPU; and the fastest provider that ran any operator.
    """
    import onnxruntime

    offered = onnxruntime.get_available_providers()
    return [
        _measure(name, bundle.role(name).path(), offered)
        for name, role in bundle.manifest.roles.items()
        if role.files["model"].path.endswith(".onnx")
    ]


def _measure(role: str, model: Path, offered: Sequence[str]) -> dict[str, Any]:
    tried: dict[str, dict[str, Any]] = {}
    engines: dict[str, OnnxEngine] = {}
    for provider in offered:
        try:
            engine = OnnxEngine(model, providers=(provider,))
            operators = ran_on(model, provider, _feeds(engine))
        except EngineError as error:
            tried[provider] = {"refused": str(error)}
            continue
        tried[provider] = {"operators": operators}
        if provider in operators:
            engines[provider] = engine
        else:
            tried[provider]["refused"] = f"ran on {', '.join(operators)} instead"
    times: dict[str, list[float]] = {provider: [] for provider in engines}
    for turn in range(WARM_UPS + RUNS):
        for provider, engine in engines.items():
            feeds = _feeds(engine)
            began = time.perf_counter()
            engine.run(feeds)
            if turn >= WARM_UPS:
                times[provider].append((time.perf_counter() - began) * 1000)
    for provider, taken in times.items():
        tried[provider]["ms"] = spread(taken)
    fastest = min(times, key=lambda provider: float(np.median(times[provider])), default=None)
    return {"schema": SCHEMA, "role": role, "providers": tried, "fastest": fastest}


def _feeds(engine: Engine) -> dict[str, Array]:
    """Return inputs of ones: the run time of these models does not depend on the values."""
    return {name: np.ones(spec.shape, spec.dtype) for name, spec in engine.inputs.items()}


def ran_on(model: Path, provider: str, feeds: Mapping[str, Array]) -> dict[str, int]:
    """Return the number of operators that ran on each provider when ``provider`` was requested.

    Raises:
        EngineError: it did not run.
    """
    import onnxruntime
    from onnxruntime.capi.onnxruntime_pybind11_state import Fail, InvalidArgument, RuntimeException

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.enable_profiling = True
    with tempfile.TemporaryDirectory() as scratch:
        options.profile_file_prefix = str(Path(scratch) / "profile")
        try:
            session = onnxruntime.InferenceSession(str(model), options, providers=[provider])
            session.run(None, dict(feeds))
        except (Fail, InvalidArgument, RuntimeException) as error:
            raise EngineError(f"{model.name} does not run on {provider}: {error}") from error
        events = json.loads(Path(session.end_profiling()).read_text(encoding="utf-8"))
    nodes = [
        event["args"]["provider"]
        for event in events
        if event.get("cat") == "Node" and event.get("args", {}).get("provider")
    ]
    return dict(Counter(nodes))
