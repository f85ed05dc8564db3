"""The microphone's real path: PyAudio on a PulseAudio source that plays what the test says."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile

pytestmark = [
    pytest.mark.skipif(shutil.which("pulseaudio") is None, reason="pulseaudio is not installed"),
    pytest.mark.skipif(shutil.which("paplay") is None, reason="paplay is not installed"),
    pytest.mark.skipif(not importlib.util.find_spec("pyaudio"), reason="PyAudio is not installed"),
]

LISTEN = """
import sys, time
import numpy as np
from mera_edge.sources.microphone import Microphone
microphone = Microphone("pulse")
microphone.open()
while microphone.condition.state != "live":
    time.sleep(0.02)
    microphone.poll(0.0)
print("open", flush=True)
heard, ends = [], []
tick, last = 0, 300
while tick < last:
    tick += 1
    time.sleep(0.2)
    for sound in microphone.poll(tick * 0.2).audio:
        heard.append(sound.samples)
        ends.append(sound.at_s + len(sound.samples) / 16000 - tick * 0.2)
    if last == 300 and sum((abs(samples) > 0.1).sum() for samples in heard) > 12600:
        last = tick + 5
microphone.close()
np.save(sys.argv[1], np.concatenate(heard))
print(np.median(np.abs(ends)), microphone.overruns, flush=True)
"""

TELL = """
import time
from mera_edge.sources import microphone
microphone.ZEROS_AFTER_S = 0.5
ears, told = microphone.Microphone("pulse"), None
ears.open()
while True:
    line = f"{ears.condition.state} {ears.condition.reason}".strip()
    if line != told and not (line.startswith("stalled") and told.startswith("stalled")):
        print(line, flush=True)
        told = line
    time.sleep(0.1)
    ears.poll(0.0)
"""


@pytest.fixture
def room(tmp_path: Path) -> Iterator[dict[str, str]]:
    """A sound server with a microphone that hears what is played; gives its environment."""
    environment = surroundings(tmp_path)
    server = sound_server(environment)
    yield environment
    server.terminate()
    server.wait(5)


def surroundings(tmp_path: Path) -> dict[str, str]:
    config = tmp_path / "asound.conf"
    config.write_text(
        '</usr/share/alsa/alsa.conf>\npcm.pulse {\n type pulse\n hint.description "Pulse"\n}\n'
    )
    return {
        "PATH": "/usr/bin:/bin",
        "PYTHONPATH": os.environ.get("PYTHONPATH", ""),
        "HOME": str(tmp_path),
        "XDG_RUNTIME_DIR": str(tmp_path),
        "PULSE_LATENCY_MSEC": "20",
        "ALSA_CONFIG_PATH": str(config),
    }


def sound_server(environment: dict[str, str]) -> subprocess.Popen[bytes]:
    modules = (
        "module-native-protocol-unix",
        "module-null-sink sink_name=room rate=16000 channels=1",
        "module-remap-source master=room.monitor source_name=mic",
    )
    loads = [argument for module in modules for argument in ("-L", module)]
    server = subprocess.Popen(
        ["pulseaudio", "-n", "--daemonize=no", "--exit-idle-time=-1", *loads],
        env=environment,
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 60
    while subprocess.run(["pactl", "set-default-source", "mic"], env=environment).returncode:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    return server


def test_played_audio_is_captured_in_time(room: dict[str, str], tmp_path: Path) -> None:
    moments = np.arange(16_000) / 16_000
    tone = (0.5 * np.sin(2 * np.pi * 500 * moments)).astype(np.float32)
    soundfile.write(tmp_path / "tone.wav", tone, 16_000)
    recorded = tmp_path / "heard.npy"
    ears = subprocess.Popen(
        [sys.executable, "-c", LISTEN, recorded], env=room, stdout=subprocess.PIPE, text=True
    )
    assert ears.stdout is not None
    assert ears.stdout.readline() == "open\n"
    subprocess.run(["paplay", "-d", "room", tmp_path / "tone.wav"], env=room, check=True)
    out, _ = ears.communicate(timeout=90)
    lateness_s, overruns = out.split()
    assert float(lateness_s) < 0.3
    assert overruns == "0"
    heard = np.load(recorded)
    loud = heard[np.abs(heard) > 0.1]
    # A sine of amplitude 0.5 is above 0.1 for 87 % of the time.
    assert len(loud) == pytest.approx(0.87 * 16_000, rel=0.1)


def test_lost_microphone_is_gone_and_reconnects(tmp_path: Path) -> None:
    environment = surroundings(tmp_path)
    server = sound_server(environment)
    ears = subprocess.Popen(
        [sys.executable, "-c", TELL], env=environment, stdout=subprocess.PIPE, text=True
    )
    assert ears.stdout is not None
    told = iter(ears.stdout.readline, "")
    assert next(told) == "connecting\n"
    assert next(told) == "live\n"
    assert "digital silence" in next(told)
    server.kill()
    server.wait()
    assert any("gone" in line for line in told)
    server = sound_server(environment)
    began = time.monotonic()
    assert any(line == "live\n" for line in told)
    assert time.monotonic() - began < 60
    ears.kill()
    ears.wait()
    server.kill()
    server.wait()
