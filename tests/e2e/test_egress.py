"""Nothing leaves: no socket is opened, and no file is written where none was asked for.

The verbs run under strace, with an empty home and an empty directory for temporary files.
Continuous integration installs strace (`.ci/run`).
"""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import pytest

from mera_edge.doctor import egress, receipt
from mera_edge.doctor.egress import COMMAND, EgressTrace, control, trace
from mera_edge.errors import CheckFailed, InputError
from mera_edge.sample import CLIP

ROOT = Path(__file__).parents[2]
REPORTS = tuple(map(int, version("onnxruntime").split(".")[:2])) >= (1, 29)

pytestmark = pytest.mark.skipif(shutil.which("strace") is None, reason="needs strace")


@pytest.fixture(autouse=True)
def nobody_asked_for_reports(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ORT_DISABLE_TELEMETRY")


def test_egress_trace_sees_sockets_and_files() -> None:
    control()


@pytest.mark.parametrize("verb", ["predict", "transcribe", "bench", "run"])
def test_egress_of_the_device_commands_is_empty(
    verb: str, media: Callable[..., Path], tmp_path: Path
) -> None:
    clip, sink = media(), tmp_path / "events.jsonl"
    given: dict[str, tuple[object, ...]] = {
        "predict": (clip, "--json"),
        "transcribe": (clip,),
        "bench": (CLIP, "--passes", 1),
        "run": ("--camera", clip, "--mic", clip, "--sink", sink),
    }
    found = trace([*COMMAND, verb, *map(str, given[verb])], [sink])
    assert found.clean, found
    assert sink.exists() == (verb == "run")


def test_egress_of_export_is_empty(tmp_path: Path) -> None:
    checkpoints, out = ROOT / "train" / "checkpoints", tmp_path / "bundle"
    given = ["--role", "fusion", "--checkpoints", str(checkpoints), "--out", str(out)]
    found = trace([*COMMAND, "export", *given], [tmp_path])
    assert found.exit_code == 0, found.said
    assert (out / "fusion.onnx").is_file()
    assert not found.sockets
    # An empty directory that importing a part of torch makes.
    assert not [path for path in found.files if not path.startswith("$TMPDIR/torchinductor_")]


@pytest.mark.skipif(not REPORTS, reason="this ONNX Runtime does not report")
def test_egress_trace_sees_onnxruntime_telemetry_when_enabled(
    media: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ORT_DISABLE_TELEMETRY", "0")
    found = trace([*COMMAND, "predict", str(media())])
    assert any("onnxruntime" in path for path in found.files)


@pytest.mark.parametrize(
    ("code", "seen"),
    [
        ("import socket; socket.socket(socket.AF_INET6).connect_ex(('::1', 9))", "::1 port 9"),
        ("import socket; s = socket.socket(type=2); s.sendto(b'x', ('127.0.0.1', 53))", "port 53"),
        ("import subprocess; subprocess.run(['true']); open('/tmp/./mera-left', 'w')", "/tmp/mera"),
        ("import os; os.makedirs('sub/folder')", "/sub/folder"),
        ("import tempfile; tempfile.mkdtemp()", "$TMPDIR/tmp"),
        ("import os; os.symlink('/nowhere', 'link')", "/link"),
        ("import tempfile; tempfile.TemporaryFile().write(b'x')", ""),
        ("import socket; socket.socketpair()", ""),
        ("import socket; socket.socket(socket.AF_UNIX).connect_ex('/nobody/listens')", ""),
        ("import os; os.open('/dev/null', os.O_RDWR); os.memfd_create('x')", ""),
    ],
)
def test_egress_trace_classifies_every_kind_of_output(
    code: str, seen: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    found = trace([sys.executable, "-c", code])
    told = " ".join((*found.sockets, *found.files))
    assert bool(told) == bool(seen), found
    assert seen in told
    Path("/tmp/mera-left").unlink(missing_ok=True)


def test_missing_or_ineffective_strace_is_an_error(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    blind = EgressTrace(("x",), 0, "", 1.0, ("x",), (), ())
    with monkeypatch.context() as patch:
        patch.setattr(egress, "trace", lambda command: blind)
        with pytest.raises(CheckFailed, match="missed the test traffic"):
            control()
    fake = tmp_path / "strace"
    fake.write_text("#!/bin/sh\necho not permitted >&2; exit 1\n")
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(InputError, match=r"does not work here \(not permitted\)"):
        trace(["true"])
    fake.unlink()
    with pytest.raises(InputError, match="apt install strace"):
        trace(["true"])


def test_the_receipt_names_code_models_and_what_left(
    cli: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(egress, "control", lambda: None)
    clean = EgressTrace(("x",), 0, "", 1.0, ("x",), (), ())
    found = clean
    monkeypatch.setattr(receipt.egress, "trace", lambda command, outputs: found)
    told = cli("doctor", "--egress", "--json")
    facts = json.loads(told.out)
    assert (told.code, facts["verdict"]) == (0, "nothing left")
    assert len(facts["code"]["sha256"]) == len(facts["models"]["voice.onnx"]) == 64
    assert facts["packages"]["onnxruntime"] == version("onnxruntime")
    assert list(facts["traces"]) == ["predict", "transcribe", "bench", "run"]
    told = cli("doctor", "--egress", "--camera", "0")
    assert told.code == 2
    assert "bundled sample" in told.err
    found = EgressTrace(("x",), 0, "", 1.0, ("x",), ("connect AF_INET 192.0.2.1 port 443",), ())
    told = cli("doctor", "--egress")
    assert told.code == 1
    assert "192.0.2.1 port 443" in told.out
    assert "not ruled out for predict, transcribe, bench, run" in told.err
