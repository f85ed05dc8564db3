"""`run` as a service: only its operator ends it, and what is missing is said."""

from __future__ import annotations

import importlib.util
import json
import os
import pty
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from service import full_pipe

from mera_edge.sample import CLIP

MAIN = "from mera_edge.cli import main; main()"


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Start ``mera-edge run``; whatever is left of it is ended."""
    started: list[subprocess.Popen[str]] = []

    def start(
        *arguments: object, stdout: int = subprocess.PIPE, stderr: int = subprocess.PIPE
    ) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", MAIN, "run", *map(str, arguments)]
        process = subprocess.Popen(command, stdout=stdout, stderr=stderr, text=True, cwd=tmp_path)
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def wait_for(holds: Callable[[], bool], limit_s: float = 60.0) -> None:
    deadline = time.monotonic() + limit_s
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def lines(text: str) -> list[dict]:
    return [json.loads(line) for line in text.splitlines()]


def read_until(process: subprocess.Popen[str], words: str) -> str:
    """Read stderr until it contains some words."""
    said = ""
    while words not in said:
        line = process.stderr.readline()
        assert line, said
        said += line
    return said


def children(process: subprocess.Popen[str]) -> set[str]:
    """Return the processes that capture for a run."""
    return set(Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split())


def written(file: Path) -> int:
    return file.read_text().count("\n") if file.exists() else 0


def test_absent_camera_is_retried(service: Callable) -> None:
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
        "camera 7 gone: no such device: /dev/video7",
        "camera http://127.0.0.1:9/… gone: connection refused",
        "camera rtsp://127.0.0.1:9/… gone: connection refused",
    ]
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0
    assert lines(out)[-1]["interrupted"] is True
    assert "room 1: camera 7 gone" in err
    assert "secret" not in out + err


@pytest.mark.skipif(not importlib.util.find_spec("pyaudio"), reason="PyAudio is not installed")
def test_absent_microphone_is_retried(service: Callable) -> None:
    process = service("--camera", "none", "--mic", "no such microphone", "--sink", "-")
    state = "connecting"
    while state == "connecting":
        event = json.loads(process.stdout.readline())
        state = event["sources"]["room_1_microphone"]["state"]
    assert state == "gone"
    assert event["modalities"]["voice"]["reason_code"] == "no_device"
    assert event["modalities"]["text"]["reason"] == event["modalities"]["voice"]["reason"]
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    assert process.returncode == 0


def test_microphones_need_their_extra(cli: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    found = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "pyaudio" else found(name)
    )
    result = cli("run", "--camera", "none", "--sink", "-")
    assert result.code == 2
    assert "mera-edge[mic]" in result.err


def test_run_survives_a_full_disk_and_reloads_its_configuration(
    service: Callable, tmp_path: Path
) -> None:
    first, second, config = (tmp_path / name for name in ("1.jsonl", "2.jsonl", "config.toml"))
    clip = f'camera = "{CLIP}"\nmic = "none"\n'
    config.write_text(f'{clip}sink = ["{first}", "/dev/full"]\n')
    process = service("--config", config)
    wait_for(lambda: written(first) > 3)
    config.write_text(f'{clip}budgetms = 90\nsink = "{second}"\n')
    process.send_signal(signal.SIGHUP)
    err = read_until(process, "keeping the old one")
    before = written(first)
    wait_for(lambda: written(first) > before)
    config.write_text(f'{clip}budget_ms = 90\nsink = ["{second}"]\n')
    process.send_signal(signal.SIGHUP)
    wait_for(lambda: written(second) > 1)
    process.send_signal(signal.SIGTERM)
    err += process.communicate(timeout=60)[1]
    assert process.returncode == 0
    assert "sink /dev/full fails: /dev/full cannot be written (No space left on device)" in err
    assert "budgetms" in err
    assert "1 of 1 rooms are unchanged" in err
    *before, _ = lines(first.read_text())
    *after, _ = lines(second.read_text())
    assert {event["latency"]["budget_ms"] for event in before[:3]} == {100}
    assert {event["latency"]["budget_ms"] for event in after[1:]} == {90}
    # The clip goes on: a hang-up closes nothing that the new configuration has too.
    times = [event["media_time_s"] for event in (*before, *after)]
    assert times == sorted(times)


def test_sighup_keeps_unchanged_rooms(service: Callable, tmp_path: Path) -> None:
    """Cameras that are not there stand for others: their processes show what is kept."""
    events, config = tmp_path / "events.jsonl", tmp_path / "config.toml"
    kept, changed, new = (f"http://127.0.0.1:9/{name}" for name in ("kept", "changed", "new"))

    def rooms(**cameras: str) -> str:
        tables = "".join(
            f'[[room]]\nname = "{name}"\ncamera = "{camera}"\n' for name, camera in cameras.items()
        )
        return f'sink = "{events}"\n{tables}'

    config.write_text(rooms(hall=kept, den=changed))
    process = service("--config", config)
    wait_for(lambda: written(events) > 3)
    before = children(process)
    assert len(before) == 2
    config.write_text(rooms(hall=kept, den=new, attic=kept))
    process.send_signal(signal.SIGHUP)
    wait_for(lambda: '"room":"attic"' in events.read_text())
    wait_for(lambda: len(children(process)) == 2)
    assert len(children(process) & before) == 1
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)
    assert process.returncode == 0
    *told, summary = lines(events.read_text())
    assert summary["schema"] == "mera-edge/summary/1"
    assert {event["schema"] for event in told} == {"mera-edge/event/1"}


def test_files_that_are_moved_away_are_opened_again(service: Callable, tmp_path: Path) -> None:
    file, moved = tmp_path / "events.jsonl", tmp_path / "events.jsonl.1"
    process = service("--camera", CLIP, "--mic", "none", "--sink", file)
    wait_for(lambda: written(file) > 1)
    file.rename(moved)
    process.send_signal(signal.SIGUSR1)
    wait_for(lambda: written(file) > 1)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)
    times = [line.get("media_time_s") for line in lines(moved.read_text() + file.read_text())]
    assert times[-1] is None, "the summary comes last"
    assert None not in times[:-1] and times[:-1] == sorted(times[:-1])


def test_restart_appends_to_the_file_and_a_second_run_is_refused(
    service: Callable, tmp_path: Path
) -> None:
    file = tmp_path / "events.jsonl"
    arguments = ("--camera", CLIP, "--mic", "none", "--sink", file)
    process = service(*arguments)
    wait_for(lambda: written(file) > 2)
    second = service(*arguments)
    _, err = second.communicate(timeout=60)
    assert second.returncode == 2
    assert f"{file.name} is in use by another run" in " ".join(err.split())
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=60)
    with file.open("a") as crashed:
        crashed.write('{"schema":"mera-edge/ev')
    before = file.read_text()
    process = service(*arguments)
    wait_for(lambda: written(file) > before.count("\n") + 3)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)
    assert process.returncode == 0
    after = file.read_text()
    assert after.startswith(before + "\n")
    *events, summary = lines(after.removeprefix(before + "\n"))
    assert summary["events"] == len(events)


def test_run_ends_if_no_sink_ever_worked(cli: Callable) -> None:
    result = cli("run", "--camera", CLIP, "--mic", "none", "--sink", "/dev/full")
    assert result.code == 2
    assert "error /dev/full cannot be written (No space left on device)" in result.err


@pytest.mark.parametrize("stderr", ["full", "without a reader", "on a full disk"])
def test_hanging_sink_or_stderr_does_not_delay_events_or_exit(
    service: Callable, tmp_path: Path, stderr: str
) -> None:
    """Nobody reads stdout, and nobody opens the named pipe."""
    file, fifo = tmp_path / "events.jsonl", tmp_path / "fifo"
    os.mkfifo(fifo)
    _, stdout = full_pipe()
    reader, messages = full_pipe()
    if stderr == "without a reader":
        os.close(reader)
    if stderr == "on a full disk":
        messages = os.open("/dev/full", os.O_WRONLY)
    process = service(
        *("--camera", CLIP, "--mic", "none", "--sink", file, "--sink", "-", "--sink", fifo),
        stdout=stdout,
        stderr=messages,
    )
    wait_for(lambda: written(file) > 5)
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 0
    *events, summary = lines(file.read_text())
    assert summary["events"] == len(events)


def test_blocked_terminal_does_not_delay_exit(service: Callable) -> None:
    master, terminal = pty.openpty()
    process = service("--camera", CLIP, "--mic", "none", stdout=terminal, stderr=terminal)
    shown = b""
    while b"compute" not in shown:
        shown += os.read(master, 4096)
    # Nobody reads any more: the terminal takes some kilobytes, one or two pictures.
    time.sleep(1)
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 0


def test_sigterm_while_loading_ends_the_run(service: Callable) -> None:
    process = service("--camera", CLIP, "--mic", "none", "--sink", "-")
    first = process.stderr.readline()
    assert all(part in first for part in ("mera-edge 0.", "bundle ", "happy", "room_1: camera /"))
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (0, "")
    assert "stopped while loading" in err


def test_run_without_any_working_source_suggests_a_remedy(service: Callable) -> None:
    process = service("--camera", "http://127.0.0.1:9/video", "--mic", "none", "--sink", "-")
    assert "--mic none" in read_until(process, "no camera and no microphone works so far")


def test_broken_pipe_ends_the_run(service: Callable, tmp_path: Path) -> None:
    file = tmp_path / "events.jsonl"
    alone = service("--camera", CLIP, "--mic", "none", "--sink", "-")
    both = service("--camera", CLIP, "--mic", "none", "--sink", "-", "--sink", file)
    for process in (alone, both):
        process.stdout.readline()
        process.stdout.close()
    assert alone.wait(60) == 0
    now = written(file)
    wait_for(lambda: written(file) > now + 2)
    both.send_signal(signal.SIGTERM)
    assert both.wait(60) == 0
    assert "Traceback" not in alone.stderr.read() + both.stderr.read()
