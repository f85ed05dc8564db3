"""Looks at everything that a run depends on."""

from __future__ import annotations

import importlib.util
import platform
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Literal

from mera_edge.bundle import Bundle
from mera_edge.bundle.load import Providers
from mera_edge.bundle.pull import CATALOGUE, pulled
from mera_edge.engine.cache import directory
from mera_edge.engine.cuda import Cuda
from mera_edge.engine.tensorrt import load_tensorrt
from mera_edge.errors import MeraError
from mera_edge.sources.camera import Camera
from mera_edge.sources.microphone import Microphone
from mera_edge.sources.worker import OPEN_LIMIT_S


@dataclass(frozen=True)
class Finding:
    """One thing looked at."""

    what: str
    state: Literal["ok", "note", "fail"]
    """``note``: something optional is absent. ``fail``: no run can succeed."""
    found: str
    remedy: str = ""


_RUNTIME = ("numpy", "onnxruntime", "opencv-python-headless", "av", "soxr", "kaldi-native-fbank")


def examine(bundle: Path | None, providers: Providers) -> list[Finding]:
    """Check installation, providers, bundle, published models, camera and microphone.

    Takes at most a few seconds; opens devices for a moment but records nothing.
    """
    checks: tuple[Callable[[], Iterator[Finding]], ...] = (
        _installation,
        _providers,
        _tensorrt,
        lambda: _bundle(bundle, providers),
        _published,
        _opencv,
        _camera,
        _microphone,
        _other_packages,
    )
    return [finding for check in checks for finding in check()]


def _installation() -> Iterator[Finding]:
    versions = ", ".join(f"{name} {version(name)}" for name in _RUNTIME)
    machine = f"Python {platform.python_version()} on {platform.system()} {platform.machine()}"
    yield Finding("installation", "ok", f"{machine}; {versions}")


def _providers() -> Iterator[Finding]:
    import onnxruntime

    # What is listed as available need not start: the bundle's models show what really runs.
    yield Finding("providers", "ok", f"offered: {', '.join(onnxruntime.get_available_providers())}")


def _tensorrt() -> Iterator[Finding]:
    if not importlib.util.find_spec("tensorrt"):
        yield Finding(
            "TensorRT", "note", "not installed; models run on ONNX Runtime", "nothing to do"
        )
        return
    try:
        cuda = Cuda()
        found = load_tensorrt().__version__
    except MeraError as error:
        yield Finding("TensorRT", "note", f"not usable: {error.what}", error.remedy)
    else:
        gpu = f"{cuda.device.name}, compute capability {cuda.device.capability}"
        yield Finding("TensorRT", "ok", f"{found} on {gpu}; engines in {directory()}")


def _bundle(path: Path | None, providers: Providers) -> Iterator[Finding]:
    try:
        opened = Bundle.open(path, providers)
    except MeraError as error:
        yield Finding("bundle", "fail", error.what, error.remedy)
        return
    yield Finding("bundle", "ok", f"{opened.manifest.name} at {opened.directory}, hashes verified")
    for name, role in opened.manifest.roles.items():
        try:
            engine = opened.role(name).engine()
        except MeraError as error:
            yield Finding(f"model {name}", "fail", error.what, error.remedy)
            continue
        of_tensorrt = role.tensorrt if "tensorrt" in engine.provider.lower() else None
        found = f"{of_tensorrt or role.precision} on {engine.provider}"
        if name in opened.fallbacks:
            yield Finding(f"model {name}", "note", f"{found}, because {opened.fallbacks[name]}")
        else:
            yield Finding(f"model {name}", "ok", found)


def _published() -> Iterator[Finding]:
    for name, model in CATALOGUE.items():
        try:
            path = pulled(name)
        except MeraError as error:
            yield Finding(name, "fail", error.what, error.remedy)
            continue
        if path is None:
            remedy = f"optional: mera-edge models pull {name}"
            yield Finding(name, "note", f"not pulled ({model.what})", remedy)
        else:
            yield Finding(name, "ok", str(path))


def _opencv() -> Iterator[Finding]:
    import cv2

    built = cv2.getBuildInformation()
    for name in ("GStreamer", "FFMPEG"):
        line = next((text for text in built.splitlines() if f"{name}:" in text), "")
        if "YES" in line:
            yield Finding(f"OpenCV with {name}", "ok", "yes")
        else:
            use = "CSI cameras need it" if name == "GStreamer" else "network cameras need it"
            remedy = "only if you need it: use your board's own OpenCV instead of pip's"
            yield Finding(f"OpenCV with {name}", "note", f"no ({use})", remedy)


def _camera() -> Iterator[Finding]:
    yield _device(
        Camera("0"),
        "check that it is plugged in, not used by another program, and that its index or URL is "
        "right",
    )


def _microphone() -> Iterator[Finding]:
    yield _device(Microphone("default"), "plug one in; `arecord -l` shows what ALSA sees")


def _device(device: Camera | Microphone, remedy: str) -> Finding:
    try:
        device.open()
        began_s = time.monotonic()
        while device.condition.state == "connecting" and time.monotonic() - began_s < OPEN_LIMIT_S:
            time.sleep(0.05)
            device.poll(0.0)
    except MeraError as error:
        return Finding(device.name, "note", error.what, error.remedy)
    finally:
        device.close()
    if device.condition.state == "live":
        return Finding(device.name, "ok", "live")
    return Finding(device.name, "note", device.condition.reason or "it does not answer", remedy)


def _other_packages() -> Iterator[Finding]:
    for what, module, extra in (("training", "torch", "train"), ("export", "onnx", "export")):
        if importlib.util.find_spec(module):
            yield Finding(what, "ok", f"{module} is installed")
        else:
            remedy = f"only to {extra}: pip install 'mera-edge[{extra}]'"
            yield Finding(what, "note", f"{module} is not installed", remedy)
