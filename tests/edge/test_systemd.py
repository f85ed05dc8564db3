"""The service of systemd: its unit, what it tells the manager, and how it is installed."""

from __future__ import annotations

import grp
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from mera_edge.cli import main
from mera_edge.config import RoomSettings, Settings, SinkSettings
from mera_edge.doctor.environment import service
from mera_edge.errors import InputError
from mera_edge.events import EmotionEvent, Latency, SourceStatus, Transcript
from mera_edge.sample import CLIP
from mera_edge.service.systemd.manager import Manager
from mera_edge.service.systemd.notify import Heartbeat
from mera_edge.service.systemd.obstacles import obstacles
from mera_edge.service.systemd.unit import RUN, WYOMING, Unit, credentials, groups

needs_systemd = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed"
)
MOST_EXPOSED = 1.3


def unit(user: bool = False, systemd: int = 252, name: str = RUN, announces: bool = False) -> Unit:
    config = Path("/etc/mera-edge/config.toml")
    secrets = ["hall.password", "mqtt.password"] if name == RUN else []
    return Unit("/bin/true", config, systemd, secrets, user=user, name=name, announces=announces)


def analyze(*arguments: object) -> str:
    done = subprocess.run(
        ["systemd-analyze", *map(str, arguments)], capture_output=True, text=True, check=True
    )
    return done.stdout + done.stderr


@needs_systemd
@pytest.mark.parametrize("user", [False, True])
@pytest.mark.parametrize("name", [RUN, WYOMING])
def test_systemd_analyze_verify_accepts_the_unit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, user: bool, name: str
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    file = tmp_path / name
    file.write_text(unit(user, name=name, announces=True).text())
    assert analyze(*(["--user"] if user else []), "verify", file) == ""


@needs_systemd
@pytest.mark.parametrize("name", [RUN, WYOMING])
def test_exposure_level_of_the_service_is_low(tmp_path: Path, name: str) -> None:
    file = tmp_path / name
    file.write_text(unit(name=name, announces=name == WYOMING).text())
    told = analyze("security", "--offline=true", "--no-pager", file)
    found = re.search(rf"Overall exposure level for {name}: ([\d.]+)", told)
    assert found is not None and float(found[1]) <= MOST_EXPOSED, told


def test_the_unit_says_what_it_may() -> None:
    text = unit().text()
    for line in (
        "Type=notify",
        "ExecStart=/bin/true run --config /etc/mera-edge/config.toml",
        # A minimal Debian has no program of that name (procps), but every shell knows it.
        "ExecReload=/bin/sh -c 'kill -HUP $MAINPID'",
        "LoadCredential=hall.password:/etc/mera-edge/hall.password",
        "DynamicUser=yes",
        "DevicePolicy=closed",
        "DeviceAllow=char-video4linux rw",
        "DeviceAllow=char-alsa rw",
        "IPAddressDeny=any",
        "Restart=on-failure",
        "StartLimitBurst=10",
        "WatchdogSec=60",
        # Else stderr goes where stdout goes: nowhere.
        "StandardError=journal",
    ):
        assert line in text.splitlines()
    # Where the system's users are not those of systemd (libnss-systemd), this one has no home.
    assert re.search("^Environment=.*HOME=/var/lib/mera-edge", text, re.MULTILINE)
    assert "SupplementaryGroups=video audio render" in text
    # One that the machine does not have would keep the service from starting.
    assert set(groups()) <= {group.gr_name for group in grp.getgrall()}
    assert "SupplementaryGroups" not in replace(unit(), groups=()).text()
    newer = unit(systemd=255).text()
    assert "Type=notify-reload" in newer and "ExecReload" not in newer
    assert "DynamicUser" not in unit(user=True).text()


def test_the_wyoming_service_sees_no_camera_and_hears_no_microphone() -> None:
    lines = unit(name=WYOMING, systemd=255).text().splitlines()
    assert "ExecStart=/bin/true wyoming --config /etc/mera-edge/config.toml" in lines
    assert "Type=notify" in lines and "SupplementaryGroups=video render" in lines
    assert not [line for line in lines if re.search("ExecReload|v4l|video4|alsa|Credential", line)]
    # Both have the same user and so the same models, and none removes the other's sockets.
    for line in ("User=mera-edge", "StateDirectory=mera-edge"):
        assert line in lines and line in unit().text().splitlines()
    assert "RuntimeDirectory=mera-edge-wyoming" in lines
    for announces in (False, True):
        text = unit(name=WYOMING, announces=announces).text()
        assert ("multicast" in text) is announces


def test_passwords_of_a_configuration_are_credentials() -> None:
    settings = Settings(
        room=(RoomSettings(name="hall", camera="rtsp://me@host/", password_file="hall.password"),),
        sink=(
            SinkSettings(to="mqtt://me@host", password_file="mqtt.password"),
            SinkSettings(to="mqtt://me@other", password_file="/root/password"),
        ),
    )
    assert credentials(settings) == ["hall.password", "mqtt.password"]


def event(room: str, camera: str = "live") -> EmotionEvent:
    return EmotionEvent(
        schema="mera-edge/event/1",
        at="2026-11-30T12:00:00.000Z",
        room_id=room,
        modalities={},
        transcript=Transcript(text="nobody may know", final=True, confidence=0.5),
        latency=Latency(compute_ms=1, budget_ms=100, late=False),
        sources={f"{room}_camera": SourceStatus(state=camera)},
    )


def test_the_watchdog_hears_nothing_while_one_room_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WATCHDOG_USEC", "3000")
    monkeypatch.delenv("WATCHDOG_PID", raising=False)
    told: list[str] = []
    heart = Heartbeat(lambda: ["hall", "study"], told.append)
    for _ in range(3):
        heart.publish(event("hall"))
    assert told == []
    heart.publish(event("study", "gone"))
    assert told == ["READY=1\nSTATUS=hall: camera live; study: camera gone\nWATCHDOG=1"]
    for _ in range(5):
        time.sleep(0.002)
        heart.publish(event("hall"))
    assert len(told) == 1
    heart.publish(event("study"))
    assert told[1] == "STATUS=hall: camera live; study: camera live\nWATCHDOG=1"
    assert not any("nobody may know" in line for line in told)


def test_without_a_watchdog_only_states_are_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WATCHDOG_USEC", "3000000")
    monkeypatch.setenv("WATCHDOG_PID", "1")  # somebody else's
    told: list[str] = []
    heart = Heartbeat(lambda: ["hall"], told.append)
    for _ in range(5):
        heart.publish(event("hall"))
    assert told == ["READY=1\nSTATUS=hall: camera live"]
    heart.reloads()
    assert re.fullmatch(r"RELOADING=1\nMONOTONIC_USEC=\d+", told[1])
    heart.publish(event("hall"))
    assert told[2].startswith("READY=1")


def test_a_run_tells_its_manager(tmp_path: Path) -> None:
    place = tmp_path / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(place))
        manager.settimeout(60)

        def heard(what: str) -> str:
            message = ""
            while what not in message:
                message = manager.recv(4096).decode()
            return message

        process = subprocess.Popen(
            [sys.executable, "-m", "mera_edge", "run", "--camera", CLIP, "--mic", CLIP, "--sink",
             tmp_path / "events.jsonl"],
            env={**os.environ, "NOTIFY_SOCKET": str(place), "WATCHDOG_USEC": "600000"},
            stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        try:
            assert "STATUS=room_1: live" in heard("READY=1")
            assert "WATCHDOG=1" in heard("WATCHDOG=1")
            process.send_signal(signal.SIGHUP)
            assert "MONOTONIC_USEC=" in heard("RELOADING=1")
            heard("READY=1")
            process.send_signal(signal.SIGTERM)
            heard("STOPPING=1")
            said = process.communicate(timeout=60)[1]
        finally:
            process.kill()
            process.communicate()
    assert process.returncode == 0
    assert "words:" not in said, "what was said is not for the journal"


@pytest.fixture
def systemctl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A system that was started by systemd, and what is asked of it."""
    asked = tmp_path / "asked"
    program = tmp_path / "bin" / "systemctl"
    program.parent.mkdir()
    program.write_text(
        f'#!/bin/sh\necho "$*" >> {asked}\n'
        'case "$*" in *show*) printf "ActiveState=active\\nStatusText=hall: camera live\\n";;\n'
        '*--version*) echo "systemd 255 (255.4)";; esac\n'
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    (tmp_path / "run/systemd/system").mkdir(parents=True)
    return asked


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may")
@pytest.mark.parametrize("name", [RUN, WYOMING])
def test_the_service_is_installed_and_removed(tmp_path: Path, systemctl: Path, name: str) -> None:
    manager = Manager(user=False, root=tmp_path, name=name)
    manager.install(unit(name=name))
    assert manager.file == tmp_path / "etc/systemd/system" / name
    assert manager.file.read_text() == unit(name=name).text()
    assert manager.status()["StatusText"] == "hall: camera live"
    manager.uninstall()
    assert not manager.file.exists()
    assert [line for line in systemctl.read_text().splitlines() if "show" not in line] == [
        "daemon-reload",
        f"enable {name}",
        f"restart {name}",
        f"disable --now {name}",
        "daemon-reload",
    ]
    with pytest.raises(InputError, match="nothing to uninstall"):
        manager.uninstall()


def test_missing_systemd_or_root_is_reported(
    tmp_path: Path, systemctl: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(InputError, match="was not started by systemd"):
        Manager(user=False, root=tmp_path / "nowhere").install(unit())
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(InputError, match=r"only root may .*: use sudo, or --user"):
        Manager(user=False, root=tmp_path).install(unit())
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    Manager(user=True, root=tmp_path).install(unit(user=True))
    assert (tmp_path / "config/systemd/user/mera-edge.service").exists()
    assert "--user enable mera-edge.service" in systemctl.read_text()


def test_obstacles_of_the_service_are_reported(tmp_path: Path) -> None:
    config = tmp_path / "config.toml"
    config.write_text("")
    config.chmod(0o600)
    secret = tmp_path / "password"
    secret.write_text("x")
    secret.chmod(0o600)
    settings = Settings(
        room=(
            RoomSettings(name="hall", camera="/home/me/talk.mp4", mic="default"),
            RoomSettings(name="study", camera="rtsp://me@host/", password_file=str(secret)),
        ),
        sink=("events.jsonl", "mqtt://me@host?password_file=mqtt.password"),
    )
    told = {found.what: found for found in obstacles(settings, "/opt/mera-edge/bin/x", config)}
    for words, fatal in (
        ("is not for everyone to read", True),
        ("/home/me/talk.mp4 lies in a home", True),
        ("sound server (PipeWire, PulseAudio) of a user", False),
        (f"{secret} is not for the service's user", True),
        (f"mqtt.password is not in {tmp_path}", True),
        ("sink events.jsonl cannot be written", True),
    ):
        (found,) = [each for what, each in told.items() if words in what]
        assert found.fatal is fatal and found.remedy
    (home, *_) = obstacles(settings, "/home/me/venv/bin/mera-edge", config)
    assert "lies in a home" in home.what and "service install --user" in home.remedy
    assert list(service(settings, tmp_path)) == [], "it is not installed"
    (tmp_path / "etc/systemd/system").mkdir(parents=True)
    (tmp_path / "etc/systemd/system/mera-edge.service").write_text("")
    assert {check.state for check in service(settings, tmp_path)} == {"fail", "note"}
    # Rooms, sinks and their passwords are nothing for the Wyoming service.
    (found,) = obstacles(settings, "/opt/mera-edge/bin/x", config, WYOMING)
    assert "is not for everyone to read" in found.what


def test_the_unit_is_printed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = tmp_path / "config.toml"
    config.write_text('sink = "mqtt://me@host?password_file=mqtt.password"')
    with pytest.raises(SystemExit) as ended:
        main(["service", "unit", "--config", str(config)])
    assert not ended.value.code
    printed = capsys.readouterr().out
    assert f"LoadCredential=mqtt.password:{tmp_path}/mqtt.password" in printed
    config.write_text('[wyoming]\nuri = "tcp://0.0.0.0:10300"\nzeroconf = true')
    with pytest.raises(SystemExit) as ended:
        main(["service", "unit", "--config", str(config), "--wyoming"])
    assert not ended.value.code
    printed = capsys.readouterr().out
    assert f" wyoming --config {config}" in printed and "multicast" in printed
    with pytest.raises(SystemExit) as ended:
        main(["service", "unit", "--config", str(tmp_path / "a b.toml")])
    assert ended.value.code == 2
