"""What `doctor` says about sources, sinks, heat and permissions."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import soundfile

from mera_edge.config import Settings
from mera_edge.doctor.check import Check
from mera_edge.doctor.environment import heat, permissions, sinks, sources
from mera_edge.sample import CLIP


def found(checks: object) -> dict[str, Check]:
    return {check.what: check for check in checks}  # type: ignore[attr-defined]


def test_sources_that_are_asked_for_must_work(tmp_path: Path) -> None:
    mute, deaf = tmp_path / "mute.wav", "http://127.0.0.1:9/video"
    soundfile.write(mute, np.zeros(16_000), 16_000)
    settings = Settings(camera=(str(CLIP), deaf, str(mute)), mic=(str(CLIP), str(mute), "none"))
    told = list(sources(settings))
    by_state = {state: [f.found for f in told if f.state == state] for state in ("ok", "fail")}
    assert "delivers frames of" in by_state["ok"][0]
    assert "delivers sound, -" in by_state["ok"][1]
    assert sorted(text.split(";")[0] for text in by_state["fail"]) == [
        "connection refused",
        "only digital silence: it may be muted",
        "provides neither the requested video nor audio",
    ]
    assert all(check.remedy for check in told if check.state == "fail")


def test_sources_that_are_only_assumed_may_be_absent() -> None:
    assert {check.state for check in sources(Settings())} <= {"ok", "note"}


def test_sinks_must_be_writable(tmp_path: Path) -> None:
    good, nowhere = tmp_path / "events.jsonl", tmp_path / "absent" / "events.jsonl"
    told = found(sinks(Settings(sink=("-", str(good), str(nowhere), str(tmp_path)))))
    assert told[f"sink {good}"].state in ("ok", "note")
    assert not good.exists()
    assert told[f"sink {nowhere}"].found == f"{nowhere.parent} does not exist"
    assert told[f"sink {tmp_path}"].state == "fail"
    assert "GB free at" in told["disk"].found
    (refused, _) = sinks(Settings(sink=("gopher://me:secret@host/a",)))
    assert (refused.state, refused.found) == ("fail", "gopher:// is not supported as a sink")
    assert "secret" not in refused.what


def test_doctor_reports_a_hot_board(tmp_path: Path) -> None:
    zone = tmp_path / "sys/class/thermal/thermal_zone0"
    zone.mkdir(parents=True)
    for name, text in (("type", "cpu"), ("trip_point_0_type", "passive")):
        (zone / name).write_text(text)
    (zone / "trip_point_0_temp").write_text("80000")
    for temperature, state in (("50000", "ok"), ("79000", "note")):
        (zone / "temp").write_text(temperature)
        (check,) = heat(tmp_path)
        assert check.state == state
        assert bool(check.remedy) == (state == "note")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may open everything")
def test_devices_that_are_not_permitted_are_named(tmp_path: Path) -> None:
    node = tmp_path / "dev/video0"
    node.parent.mkdir()
    node.touch(0o000)
    told = found(permissions(tmp_path))
    assert str(node) in told["cameras of this machine"].found
    assert "usermod -aG video" in told["cameras of this machine"].remedy


def test_devices_are_listed(tmp_path: Path) -> None:
    (tmp_path / "dev").mkdir()
    (tmp_path / "dev/video0").touch()
    told = found(permissions(tmp_path))
    assert told["cameras of this machine"].state == "ok"
    assert told["microphones of this machine"].state == "note"
