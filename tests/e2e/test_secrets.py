"""A camera's password is in nothing that a run shows or writes, whatever form its address has."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

SECRET = "s3cr3t-0f-th3-h4ll"
FORMS = [
    "rtsp://cam:{}@127.0.0.1:9/1",
    "RTSP://cam:{}%40@127.0.0.1:9/1",
    "http://127.0.0.1:9/1?user=cam&password={}&channel=1",
    "http://127.0.0.1:9/1?PWD={}#{}",
    "https://127.0.0.1:9/1?token={}&auth={}",
    "rtsp://127.0.0.1:9/user=cam_password={}_channel=1.sdp",
    "rtsp://cam:{}/#@127.0.0.1:9/1",
    'rtspsrc location="rtsp://cam:{}@127.0.0.1:9/1" user-pw={} ! decodebin ! appsink',
]


def processes(ancestor: int) -> Iterator[str]:
    """Return what other users and the same user can read of the started processes."""
    for path in Path("/proc").glob("[0-9]*"):
        try:
            if int((path / "stat").read_text().rpartition(")")[2].split()[1]) == ancestor:
                yield (path / "cmdline").read_text() + (path / "environ").read_text()
        except OSError:
            continue


def run(folder: Path, *arguments: str, until: Callable[[list[dict]], bool]) -> dict[str, str]:
    """Run until the events say so, and return everything that could show a secret."""
    sink = folder / "events.jsonl"
    command = [sys.executable, "-m", "mera_edge", "run", "--sink", str(sink), *arguments]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        seen, children, deadline = "", "", time.monotonic() + 60
        while not until([json.loads(line) for line in seen.splitlines()]):
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < deadline, seen[-2000:]
            time.sleep(0.2)
            children += "\n".join(processes(process.pid))
            seen = sink.read_text().rpartition("\n")[0] if sink.exists() else ""
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=20)
    finally:
        process.kill()
    assert "mera_edge.sources.network_stream" in children
    main = " ".join(command)
    return {"argv": main + children, "events": sink.read_text(), "stderr": err}


def gone(sources: int) -> Callable[[list[dict]], bool]:
    def holds(events: list[dict]) -> bool:
        states = [event["sources"] for event in events if "sources" in event]
        return len({id for each in states for id in each if each[id]["state"] == "gone"}) == sources

    return holds


def test_redaction_hides_passwords_in_every_url_form(tmp_path: Path) -> None:
    rooms = [
        f"[[room]]\nname = 'room {index}'\ncamera = '''{form.replace('{}', SECRET)}'''\n"
        for index, form in enumerate(FORMS)
    ]
    (tmp_path / "config.toml").write_text("ticks_per_second = 1\n" + "".join(rooms))
    shown = run(tmp_path, "--config", f"{tmp_path}/config.toml", until=gone(len(FORMS)))
    assert shown["stderr"].count(" gone: ") >= len(FORMS)
    found = {where: text.count(SECRET) for where, text in shown.items()}
    print(f"\na password in {len(FORMS)} forms of address is found: {found}")
    assert set(found.values()) == {0}


def test_recording_and_report_hold_no_password(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The password comes as a credential of systemd, for camera and microphone."""
    (tmp_path / "cam").write_text(SECRET)
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    monkeypatch.setenv("MERA_EDGE_PASSWORD_FILE", "cam")
    monkeypatch.setenv("MERA_EDGE_MIC", "http://127.0.0.1:9/1?password={password}")
    record, report = tmp_path / "run.jsonl", tmp_path / "run.html"
    options = ["--record", str(record), "--report", str(report)]
    camera = ["--camera", "rtsp://cam@127.0.0.1:9/1"]
    shown = run(tmp_path, *options, *camera, until=gone(2))
    shown |= {"recording": record.read_text(), "report": report.read_text()}
    found = {where: text.count(SECRET) for where, text in shown.items()}
    print(f"\na password from a credential is found: {found}")
    assert set(found.values()) == {0}
    assert "127.0.0.1:9" in shown["recording"]
