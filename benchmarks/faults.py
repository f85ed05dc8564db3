"""Behaviour of a live run when cameras and microphone fail and come back.

    python benchmarks/faults.py [TIMES] [REPORT.md]

One `mera-edge run` with two rooms: an MJPEG camera, an RTSP camera and one microphone for both.
Their servers (one in Python, GStreamer's, PulseAudio) are killed and started again, and frozen and
let go on, and the processes that capture are killed and frozen, TIMES times each (10), all three at
the same time. Needs Debian's python3-gi, gir1.2-gst-rtsp-server-1.0, gstreamer1.0-plugins-bad,
pulseaudio, pulseaudio-utils and libasound2-plugins, and PyAudio.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

DOWN_S, FROZEN_S = 4.0, 8.0
"""Duration of a fault."""
BETWEEN_S = 3.0
PATIENCE_S = 30.0

MJPEG = Path(__file__).with_name("mjpeg.py")

RTSP = """
import sys
import gi
gi.require_version("Gst", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtspServer
Gst.init(None)
server = GstRtspServer.RTSPServer()
server.set_address("127.0.0.1")
server.set_service(sys.argv[1])
factory = GstRtspServer.RTSPMediaFactory()
factory.set_launch(
    "( videotestsrc is-live=true pattern=ball ! video/x-raw,width=640,height=480,framerate=15/1 "
    "! openh264enc gop-size=30 ! rtph264pay name=pay0 config-interval=-1 )"
)
factory.set_shared(True)
server.get_mount_points().add_factory("/camera", factory)
server.attach(None)
GLib.MainLoop().run()
"""


@dataclass
class Trial:
    """One fault."""

    recovered_s: float | None
    """From the end of the fault to the first event with a live source."""
    gap_s: float
    """Between two such events."""
    reason: bool
    """Whether every event in between named the source and its state."""


@dataclass
class Watch:
    """Reads the events of the run."""

    process: subprocess.Popen[str]
    rows: list[tuple[float, dict]] = field(default_factory=list)

    def read(self) -> None:
        for line in self.process.stdout or ():
            event = json.loads(line)
            if "sources" in event:
                self.rows.append((time.monotonic(), event))

    def since(self, moment: float, source: str) -> list[tuple[float, str, bool]]:
        """Return time, state, and whether the event names the source and reason correctly."""
        found = []
        for at, event in list(self.rows):
            sources = event["sources"].values()
            status = next((s for s in sources if source in s["name"]), None)
            if at < moment or status is None:
                continue
            state, reason = status["state"], status.get("reason", "")
            fate = event["modalities"]["voice" if source == "microphone" else "face"]
            told = fate["state"] == "used" or f"{state}: {reason}" in fate["reason"]
            found.append((at, state, bool(reason) and told))
        return found


@dataclass
class Server:
    """A server that can be killed and restarted."""

    source: str
    """As its source is named in the events."""
    start: Callable[[], subprocess.Popen[bytes]]
    answers: Callable[[], bool]
    process: subprocess.Popen[bytes] | None = None

    def up(self) -> None:
        self.process = self.start()
        while not self.answers():
            time.sleep(0.02)

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()


def port_answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def held(process: int) -> str:
    """Describe the resources of a process."""
    path = Path(f"/proc/{process}")
    status = dict(line.split(":\t") for line in (path / "status").read_text().splitlines())
    megabytes = int(status["VmRSS"].split()[0]) / 1024
    children = (path / f"task/{process}/children").read_text().split()
    return (
        f"{len(list((path / 'fd').iterdir()))} descriptors, {len(children)} children and "
        f"{megabytes:.0f} MB (RSS)"
    )


def capturer(run: int, module: str, port: int | None) -> int:
    """Return the process of a run that captures for a source, by the port it is connected to."""
    for child in Path(f"/proc/{run}/task/{run}/children").read_text().split():
        path = Path("/proc") / child
        if module not in (path / "cmdline").read_bytes().decode().split("\0"):
            continue
        if port is None:
            return int(child)
        held = {str(descriptor.readlink()) for descriptor in (path / "fd").iterdir()}
        connections = (line.split() for line in (path / "net/tcp").read_text().splitlines()[1:])
        if any(
            int(fields[2].partition(":")[2], 16) == port and f"socket:[{fields[9]}]" in held
            for fields in connections
        ):
            return int(child)
    raise RuntimeError(f"no process of {module} captures from port {port}")


def attempt(watch: Watch, source: str, hurt: Callable[[], None], heal: Callable[[], None]) -> Trial:
    began = time.monotonic()
    hurt()
    heal()
    healed = time.monotonic()
    while time.monotonic() < healed + PATIENCE_S:
        seen = watch.since(began, source)
        lost = next((at for at, state, _ in seen if state != "live"), healed + PATIENCE_S)
        back = next((at for at, state, _ in seen if at > max(healed, lost) and state == "live"), 0)
        if back:
            break
        time.sleep(0.05)
    else:
        return Trial(None, time.monotonic() - began, False)
    live = [began, *(at for at, state, _ in seen if state == "live" and at <= back)]
    gap_s = max(b - a for a, b in pairwise(live))
    away = [told for at, state, told in seen if state != "live" and at < back]
    return Trial(back - healed, gap_s, all(away))


def faults(run: int, server: Server, module: str, port: int | None) -> dict[str, tuple]:
    """Name every fault of a source, with what begins and what ends it."""

    def killed() -> None:
        server.kill()
        time.sleep(DOWN_S)

    def frozen() -> None:
        assert_running(server).send_signal(signal.SIGSTOP)
        time.sleep(FROZEN_S)

    def capture_killed() -> None:
        os.kill(capturer(run, module, port), signal.SIGKILL)

    def capture_frozen() -> None:
        os.kill(capturer(run, module, port), signal.SIGSTOP)

    return {
        "server killed, then restarted": (killed, server.up),
        "server frozen, then resumed": (
            frozen,
            lambda: assert_running(server).send_signal(signal.SIGCONT),
        ),
        "capture process killed": (capture_killed, lambda: None),
        "capture process hangs": (capture_frozen, lambda: None),
    }


def assert_running(server: Server) -> subprocess.Popen[bytes]:
    if server.process is None or server.process.poll() is not None:
        raise RuntimeError(f"the server of {server.source} has ended")
    return server.process


def row(name: str, fault: str, trials: list[Trial]) -> str:
    back = [trial.recovered_s for trial in trials if trial.recovered_s is not None]
    return (
        f"| {name} | {fault} | {len(trials)} | {len(back)} "
        f"| {max(trial.gap_s for trial in trials):.1f} "
        f"| {statistics.median(back):.1f} | {max(back):.1f} "
        f"| {sum(trial.reason for trial in trials)} |"
    )


def main(times: int, report: Path | None) -> None:
    home = Path(tempfile.mkdtemp(prefix="mera-edge-faults-"))
    (home / "asound.conf").write_text(
        '</usr/share/alsa/alsa.conf>\npcm.pulse {\n type pulse\n hint.description "Pulse"\n}\n'
    )
    environment = {
        **os.environ,
        "HOME": str(home),
        "XDG_RUNTIME_DIR": str(home),
        "ALSA_CONFIG_PATH": str(home / "asound.conf"),
    }
    modules = (
        "module-native-protocol-unix",
        "module-sine-source source_name=mic rate=44100 frequency=300",
    )
    pulse = ["pulseaudio", "-n", "--daemonize=no", "--exit-idle-time=-1"]
    pulse += [argument for module in modules for argument in ("-L", module)]
    mjpeg_port, rtsp_port = free_port(), free_port()
    quiet = {"stderr": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "env": environment}
    mjpeg_url = f"http://127.0.0.1:{mjpeg_port}/video"
    rtsp_url = f"rtsp://127.0.0.1:{rtsp_port}/camera"
    commands = {
        "mjpeg": [sys.executable, str(MJPEG), str(mjpeg_port)],
        "rtsp": ["/usr/bin/python3", "-c", RTSP, str(rtsp_port)],
    }
    servers = {
        "MJPEG camera": (
            Server(
                f"127.0.0.1:{mjpeg_port}",
                lambda: subprocess.Popen(commands["mjpeg"], **quiet),
                lambda: port_answers(mjpeg_port),
            ),
            "mera_edge.sources.network_stream",
            mjpeg_port,
        ),
        "RTSP camera": (
            Server(
                f"127.0.0.1:{rtsp_port}",
                lambda: subprocess.Popen(commands["rtsp"], **quiet),
                lambda: port_answers(rtsp_port),
            ),
            "mera_edge.sources.network_stream",
            rtsp_port,
        ),
        "PulseAudio microphone": (
            Server(
                "microphone",
                lambda: subprocess.Popen(pulse, **quiet),
                lambda: subprocess.run(["pactl", "info"], check=False, **quiet).returncode == 0,
            ),
            "mera_edge.sources.microphone",
            None,
        ),
    }
    for server, _, _ in servers.values():
        server.up()
    run = [sys.executable, "-c", "from mera_edge.cli import main; main()", "run"]
    run += ["--camera", mjpeg_url, "--camera", rtsp_url, "--mic", "pulse", "--sink", "-"]
    process = subprocess.Popen(run, stdout=subprocess.PIPE, text=True, env=environment)
    watch = Watch(process)
    threading.Thread(target=watch.read, daemon=True).start()
    results: dict[tuple[str, str], list[Trial]] = {}

    def try_all(name: str) -> None:
        server, module, port = servers[name]
        for fault, (hurt, heal) in faults(process.pid, server, module, port).items():
            for _ in range(times):
                time.sleep(BETWEEN_S)
                trial = attempt(watch, server.source, hurt, heal)
                results.setdefault((name, fault), []).append(trial)
                print(name, fault, trial, file=sys.stderr, flush=True)

    while len(watch.rows) < 25:
        time.sleep(0.1)
    before = held(process.pid)
    began = time.monotonic()
    threads = [threading.Thread(target=try_all, args=[name]) for name in servers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if process.poll() is not None:
        raise RuntimeError(f"the run ended by itself, with {process.returncode}")
    time.sleep(BETWEEN_S)
    after = held(process.pid)
    process.send_signal(signal.SIGTERM)
    code = process.wait(10)
    for server, _, _ in servers.values():
        server.kill()
    shutil.rmtree(home)
    times_at = [at for at, _ in watch.rows]
    events_gap_s = max(b - a for a, b in pairwise(times_at))
    lines = [
        "| source | fault | times | recovered | longest gap, s | s after its end, median | max "
        "| times with the reason in every event |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
        *(row(name, fault, results[name, fault]) for name in servers for fault in FAULTS),
        "",
        f"The run lasted {time.monotonic() - began:.0f} s, until it was told to end, and exited "
        f"with {code}. It gave {len(times_at)} events; the longest time between two was "
        f"{events_gap_s:.2f} s. Before and after it held {before} and {after}.",
    ]
    print("\n".join(lines))
    if report is not None:
        report.write_text("\n".join(lines) + "\n", encoding="utf-8")


FAULTS = (
    "server killed, then restarted",
    "server frozen, then resumed",
    "capture process killed",
    "capture process hangs",
)

if __name__ == "__main__":
    main(
        int(sys.argv[1]) if len(sys.argv) > 1 else 10,
        Path(sys.argv[2]) if len(sys.argv) > 2 else None,
    )
