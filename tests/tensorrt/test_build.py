"""One builder for every TensorRT from 10.3 to 11. TensorRT itself is *not run*."""

import io
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console

from mera_edge.bundle import Bundle
from mera_edge.engine import cache
from mera_edge.engine.cuda import Cuda
from mera_edge.engine.tensorrt import TensorRtEngine
from mera_edge.errors import EngineError, InputError
from mera_export.tensorrt import PRECISIONS, Built, Options, build_engines, table

FINE = [sys.executable, "-c", "pass"]
CRASHES = [sys.executable, "-c", "import os; os.kill(os.getpid(), 11)"]


@pytest.fixture
def build(bundle: Callable[..., Bundle], gpu: Cuda) -> Callable[..., Built]:
    """Build the one engine of the bundle."""

    def run(trt, tensorrt: str = "int8", options: Options = Options(), said=None, probe=FINE):  # noqa: B008
        progress = (lambda _: None) if said is None else said.append
        return build_engines(bundle(tensorrt), options, progress, trt, gpu, probe)[0]

    return run


@pytest.mark.parametrize(
    ("version", "precision", "network", "flags"),
    [
        ("10.3.0", "int8", 0b01, {"INT8", "FP16"}),
        ("10.3.0", "fp16", 0b01, {"FP16"}),
        ("10.12.0.36", "int8", 0b11, set()),
        ("11.4.0.106", "int8", 0b10, set()),
    ],
)
def test_each_tensorrt_version_gets_its_own_flags(
    build: Callable, trt: Callable, version: str, precision: str, network: int, flags: set[str]
) -> None:
    module = trt(version)
    built = build(module, precision, Options(workspace_mb=64))
    assert built.path is not None
    assert module.network_flags == network
    assert module.config.flags == {getattr(module.BuilderFlag, name) for name in flags}
    assert module.config.workspace == 64 << 20
    assert module.config.profiling_verbosity == "detailed"


def test_the_engine_is_kept_probed_and_runs(build: Callable, trt: Callable, gpu: Cuda) -> None:
    said: list[str] = []
    built = build(trt(), said=said)
    record = cache.Record.beside(built.path)
    assert record.probed
    assert record.key.options == {"workspace_mb": 512, "typing": "weak"}
    assert built.layers == record.layers == {"INT8": 2, "FP16": 1, "FP32": 1, "other": 1}
    assert tuple(built.layers) == PRECISIONS
    assert TensorRtEngine(built.path, trt(), gpu).metadata == {"unit": "apples"}
    assert [line for line in said if "of 2" in line] == [
        "voice: Building, 1 of 2",
        "voice: Building, 2 of 2",
    ]


def test_existing_engine_is_not_rebuilt(build: Callable, trt: Callable) -> None:
    first = build(trt())
    second, module = trt(), trt()
    assert build(second).path == first.path
    assert second.config is None
    assert build(module, options=Options(rebuild=True)).path == first.path
    assert module.config is not None
    assert build(module, options=Options(workspace_mb=9)).path != first.path


def test_timings_are_kept_and_foreign_ones_dropped(build: Callable, trt: Callable) -> None:
    first, second, third = trt(), trt(), trt()
    third.timings_refused = [b"timings"]
    for module in (first, second, third):
        build(module, options=Options(rebuild=True))
    asked = [module.timings_read for module in (first, second, third)]
    assert asked == [[b""], [b"timings"], [b"timings", b""]]


def test_it_builds_without_a_monitor(build: Callable, trt: Callable) -> None:
    assert build(trt(monitors=False)).path is not None


def test_a_failure_names_the_node_or_the_reason(build: Callable, trt: Callable) -> None:
    assert "node keep (Identity): not supported" in build(trt(refuses="Identity")).reason
    assert build(trt(builds=False)).reason.endswith("no room for conv2")


def test_an_engine_that_crashes_is_not_kept(build: Callable, trt: Callable, engines: Path) -> None:
    built = build(trt(), probe=CRASHES)
    assert built.path is None
    assert "SIGSEGV" in built.reason
    assert not list(engines.glob("*.engine"))


def test_an_unwritable_cache_is_reported(build: Callable, trt: Callable, engines: Path) -> None:
    engines.write_text("a file")
    assert "cannot be written" in build(trt()).reason


def test_nothing_to_build_and_too_old_are_errors(
    bundle: Callable[..., Bundle], trt: Callable, gpu: Cuda
) -> None:
    with pytest.raises(InputError, match="no model for TensorRT"):
        build_engines(bundle(tensorrt=None), Options(), print, trt(), gpu)
    with pytest.raises(EngineError, match="too old"):
        build_engines(bundle(), Options(), print, trt("8.6.1"), gpu)


def test_results_read_as_a_table(build: Callable, trt: Callable) -> None:
    results = [build(trt()), build(trt()), build(trt("11.4.0"), probe=CRASHES)]
    console = Console(width=160, record=True, file=io.StringIO())
    console.print(table(results))
    text = console.export_text()
    assert "INT8 layers" in text
    assert "there already" in text
    assert "SIGSEGV" in text
