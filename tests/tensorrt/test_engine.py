"""An engine computes what its model says, and names what is wrong. TensorRT itself is *not run*."""

import gc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from mera_edge.bundle import Bundle
from mera_edge.engine import cache
from mera_edge.engine.cuda import Cuda
from mera_edge.engine.stream import StreamModel
from mera_edge.engine.tensorrt import TensorRtEngine, require_version
from mera_edge.errors import EngineError


@pytest.fixture
def stored(bundle: Callable[..., Bundle], trt: Callable, gpu: Cuda) -> Path:
    """An engine in the cache, built by TensorRT 10.3."""
    role = bundle().role("voice")
    key = cache.Key.of(role.entry, "10.3.0", gpu.device)
    plan = trt().plan(role.path("tensorrt").read_bytes())
    return cache.store(key, plan, {"unit": "apples"}, {"INT8": 1})


def test_tensorrt_engine_has_the_common_engine_interface(
    stored: Path, trt: Callable, gpu: Cuda
) -> None:
    engine = TensorRtEngine(stored, trt(), gpu)
    assert engine.provider == "TensorRT"
    assert engine.metadata == {"unit": "apples"}
    assert engine.inputs["x"].shape == engine.outputs["total"].shape == (1, 2)
    assert engine.inputs["x"].dtype == np.float32
    model = StreamModel(engine)
    ones = {"x": np.ones((1, 2), np.float32)}
    totals = [model.step(ones)["total"] for _ in range(3)]
    model.reset()
    assert [total[0, 1] for total in [*totals, model.step(ones)["total"]]] == [1, 2, 3, 1]


def test_an_array_need_not_lie_in_one_piece(stored: Path, trt: Callable, gpu: Cuda) -> None:
    engine = TensorRtEngine(stored, trt(), gpu)
    wide = np.arange(4, dtype=np.float32)[None]
    answer = engine.run({"x": wide[:, ::2], "cache_sum": np.zeros((1, 2), np.float32)})
    assert answer["total"].tolist() == [[0, 2]]


def test_wrong_inputs_are_refused(stored: Path, trt: Callable, gpu: Cuda) -> None:
    engine = TensorRtEngine(stored, trt(), gpu)
    good = np.zeros((1, 2), np.float32)
    for feeds, message in (
        ({"x": good}, "missing or unknown: cache_sum"),
        ({"x": good, "cache_sum": good, "y": good}, "missing or unknown: y"),
        ({"x": good, "cache_sum": good[:, :1]}, r"cache_sum is float32 \(1, 1\)"),
        ({"x": good.astype(np.float64), "cache_sum": good}, "x is float64"),
    ):
        with pytest.raises(EngineError, match=message):
            engine.run(feeds)


def test_memory_and_stream_go_back(
    stored: Path, trt: Callable, cuda_runtime: Callable, tmp_path: Path
) -> None:
    runtime = cuda_runtime()
    engine = TensorRtEngine(stored, trt(), Cuda(runtime, [tmp_path]))
    assert len(runtime.memory) == 4
    del engine
    gc.collect()
    assert not runtime.memory
    assert not runtime.streams


def test_an_engine_of_another_version_is_refused(stored: Path, trt: Callable, gpu: Cuda) -> None:
    with pytest.raises(EngineError, match=r"cannot use .*Version tag does not match"):
        TensorRtEngine(stored, trt("10.7.0"), gpu)


def test_a_full_device_is_named(
    stored: Path, trt: Callable, cuda_runtime: Callable, tmp_path: Path
) -> None:
    cuda = Cuda(cuda_runtime(room=4), [tmp_path])
    with pytest.raises(EngineError, match="cudaMalloc of CUDA failed: cudaErrorMemoryAllocation"):
        TensorRtEngine(stored, trt(), cuda)


def test_cuda_is_not_started_without_a_device(cuda_runtime: Callable, tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="no NVIDIA GPU"):
        Cuda(cuda_runtime(), [tmp_path / "absent"])
    assert Cuda(cuda_runtime(), [tmp_path]).device.name == "Orin"


def test_old_versions_are_refused(trt: Callable) -> None:
    for version in ("8.6.1", "10.2.0.post1"):
        with pytest.raises(EngineError, match=r"is too old; .* is 10\.3"):
            require_version(trt(version))
    require_version(trt("10.3.0"))
    require_version(trt("11.4.0.106"))
