"""Starts mera-edge as Home Assistant's app: options and the Supervisor's broker become settings."""

from __future__ import annotations

import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

DATA = Path(os.environ.get("APP_DATA", "/data"))
RUN = Path(os.environ.get("APP_RUN", "/run/mera-edge"))
SUPERVISOR = os.environ.get("APP_SUPERVISOR", "http://supervisor")
PAGE_PORT = os.environ.get("APP_PORT", "8765")
ASSIST_PORT = os.environ.get("APP_ASSIST_PORT", "10300")
INGRESS = "172.30.32.2"
"""Where the Supervisor asks from for a user whom it has checked."""
LIMIT_S = 10
STOP_S = 15


def supervisor(path: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Ask the Supervisor; nothing if it does not know."""
    request = urllib.request.Request(
        f"{SUPERVISOR}{path}",
        None if body is None else json.dumps(body).encode(),
        {
            "Authorization": f"Bearer {os.environ.get('SUPERVISOR_TOKEN', '')}",
            "Content-Type": "application/json",
        },
    )
    try:
        with urllib.request.urlopen(request, timeout=LIMIT_S) as answer:
            data = json.load(answer).get("data")
    except (OSError, ValueError) as error:
        print(f"the Supervisor has nothing for {path} ({error})", file=sys.stderr, flush=True)
        return {}
    return data if isinstance(data, dict) else {}


def secret(name: str, text: str) -> str:
    """Write a secret that we alone may read, and return its file."""
    path = RUN / name
    path.touch(mode=0o600)
    path.write_text(text, encoding="utf-8")
    return str(path)


def page_token() -> str:
    """Return the file of the page's token, made at the first start."""
    path = DATA / "http.token"
    if not path.exists():
        path.touch(mode=0o600)
        path.write_text(secrets.token_urlsafe(32), encoding="utf-8")
    return str(path)


def settings(options: Mapping[str, Any], broker: Mapping[str, Any]) -> str:
    """Return the configuration, as TOML."""
    lines = ["[privacy]", f"transcript = {_text(options.get('transcript', 'off'))}"]
    lines += [f"acknowledged = {json.dumps(bool(options.get('acknowledged')))}"]
    lines += [f"state_directory = {_text(DATA)}"]
    for number, room in enumerate(options["rooms"]):
        lines += ["[[room]]", f"name = {_text(room['name'])}"]
        lines += [f"camera = {_text(room.get('camera') or 'none')}"]
        lines += [f"mic = {_text(room.get('microphone') or 'none')}"]
        if room.get("password"):
            file = secret(f"room_{number}.password", room["password"])
            lines += [f"password_file = {_text(file)}"]
    lines += ["[[sink]]", f'to = "http://0.0.0.0:{PAGE_PORT}"']
    lines += [f"token_file = {_text(page_token())}", f'trusted = ["{INGRESS}"]']
    if broker:
        scheme, user = "mqtts" if broker.get("ssl") else "mqtt", broker.get("username")
        place = f"{broker['host']}:{broker['port']}"
        to = f"{scheme}://{quote(user, safe='')}@{place}" if user else f"{scheme}://{place}"
        lines += ["[[sink]]", f"to = {_text(to)}", 'node = "home_assistant"']
        if user:
            lines += [f"password_file = {_text(secret('mqtt.password', broker['password']))}"]
    return "\n".join([*lines, ""])


def _text(value: object) -> str:
    """Return a text as TOML has it, which here is as JSON has it."""
    return json.dumps(str(value), ensure_ascii=False)


def commands(options: Mapping[str, Any], config: Path) -> list[list[str]]:
    """Return what is started."""
    program = [sys.executable, "-m", "mera_edge"]
    started = [[*program, "run", "--config", str(config)]]
    if options.get("assist"):
        assist = [*program, "wyoming", "--uri", f"tcp://0.0.0.0:{ASSIST_PORT}"]
        upstream = options.get("assist_upstream")
        started.append([*assist, *(["--upstream", upstream] if upstream else [])])
    return started


def supervise(started: list[list[str]]) -> int:
    """Run all until one ends or we are told to; the others end with it."""
    processes = [subprocess.Popen(command, stdout=subprocess.DEVNULL) for command in started]

    def end(*_: object) -> None:
        for process in processes:
            process.terminate()

    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGINT, end)
    while all(process.poll() is None for process in processes):
        time.sleep(0.2)
    end()
    deadline = time.monotonic() + STOP_S
    codes = []
    for process in processes:
        try:
            codes.append(process.wait(max(0.0, deadline - time.monotonic())))
        except subprocess.TimeoutExpired:
            process.kill()
            codes.append(1)
    return max(abs(code) for code in codes)


def main() -> int:
    """Read the options, write the settings, start, and wait."""
    options = json.loads((DATA / "options.json").read_text(encoding="utf-8"))
    RUN.mkdir(mode=0o700, parents=True, exist_ok=True)
    config = RUN / "config.toml"
    config.write_text(settings(options, supervisor("/services/mqtt")), encoding="utf-8")
    if options.get("assist"):
        uri = f"tcp://{socket.gethostname()}:{ASSIST_PORT}"
        supervisor("/discovery", {"service": "wyoming", "config": {"uri": uri}})
    return supervise(commands(options, config))


if __name__ == "__main__":
    sys.exit(main())
