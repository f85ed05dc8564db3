"""Runs all checks."""

from __future__ import annotations

import importlib.util
import os
import platform
import threading
from collections.abc import Iterator
from importlib.metadata import version

import numpy as np

from mera_edge.bundle import Bundle
from mera_edge.bundle.catalogue import catalogue, pulled
from mera_edge.config import Settings
from mera_edge.doctor import environment
from mera_edge.doctor.check import Check
from mera_edge.doctor.installation import installation, packages
from mera_edge.engine.cache import directory
from mera_edge.engine.cuda import Cuda
from mera_edge.engine.tensorrt import load_tensorrt
from mera_edge.errors import MeraError
from mera_edge.events import EmotionEvent, Summary
from mera_edge.pipeline.mode import Offline
from mera_edge.pipeline.pipeline import Pipeline
from mera_edge.sample import CLIP
from mera_edge.service.clock import VirtualClock
from mera_edge.service.run_loop import run
from mera_edge.sources.media import MediaFile

_RUNTIME = ("numpy", "onnxruntime", "opencv-python-headless", "av", "soxr", "kaldi-native-fbank")


WARM_TICKS = 10
"""Ticks at the start of the sample that are not counted."""


def examine(settings: Settings) -> list[Check]:
    """Check installation, providers, models, budget, sources, permissions, sinks, heat and disk.

    Takes some seconds; opens devices for a moment but records nothing.
    """
    checks: tuple[Iterator[Check], ...] = (
        _installation(),
        installation(packages()),
        _providers(),
        _tensorrt(),
        _models(settings),
        _published(),
        _opencv(),
        environment.sources(settings),
        environment.permissions(),
        environment.sinks(settings),
        environment.service(settings),
        environment.wyoming(settings),
        environment.heat(),
        _other_packages(),
    )
    return [result for results in checks for result in results]


def _installation() -> Iterator[Check]:
    versions = ", ".join(f"{name} {version(name)}" for name in _RUNTIME)
    machine = f"Python {platform.python_version()} on {platform.system()} {platform.machine()}"
    yield Check("installation", "ok", f"{machine}; {versions}")


def _providers() -> Iterator[Check]:
    import onnxruntime

    # An available provider may fail to start; the checks of the models show what actually runs.
    yield Check("providers", "ok", f"available: {', '.join(onnxruntime.get_available_providers())}")
    if os.environ["ORT_DISABLE_TELEMETRY"] == "1":
        yield Check("ONNX Runtime telemetry", "ok", "off")
    else:
        remedy = "unset ORT_DISABLE_TELEMETRY (it is 0), or set it to 1"
        yield Check("ONNX Runtime telemetry", "note", "allowed", remedy)


def _tensorrt() -> Iterator[Check]:
    if not importlib.util.find_spec("tensorrt"):
        yield Check(
            "TensorRT", "note", "not installed; models run on ONNX Runtime", "nothing to do"
        )
        return
    try:
        cuda = Cuda()
        found = load_tensorrt().__version__
    except MeraError as error:
        yield Check("TensorRT", "note", f"not usable: {error.what}", error.remedy)
    else:
        gpu = f"{cuda.device.name}, compute capability {cuda.device.capability}"
        yield Check("TensorRT", "ok", f"{found} on {gpu}; engines in {directory()}")


def _models(settings: Settings) -> Iterator[Check]:
    try:
        opened = Bundle.open(settings.bundle, settings.providers, settings.published)
    except MeraError as error:
        yield Check("bundle", "fail", error.what, error.remedy)
        return
    yield Check("bundle", "ok", f"{opened.manifest.name} at {opened.directory}, hashes verified")
    for name, role in opened.manifest.roles.items():
        try:
            engine = opened.role(name).engine()
        except MeraError as error:
            yield Check(f"model {name}", "fail", error.what, error.remedy)
            continue
        of_tensorrt = role.tensorrt if "tensorrt" in engine.provider.lower() else None
        found = f"{of_tensorrt or role.precision} on {engine.provider}"
        if name in opened.fallbacks:
            yield Check(f"model {name}", "note", f"{found}, because {opened.fallbacks[name]}")
        else:
            yield Check(f"model {name}", "ok", found)
    yield _budget(settings, opened)


def _budget(settings: Settings, models: Bundle) -> Check:
    """Compare the tick times of the sample, after warm-up, with the budget of a room."""
    try:
        pipeline = Pipeline(models, Offline())
        pipeline.warm_up()
        times = _Times()
        run(pipeline, [MediaFile(CLIP)], VirtualClock(), [times], threading.Event())
    except MeraError as error:
        return Check("budget", "fail", error.what, error.remedy)
    p95_ms = float(np.percentile(times.compute_ms[WARM_TICKS:], 95))
    found = f"an answer takes {p95_ms:.0f} ms (p95), {settings.room_budget_ms} ms are allowed"
    if p95_ms <= settings.room_budget_ms:
        return Check("budget", "ok", found)
    remedy = (
        "faces and words will be skipped: use a larger budget, fewer rooms, or a faster machine"
    )
    return Check("budget", "note", found, remedy)


class _Times:
    """A sink that collects compute times."""

    def __init__(self) -> None:
        self.compute_ms: list[float] = []

    def publish(self, event: EmotionEvent) -> None:
        self.compute_ms.append(event.latency.compute_ms)

    def close(self, summary: Summary) -> None:
        pass


def _published() -> Iterator[Check]:
    for name, model in catalogue().items():
        try:
            path = pulled(name)
        except MeraError as error:
            yield Check(name, "fail", error.what, error.remedy)
            continue
        if path is None:
            remedy = f"optional: mera-edge models pull {name}"
            yield Check(name, "note", f"not pulled ({model.what})", remedy)
        else:
            yield Check(name, "ok", str(path))


def _opencv() -> Iterator[Check]:
    import cv2

    built = cv2.getBuildInformation()
    for name in ("GStreamer", "FFMPEG"):
        line = next((text for text in built.splitlines() if f"{name}:" in text), "")
        if "YES" in line:
            yield Check(f"OpenCV with {name}", "ok", "yes")
        else:
            use = "CSI cameras need it" if name == "GStreamer" else "network cameras need it"
            remedy = "only if you need it: use your board's own OpenCV instead of pip's"
            yield Check(f"OpenCV with {name}", "note", f"no ({use})", remedy)


def _other_packages() -> Iterator[Check]:
    for what, module, extra in (("training", "torch", "train"), ("export", "onnx", "export")):
        if importlib.util.find_spec(module):
            yield Check(what, "ok", f"{module} is installed")
        else:
            remedy = f"only to {extra}: pip install 'mera-edge[{extra}]'"
            yield Check(what, "note", f"{module} is not installed", remedy)
