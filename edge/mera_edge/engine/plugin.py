"""Plug-in execution providers for ONNX Runtime, each a separate package on PyPI.

*Not run*: TensorRT for RTX and WebGPU, which need a GPU. OpenVINO was run on a CPU.
"""

from __future__ import annotations

import importlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Final, Literal

from mera_edge.errors import EngineError

PluginName = Literal["openvino", "tensorrt-rtx", "webgpu"]

OLDEST: Final = (1, 24)
"""Oldest ONNX Runtime that supports plug-ins."""

_PREFERRED: Final = ("GPU", "NPU", "CPU")
"""Order of preference if a plug-in finds several kinds of devices."""


@dataclass(frozen=True)
class Package:
    """The package of a plug-in."""

    project: str
    """Name on PyPI."""
    module: str
    options: Mapping[str, str] = field(default_factory=dict)
    """Provider options."""


_FLOAT32 = {"INFERENCE_PRECISION_HINT": "f32"}

PACKAGES: Final[dict[PluginName, Package]] = {
    "openvino": Package(
        "onnxruntime-ep-openvino",
        "onnxruntime_ep_openvino",
        # By default it computes in bfloat16 if it can, which corrupts token ids.
        {"load_config": json.dumps({"CPU": _FLOAT32, "GPU": _FLOAT32})},
    ),
    "tensorrt-rtx": Package(
        "onnxruntime-ep-nv-tensorrt-rtx-cu13", "onnxruntime_ep_nv_tensorrt_rtx"
    ),
    "webgpu": Package("onnxruntime-ep-webgpu", "onnxruntime_ep_webgpu"),
}


@dataclass(frozen=True)
class Plugin:
    """A registered plug-in."""

    provider: str
    """Name of the execution provider, such as ``OpenVINOExecutionProvider``."""
    devices: tuple[Any, ...]
    """The ``OrtEpDevice`` objects to run on."""
    options: Mapping[str, str]


@cache
def load(name: PluginName) -> Plugin:
    """Register a plug-in with ONNX Runtime, once, and choose its device.

    Raises:
        EngineError: ONNX Runtime is too old, the package is missing or does not load, or it finds
            no device.
    """
    import onnxruntime

    version = tuple(int(part) for part in onnxruntime.__version__.split(".")[:2])
    if version < OLDEST:
        raise EngineError(
            f"ONNX Runtime {onnxruntime.__version__} does not support plug-ins",
            "run: pip install 'onnxruntime>=1.24' (Python 3.11 or newer)",
        )
    package = PACKAGES[name]
    try:
        module = importlib.import_module(package.module)
        onnxruntime.register_execution_provider_library(name, module.get_library_path())
    except ImportError as error:
        raise EngineError(
            f"the plug-in {package.project} is not installed",
            f"run: pip install {package.project}",
        ) from error
    except Exception as error:
        said = " ".join(str(error).split())[:200]
        raise EngineError(f"the plug-in {package.project} does not load ({said})") from error
    provider = module.get_ep_name()
    found = [device for device in onnxruntime.get_ep_devices() if device.ep_name == provider]
    for kind in _PREFERRED:
        if devices := [device for device in found if device.device.type.name == kind]:
            return Plugin(provider, (devices[0],), package.options)
    raise EngineError(f"{provider} found no device", "check the driver; models also run on the CPU")
