"""`run` as a service: only its operator ends it, and what is missing is said."""

from __future__ import annotations

import importlib.util
import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mera_edge.sample import CLIP

MAIN = "from mera_edge.cli import main; main()"


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Start ``mera-edge run``; whatever is left of it is ended."""
    started: list[subprocess.Popen[str]] = []

    def start(*arguments: object) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", MAIN, "run", *map(str, arguments)]
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=tmp_path
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def wait_for(holds: Callable[[], bool], limit_s: float = 20.0) -> None:
    deadline = time.monotonic() + limit_s
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def lines(text: str) -> list[dict]:
    return [json.loads(line) for line in text.splitlines()]


def written(file: Path) -> int:
    return file.read_text().count("\n") if file.exists() else 0


def test_cameras_that_are_not_there_are_waited_for(service: Callable) -> None:
    cameras = ["7", "http://me:secret@127.0.0.1:9/video", "rtsp://127.0.0.1:9/a"]
    named = [argument for camera in cameras for argument in ("--camera", camera)]
    process = service(*named, "--mic", "none", "--sink", "-")
    seen: dict[str, str] = {}
    while len(seen) < 3:
        event = json.loads(process.stdout.readline())
        (source,) = event["sources"].values()
        reason = event["modalities"]["face"]["reason"]
        if source["state"] == "gone":
            assert event["modalities"]["face"]["reason_code"] == source["reason_code"]
            seen[event["room_id"]] = reason
    assert [seen[f"room_{number}"] for number in (1, 2, 3)] == [
        "camera 7 gone: there is no device /dev/video7",
        "camera http://127.0.0.1:9/… gone: it refuses the connection",
        "camera rtsp://127.0.0.1:9/… gone: it refuses the connection",
    ]
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=5)
    assert process.returncode == 0
    assert lines(out)[-1]["interrupted"] is True
    assert "room 1: camera 7 gone" in err
    assert "secret" not in out + err


@pytest.mark.skipif(not importlib.util.find_spec("pyaudio"), reason="PyAudio is not installed")
def test_a_microphone_that_is_not_there_is_waited_for(service: Callable) -> None:
    process = service("--camera", "none", "--mic", "no such microphone", "--sink", "-")
    state = "connecting"
    while state == "connecting":
        event = json.loads(process.stdout.readline())
        state = event["sources"]["room_1_microphone"]["state"]
    assert state == "gone"
    assert event["modalities"]["voice"]["reason_code"] == "no_device"
    assert event["modalities"]["text"]["reason"] == event["modalities"]["voice"]["reason"]
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=5)
    assert process.returncode == 0


def test_microphones_need_their_extra(cli: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    found = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "pyaudio" else found(name)
    )
    result = cli("run", "--camera", "none", "--sink", "-")
    assert result.code == 2
    assert "mera-edge[mic]" in result.err


def test_a_full_disk_and_a_new_configuration(service: Callable, tmp_path: Path) -> None:
    first, second, config = (tmp_path / name for name in ("1.jsonl", "2.jsonl", "config.toml"))
    clip = f'camera = "{CLIP}"\nmic = "none"\n'
    config.write_text(f'{clip}sink = ["{first}", "/dev/full"]\n')
    process = service("--config", config)
    wait_for(lambda: written(first) > 3)
    config.write_text(f'{clip}budgetms = 90\nsink = "{second}"\n')
    process.send_signal(signal.SIGHUP)
    wait_for(lambda: '"interrupted":true' in first.read_text())
    before = written(first)
    wait_for(lambda: written(first) > before)
    config.write_text(f'{clip}budget_ms = 90\nsink = ["{second}"]\n')
    process.send_signal(signal.SIGHUP)
    wait_for(lambda: written(second) > 1)
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=5)
    assert process.returncode == 0
    assert "sink /dev/full fails: /dev/full cannot be written (No space left on device)" in err
    assert "the old one stays" in err
    assert "budgetms" in err
    assert {event["latency"]["budget_ms"] for event in lines(first.read_text())[:3]} == {100}
    assert {event["latency"]["budget_ms"] for event in lines(second.read_text())[:-1]} == {90}


def test_it_ends_when_nobody_reads_any_more(service: Callable, tmp_path: Path) -> None:
    file = tmp_path / "events.jsonl"
    alone = service("--camera", CLIP, "--mic", "none", "--sink", "-")
    both = service("--camera", CLIP, "--mic", "none", "--sink", "-", "--sink", file)
    for process in (alone, both):
        process.stdout.readline()
        process.stdout.close()
    assert alone.wait(5) == 0
    now = written(file)
    wait_for(lambda: written(file) > now + 2)
    both.send_signal(signal.SIGTERM)
    assert both.wait(5) == 0
    assert "Traceback" not in alone.stderr.read() + both.stderr.read()
