"""What is kept, for how long, and what a run leaves behind."""

from __future__ import annotations

import json
import re
from datetime import date, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mera_edge.bundle import Bundle
from mera_edge.config import load
from mera_edge.errors import ConfigError, InputError
from mera_edge.events import EmotionEvent, Latency, Modality, Transcript
from mera_edge.service.audit import AuditLog, starter, state_directory
from mera_edge.service.control import Control, Switches
from mera_edge.sinks.jsonl import JsonLines


def event(day: date, text: str = "hello") -> EmotionEvent:
    missing = Modality(state="missing", reason="nobody is speaking")
    return EmotionEvent(
        schema="mera-edge/event/1",
        at=f"{day}T12:00:00.000Z",
        modalities=dict.fromkeys(("voice", "face", "text"), missing),
        transcript=Transcript(text=text, final=True, confidence=0.9),
        latency=Latency(compute_ms=1, budget_ms=100, late=False),
    )


def test_events_are_kept_for_so_many_days_and_no_longer(tmp_path: Path) -> None:
    first = date(2026, 11, 1)
    foreign = tmp_path / "events.2020-01-01.txt"
    foreign.touch()
    sink = JsonLines(str(tmp_path / "events.jsonl"), keep_days=3)
    for number in range(10):
        for _ in range(2):
            sink.publish(event(first + timedelta(days=number)))
    kept = sorted(path.name for path in tmp_path.glob("*.jsonl"))
    assert kept == [*(f"events.2026-11-{day:02}.jsonl" for day in (7, 8, 9)), "events.jsonl"]
    for path in tmp_path.glob("*.jsonl"):
        days = {json.loads(line)["at"][:10] for line in path.read_text().splitlines()}
        assert len(days) == 1 and len(path.read_text().splitlines()) == 2
    assert foreign.exists()


@given(st.lists(st.integers(0, 5), max_size=20))
def test_days_go_on_after_a_restart(steps: list[int]) -> None:
    from tempfile import TemporaryDirectory

    with TemporaryDirectory() as place:
        day, written = date(2030, 1, 1), 0
        for step in steps:
            day += timedelta(days=step)
            sink = JsonLines(f"{place}/e.jsonl", keep_days=10_000)
            sink.publish(event(day))
            sink._lines.close()
            written += 1
        lines = [line for file in Path(place).iterdir() for line in file.read_text().splitlines()]
        assert len(lines) == written


def test_only_files_can_be_kept_for_a_while() -> None:
    for to in ("-", "http://127.0.0.1:8765"):
        with pytest.raises(ConfigError, match="keep_days"):
            load(None, {"sink": [{"to": to, "keep_days": 1}]}, {})


def audited(directory: Path) -> list[dict]:
    return [json.loads(line) for line in (directory / "audit.jsonl").read_text().splitlines()]


def test_audit_log_records_models_and_switches(
    tmp_path: Path,
) -> None:
    room = {"name": "hall", "camera": "rtsp://me:secret@10.0.0.7/a", "mic": "none"}
    settings = load(None, {"room": [room]}, {})
    models = Bundle.open(None)
    log = AuditLog(tmp_path / "state")
    control = Control()
    control.subscribe(log.switched)
    control.use(["hall", "attic"])
    log.started(settings, models)
    control.set("hall", paused=True, by="HTTP 10.0.0.3")
    control.set("attic", microphone=False)
    log.configured(settings, models)
    log.stopped(7)
    started, paused, muted, configured, stopped = audited(tmp_path / "state")
    assert started["what"] == "started"
    assert started["rooms"] == {"hall": {"camera": "rtsp://10.0.0.7/…", "mic": "none"}}
    assert all(re.fullmatch("[0-9a-f]{64}", digest) for digest in started["models"].values())
    assert paused["what"] == "switched"
    assert (paused["room"], paused["paused"], paused["camera"]) == ("hall", True, True)
    assert (paused["by"], muted["by"], configured["by"]) == ("HTTP 10.0.0.3", "Python", "signal")
    assert started["by"].startswith("user ")
    assert stopped["events"] == 7
    assert "secret" not in (tmp_path / "state" / "audit.jsonl").read_text()
    # What somebody switched off stays off when the box has been restarted.
    again = AuditLog(tmp_path / "state")
    control = Control()
    control.remember(again.switches)
    control.use(["hall", "attic", "study"])
    assert control.rooms == {
        "hall": Switches(paused=True),
        "attic": Switches(microphone=False),
        "study": Switches(),
    }
    again.stopped(0)
    assert len(audited(tmp_path / "state")) == 6


def test_the_audit_log_names_systemd_where_it_started_the_run() -> None:
    assert starter({"INVOCATION_ID": "0" * 32}) == "systemd"


@pytest.mark.parametrize("text", ["", "{", "[]", '{"hall": {}}', '{"hall": 1}', '{"hall": null}'])
def test_switches_that_cannot_be_read_do_not_switch_on(tmp_path: Path, text: str) -> None:
    (tmp_path / "switches.json").write_text(text)
    with pytest.raises(InputError, match="switch off again"):
        AuditLog(tmp_path)


def test_the_state_directory_is_systemds_unless_one_is_named(tmp_path: Path) -> None:
    systemd = {"STATE_DIRECTORY": "/var/lib/mera-edge:/var/lib/other"}
    assert state_directory(load(None, {}, {}), systemd) == Path("/var/lib/mera-edge")
    assert state_directory(load(None, {}, {}), {}) is None
    named = load(None, {"privacy": {"state_directory": str(tmp_path)}}, {})
    assert state_directory(named, systemd) == tmp_path
