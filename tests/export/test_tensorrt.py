"""Engines for TensorRT: built, kept, tried and run, with a stand-in for TensorRT and for the GPU.

The stand-in has the names of TensorRT's Python interface (looked up in 10.3, 10.16 and 11.4) and
computes with ONNX Runtime. What it cannot show: that TensorRT itself takes our models.
"""

from __future__ import annotations

import ctypes
import json
import shutil
import sys
from dataclasses import dataclass, field
from enum import IntEnum
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnxruntime
import pytest
from rich.console import Console

from mera_calibration.gate import Limits
from mera_edge.bundle import Bundle
from mera_edge.engine import cache, choose
from mera_edge.engine.cuda import Cuda, present
from mera_edge.engine.probe import probe
from mera_edge.engine.tensorrt import TensorRtEngine
from mera_edge.errors import EngineError, InputError, MissingExtra
from mera_export.refine import Options, Refinement
from mera_export.tensorrt import Builder, Built, build_engines, precisions, table

LAYERS = {
    "Layers": [
        {"Name": "conv1", "Outputs": [{"Format/Datatype": "Thirty-two wide channel Int8 format"}]},
        {"Name": "conv2", "Outputs": [{"Format/Datatype": "Channel major FP16 format"}]},
        {"Name": "head", "Outputs": [{"Format/Datatype": "Row major linear FP32"}]},
        {"Name": "shape", "Outputs": [{"Format/Datatype": "Row major Int64 format"}]},
    ]
}


class Driver:
    """As `cuda.bindings.runtime`; the memory of the device is that of the process."""

    cudaMemcpyKind = IntEnum("cudaMemcpyKind", {"cudaMemcpyHostToDevice": 1,
                                                "cudaMemcpyDeviceToHost": 2})  # fmt: skip

    def __init__(self, broken: str = "") -> None:
        self.broken, self.memory = broken, {}

    def __getattr__(self, name: str) -> Any:
        def call(*arguments: Any) -> tuple[Any, ...]:
            if name == self.broken:
                return (35, None)
            if name == "cudaGetErrorString":
                return (0, b"driver too old")
            if name == "cudaMalloc":
                buffer = ctypes.create_string_buffer(max(1, arguments[0]))
                self.memory[ctypes.addressof(buffer)] = buffer
                return (0, ctypes.addressof(buffer))
            if name == "cudaMemcpyAsync":
                ctypes.memmove(*arguments[:3])
                return (0,)
            known = {
                "cudaGetDeviceCount": (0, 1),
                "cudaStreamCreate": (0, 7),
                "cudaStreamSynchronize": (0,),
                "cudaGetDeviceProperties": (
                    0,
                    SimpleNamespace(name=b"Orin\0\0", major=8, minor=7),
                ),
            }
            return known[name]

        return call


@dataclass
class Asked:
    """What the stand-in was asked for."""

    network: int = -1
    flags: set[str] = field(default_factory=set)
    workspace: int = 0


def stand_in(version: str, asked: Asked, fails: str = "") -> Any:
    """A module like `tensorrt` of a version; ``fails`` is ``parse``, ``build`` or ``load``."""
    major, minor = map(int, version.split(".")[:2])

    class Engine:
        def __init__(self, plan: bytes) -> None:
            self.session = onnxruntime.InferenceSession(plan)
            self.names = [n.name for n in [*self.session.get_outputs(), *self.session.get_inputs()]]
            self.num_io_tensors = len(self.names)

        def get_tensor_name(self, index: int) -> str:
            return self.names[index]

        def create_engine_inspector(self) -> Any:
            return SimpleNamespace(get_engine_information=lambda kind: json.dumps(LAYERS))

        def create_execution_context(self) -> Any:
            return Context(self.session)

    class Context:
        def __init__(self, session: Any) -> None:
            self.session, self.at = session, {}

        def set_tensor_address(self, name: str, address: int) -> None:
            self.at[name] = address

        def execute_async_v3(self, stream: int) -> bool:
            feeds = {}
            for node in self.session.get_inputs():
                array = np.empty(node.shape, np.float32)
                ctypes.memmove(array.ctypes.data, self.at[node.name], array.nbytes)
                feeds[node.name] = array
            answers = self.session.run(None, feeds)
            for node, array in zip(self.session.get_outputs(), answers, strict=True):
                array = np.ascontiguousarray(array)
                ctypes.memmove(self.at[node.name], array.ctypes.data, array.nbytes)
            return True

    class Runtime:
        def __init__(self, logger: Any) -> None:
            pass

        def deserialize_cuda_engine(self, plan: bytes) -> Any:
            return None if fails == "load" else Engine(plan)

    class Network:
        onnx = b""

    class Parser:
        num_errors = 1

        def __init__(self, network: Network, logger: Any) -> None:
            self.network = network

        def parse(self, model: bytes) -> bool:
            self.network.onnx = model
            return fails != "parse"

        def get_error(self, index: int) -> Any:
            return SimpleNamespace(node_name=lambda: "conv1", desc=lambda: "unknown operator")

    class Config:
        def set_memory_pool_limit(self, pool: Any, size: int) -> None:
            asked.workspace = size

        def set_flag(self, flag: Any) -> None:
            asked.flags.add(flag.name)

        def create_timing_cache(self, known: bytes) -> Any:
            self.timings = known
            return self

        def set_timing_cache(self, timings: Any, ignore_mismatch: bool) -> None:
            assert not ignore_mismatch

        def get_timing_cache(self) -> Any:
            return SimpleNamespace(serialize=lambda: self.timings + b"timed")

    class Maker:
        def __init__(self, logger: Any) -> None:
            self.logger = logger

        def create_network(self, flags: int) -> Network:
            asked.network = flags
            return Network()

        def create_builder_config(self) -> Config:
            return Config()

        def build_serialized_network(self, network: Network, config: Any) -> bytes | None:
            if monitor := getattr(config, "progress_monitor", None):
                monitor.phase_start("building", None, 2)
                assert monitor.step_complete("building", 0)
                monitor.phase_finish("building")
            if fails == "build":
                self.logger.log(self.logger.ERROR, "out of memory")
                return None
            return network.onnx

    class ILogger:
        INTERNAL_ERROR, ERROR, WARNING = range(3)

    flags = {"TF32": 0} if major >= 11 else {"TF32": 0, "FP16": 1, "INT8": 2}
    kinds = {"STRONGLY_TYPED": 1} if major >= 11 else {"EXPLICIT_BATCH": 0, "STRONGLY_TYPED": 1}
    module = SimpleNamespace(
        __version__=version, ILogger=ILogger, Builder=Maker, OnnxParser=Parser, Runtime=Runtime,
        BuilderFlag=IntEnum("BuilderFlag", flags),
        NetworkDefinitionCreationFlag=IntEnum("Kinds", kinds),
        MemoryPoolType=IntEnum("Pools", ["WORKSPACE"]),
        ProfilingVerbosity=IntEnum("Verbosity", ["DETAILED"]),
        LayerInformationFormat=IntEnum("Format", ["JSON"]),
        IProgressMonitor=type("IProgressMonitor", (), {}),
        Logger=type("Logger", (), {"ERROR": 1, "__init__": lambda self, level: None}),
    )  # fmt: skip
    if (major, minor) >= (10, 12):
        module.EngineStat = object()
    return module


@pytest.fixture
def bundle(faces, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bundle:
    """A face encoder with a model for TensorRT, and an empty cache of engines."""
    monkeypatch.setenv("MERA_EDGE_ENGINES", str(tmp_path / "engines"))
    full, material = faces()
    options = Options(targets=("tensorrt",), limits=Limits(prefer="size"), samples=64)
    refinement = Refinement(
        options, tmp_path, None, Console(quiet=True), lambda role, where, given: material
    )
    manifest = full.manifest.model_copy(update={"roles": refinement(full)})
    return Bundle(full.directory, manifest)


def build(bundle: Bundle, trt: Any, trial: Any = lambda path: None) -> Built:
    (built,) = build_engines(bundle, trt=trt, device=Cuda(Driver()), trial=trial)
    return built


@pytest.mark.parametrize(
    ("version", "network", "flags"),
    [
        ("10.3.0", 0b01, {"FP16", "INT8"}),
        ("10.16.1", 0b11, set()),
        ("11.4.0", 0, set()),
    ],
)
def test_an_engine_is_built_as_each_version_wants_it(
    bundle: Bundle, version: str, network: int, flags: set[str]
) -> None:
    asked = Asked()
    built = build(bundle, stand_in(version, asked))
    assert built.reason == "" and built.path is not None and built.path.is_file()
    assert (asked.network, asked.flags) == (network, flags)
    assert asked.workspace == 1 << 30
    assert built.layers == {"INT8": 1, "FP16": 1, "FP32": 1}
    record = cache.read(built.path)
    assert record.key.gpu == "Orin" and record.key.capability == "8.7"
    assert (cache.directory() / f"timings-{version}.cache").read_bytes() == b"timed"


def test_the_engine_answers_as_its_model(bundle: Bundle) -> None:
    trt = stand_in("11.4.0", Asked())
    built = build(bundle, trt)
    assert built.path is not None
    engine = TensorRtEngine(built.path, trt, Cuda(Driver()))
    model = onnxruntime.InferenceSession(bundle.role("face").path("tensorrt"))
    random = np.random.default_rng(0)
    for _ in range(2):
        face = random.uniform(0, 255, (1, 1, 16, 16)).astype(np.float32)
        answers = engine.run({"face": face})
        for node, wanted in zip(model.get_outputs(), model.run(None, {"face": face}), strict=True):
            np.testing.assert_array_equal(answers[node.name], wanted)
    assert engine.metadata == {"labels": "neutral,happy,sad,angry"}
    with pytest.raises(EngineError, match=r"face is float64 \(2,\), not float32"):
        engine.run({"face": np.zeros(2)})
    with pytest.raises(EngineError, match="face is missing"):
        engine.run({})


def test_what_is_there_is_not_built_again(bundle: Bundle) -> None:
    trt = stand_in("11.4.0", Asked())
    build(bundle, trt)
    asked = Asked()
    assert build(bundle, stand_in("11.4.0", asked)).layers
    assert asked.network == -1


@pytest.mark.parametrize(
    ("fails", "reason"),
    [
        ("parse", "cannot read face-tensorrt.onnx: node conv1: unknown operator"),
        ("build", "builds no engine of face-tensorrt.onnx: out of memory"),
        ("load", "was just built does not load"),
    ],
)
def test_a_failure_is_told_and_leaves_nothing(bundle: Bundle, fails: str, reason: str) -> None:
    built = build(bundle, stand_in("10.16.1", Asked(), fails))
    assert built.path is None and reason in built.reason
    assert not list(cache.directory().glob("*.engine"))
    console = Console(width=200)
    with console.capture() as captured:
        console.print(table([built]))
    assert "face" in captured.get() and "INT8" in captured.get()


def test_a_crash_in_the_trial_run_is_a_reason(bundle: Bundle) -> None:
    crash = (sys.executable, "-c", "import os; os.kill(os.getpid(), 11)")
    built = build(bundle, stand_in("11.4.0", Asked()), lambda path: probe(path, child=crash))
    assert built.path is None and "crashed (SIGSEGV)" in built.reason
    hang = (sys.executable, "-c", "import time; time.sleep(60)")
    (path,) = cache.directory().glob("*.engine")
    with pytest.raises(EngineError, match="hung"):
        probe(path, timeout_s=0.5, child=hang)
    # The real child has no TensorRT here, and says so.
    with pytest.raises(EngineError, match=r"TensorRT .* is not installed"):
        probe(path)
    probe(path, child=(sys.executable, "-c", ""))
    probe(path, child=crash)  # A success is not tried again.
    assert cache.read(path).probed


def test_an_engine_from_elsewhere_is_refused_with_what_differs(bundle: Bundle) -> None:
    build(bundle, stand_in("10.3.0", Asked()))
    model, device = bundle.role("face").model, Cuda(Driver())
    with pytest.raises(EngineError, match=r"tensorrt was '10\.3\.0', is '10\.7\.0'"):
        choose.own(model, stand_in("10.7.0", Asked()), device)
    wanted = choose.key(model, stand_in("10.3.0", Asked()), device)
    path = cache.path_of("face", wanted)
    path.write_bytes(b"altered")
    with pytest.raises(EngineError, match="is not the engine that was built"):
        cache.find("face", wanted)
    shutil.rmtree(cache.directory())
    with pytest.raises(EngineError, match="no engine has been built"):
        cache.find("face", wanted)


def test_half_written_engines_do_not_count(bundle: Bundle) -> None:
    built = build(bundle, stand_in("11.4.0", Asked()))
    assert built.path is not None
    built.path.with_suffix(".json").write_text("{")
    with pytest.raises(EngineError, match="cannot be read"):
        cache.find("face", choose.key(bundle.role("face").model, stand_in("11.4.0", Asked()),
                                      Cuda(Driver())))  # fmt: skip


def test_without_a_gpu_nothing_is_started(bundle: Bundle, tmp_path: Path) -> None:
    assert not present([str(tmp_path / "nothing")])
    assert present(["/dev/null"])
    with pytest.raises(EngineError, match="no GPU"):
        build_engines(bundle, trt=stand_in("11.4.0", Asked()))
    with pytest.raises(EngineError, match="driver too old"):
        Cuda(Driver(broken="cudaGetDeviceCount"))
    with pytest.raises(MissingExtra, match="cuda-bindings is not installed"):
        Cuda()


def test_too_old_a_tensorrt_is_named(bundle: Bundle) -> None:
    with pytest.raises(InputError, match=r"has no OnnxParser: 10\.3 or newer"):
        Builder(SimpleNamespace(__version__="8.0"))


def test_a_bundle_without_models_for_it_is_named(faces) -> None:
    full, _ = faces()
    with pytest.raises(InputError, match="no model for TensorRT: export it with --target"):
        build_engines(full, trt=stand_in("11.4.0", Asked()), device=Cuda(Driver()))


@pytest.mark.parametrize("provider", ["tensorrt", "cuda", "onnx-tensorrt"])
def test_what_cannot_be_had_falls_back_to_the_cpu_and_says_why(
    bundle: Bundle, provider: choose.Provider
) -> None:
    opened = Bundle(bundle.directory, bundle.manifest, {"face": provider})
    assert opened.role("face").engine().provider == "CPUExecutionProvider"
    assert opened.fallbacks["face"].startswith(f"{provider}: ")
    quiet = Bundle(bundle.directory, bundle.manifest)
    assert quiet.role("face").engine().provider == "CPUExecutionProvider"
    assert quiet.fallbacks == {}, "a machine without a GPU lacks nothing"


def test_precisions_are_counted_and_nonsense_is_not() -> None:
    assert precisions(json.dumps(LAYERS)) == {"INT8": 1, "FP16": 1, "FP32": 1}
    assert precisions(json.dumps({"Layers": ["conv1", "conv2"]})) == {}
