"""A child that crashes, hangs or complains becomes a reason, never the end of its parent."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from mera_edge.bundle import Bundle
from mera_edge.engine import cache
from mera_edge.engine.cuda import Device
from mera_edge.engine.probe import probe
from mera_edge.errors import EngineError


@pytest.fixture
def engine(bundle: Callable[..., Bundle]) -> Path:
    key = cache.Key.of(bundle().role("voice").entry, "10.3.0", Device("Orin", "8.7"))
    return cache.store(key, b"engine", {}, {})


def child(code: str) -> list[str]:
    return [sys.executable, "-c", code]


def test_a_success_is_remembered(engine: Path) -> None:
    probe(engine, command=child("pass"))
    assert cache.Record.beside(engine).probed


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("import os; os.kill(os.getpid(), 11)", "ended its process with SIGSEGV"),
        ("import time; time.sleep(60)", r"hung for 0\.5 s"),
        ("import sys; sys.exit('no room\\non the device')", "failed: on the device"),
        ("import sys; sys.exit(3)", "exit code 3"),
    ],
)
def test_a_failed_probe_raises_its_reason(engine: Path, code: str, message: str) -> None:
    with pytest.raises(EngineError, match=message):
        probe(engine, timeout_s=0.5, command=child(code))
    assert not cache.Record.beside(engine).probed


def test_child_process_reports_what_is_missing(engine: Path) -> None:
    with pytest.raises(EngineError, match="failed: "):
        probe(engine)
