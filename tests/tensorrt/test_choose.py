"""What cannot start falls back to the CPU, and the reason is told in every place."""

import json
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from mera_edge.bundle import Bundle
from mera_edge.config import Settings, load
from mera_edge.doctor.examine import examine
from mera_edge.engine import cache
from mera_edge.engine.cuda import DEVICE_FILES, Cuda, Device
from mera_edge.engine.factory import built_engine
from mera_edge.engine.plugin import PACKAGES
from mera_edge.errors import ConfigError, EngineError
from mera_edge.pipeline.mode import Offline
from mera_edge.pipeline.perception import SourceAvailability
from mera_edge.pipeline.pipeline import Pipeline
from mera_edge.sources.base import Captured

ALL = SourceAvailability(audio=True, video=True)

without_gpu = pytest.mark.skipif(
    any(file.exists() for file in DEVICE_FILES), reason="there is a GPU here"
)


def child(code: str) -> list[str]:
    return [sys.executable, "-c", code]


def reopened(bundle: Bundle, **providers: str) -> Bundle:
    return Bundle.open(bundle.directory, providers)  # type: ignore[arg-type]


@pytest.mark.skipif(
    find_spec(PACKAGES["openvino"].module) is None,
    reason="onnxruntime-ep-openvino is not installed",
)
def test_a_plugged_in_provider_answers_as_the_cpu_does(bundle: Callable[..., Bundle]) -> None:
    feeds = {"x": np.ones((1, 2), np.float32), "cache_sum": np.ones((1, 2), np.float32)}
    opened = reopened(bundle(), voice="openvino")
    engine = opened.role("voice").engine()
    assert opened.fallbacks == {}
    assert engine.provider == "OpenVINOExecutionProvider"
    here = engine.run(feeds)
    there = reopened(bundle(), voice="cpu").role("voice").engine().run(feeds)
    for name, value in there.items():
        np.testing.assert_allclose(here[name], value, atol=1e-4)


def test_cpu_is_not_reported_as_a_fallback_when_no_engine_is_expected(
    bundle: Callable[..., Bundle],
) -> None:
    for opened in (bundle(), bundle(tensorrt=None), reopened(bundle(), voice="cpu")):
        assert opened.role("voice").engine().provider == "CPUExecutionProvider"
        assert opened.fallbacks == {}


@without_gpu
@pytest.mark.parametrize(
    ("provider", "reason"),
    [
        ("tensorrt", "tensorrt: no NVIDIA GPU was found"),
        ("cuda", "cuda: CUDAExecutionProvider did not start for voice.onnx"),
        ("onnx-tensorrt", "onnx-tensorrt: TensorrtExecutionProvider did not start for voice.onnx"),
        ("webgpu", "webgpu: the plug-in onnxruntime-ep-webgpu is not installed"),
        (
            "tensorrt-rtx",
            "tensorrt-rtx: the plug-in onnxruntime-ep-nv-tensorrt-rtx-cu13 is not installed",
        ),
    ],
)
@pytest.mark.skipif(
    any(find_spec(PACKAGES[name].module) for name in ("webgpu", "tensorrt-rtx")),
    reason="a plug-in is installed",
)
def test_provider_that_did_not_start_is_reported(
    bundle: Callable[..., Bundle], provider: str, reason: str
) -> None:
    opened = reopened(bundle(), voice=provider)
    engine = opened.role("voice").engine()
    assert engine.provider == "CPUExecutionProvider"
    assert opened.fallbacks == {"voice": reason}
    ones = np.ones((1, 2), np.float32)
    assert engine.run({"x": ones, "cache_sum": ones})["total"].tolist() == [[2, 2]]


@without_gpu
def test_built_engine_that_cannot_run_is_reported(bundle: Callable[..., Bundle]) -> None:
    opened = bundle()
    key = cache.Key.of(opened.role("voice").entry, "10.3.0", Device("Orin", "8.7"))
    cache.store(key, b"engine", {}, {})
    opened.role("voice").engine()
    assert opened.fallbacks == {"voice": "tensorrt: no NVIDIA GPU was found"}


def test_an_engine_that_fits_is_tried_once_then_loaded(
    bundle: Callable[..., Bundle], trt: Callable, gpu: Cuda
) -> None:
    role = bundle().role("voice")
    module = trt()
    plan = module.plan(role.path("tensorrt").read_bytes())
    cache.store(cache.Key.of(role.entry, "10.3.0", gpu.device), plan, {}, {})
    with pytest.raises(EngineError, match="SIGSEGV"):
        built_engine(role, module, gpu, child("import os; os.kill(os.getpid(), 11)"))
    assert built_engine(role, module, gpu, child("pass")).provider == "TensorRT"
    assert built_engine(role, module, gpu, child("raise SystemExit(1)")).provider == "TensorRT"
    with pytest.raises(EngineError, match=r"built for TensorRT 10\.3\.0, this is 10\.7\.0"):
        built_engine(role, trt("10.7.0"), gpu, child("pass"))


def test_bundle_without_a_tensorrt_model_is_reported(bundle: Callable[..., Bundle]) -> None:
    opened = reopened(bundle(tensorrt=None), voice="tensorrt")
    opened.role("voice").engine()
    assert "voice has no file 'tensorrt'" in opened.fallbacks["voice"]
    opened = reopened(bundle(tensorrt=None, precision="int8"), voice="onnx-tensorrt")
    opened.role("voice").engine()
    assert "only in INT8 for the CPU" in opened.fallbacks["voice"]


@without_gpu
def test_doctor_says_why(bundle: Callable[..., Bundle]) -> None:
    settings = Settings(
        bundle=bundle().directory, providers={"voice": "cuda"}, camera="none", mic="none"
    )
    found = {f.what: f for f in examine(settings)}
    assert found["model voice"].state == "note"
    assert "because cuda: CUDAExecutionProvider" in found["model voice"].found
    assert found["TensorRT"].state == "note"


@without_gpu
def test_events_name_provider_fallbacks() -> None:
    pipeline = Pipeline(Bundle.open(None, {"face": "cuda"}), Offline())
    event = pipeline.tick(Captured([], None), 0.2, SourceAvailability(audio=True, video=True)).event
    assert list(json.loads(event.to_json())["fallbacks"]) == ["face"]
    pipeline = Pipeline(Bundle.open(), Offline())
    event = pipeline.tick(Captured([], None), 0.2, SourceAvailability(audio=True, video=True)).event
    assert "fallbacks" not in json.loads(event.to_json())


def test_providers_are_settings(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_text('[providers]\nface = "cuda"\n')
    assert load(file, environment={}).providers == {"face": "cuda"}
    environment = {"MERA_EDGE_PROVIDERS": "face=tensorrt,voice=cpu", "MERA_EDGE_ENGINES": "x"}
    assert load(file, environment=environment).providers == {"face": "tensorrt", "voice": "cpu"}
    for bad, key in (("face", ""), ("face=gpu", r"\.face"), ("nose=cpu", r"\.nose")):
        with pytest.raises(ConfigError, match=f"MERA_EDGE_PROVIDERS: providers{key} = "):
            load(file, environment={"MERA_EDGE_PROVIDERS": bad})
