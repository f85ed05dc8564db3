"""Execution providers that plug into the ONNX Runtime of PyPI, each a package of its own.

*Not run* with TensorRT for RTX and WebGPU for want of a GPU; OpenVINO was run on a processor.
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
"""ONNX Runtime that takes such plug-ins."""

_PREFERRED: Final = ("GPU", "NPU", "CPU")
"""Kinds of hardware, where a plug-in has several."""


@dataclass(frozen=True)
class Package:
    """Where a plug-in comes from."""

    project: str
    """On PyPI."""
    module: str
    options: Mapping[str, str] = field(default_factory=dict)
    """Of the provider."""


_FLOAT32 = {"INFERENCE_PRECISION_HINT": "f32"}

PACKAGES: Final[dict[PluginName, Package]] = {
    "openvino": Package(
        "onnxruntime-ep-openvino",
        "onnxruntime_ep_openvino",
        # Left to itself it computes in bfloat16 where it can, which garbles token numbers.
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
    """As sessions name it, such as ``OpenVINOExecutionProvider``."""
    devices: tuple[Any, ...]
    """The ``OrtEpDevice`` to run on."""
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
