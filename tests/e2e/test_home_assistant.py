"""What Home Assistant gets: the tutorial followed with a real broker, and the app's own files."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import stat
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any, ClassVar

import mosquitto
import pytest
import yaml
from mosquitto import free_port

import mera_edge
from mera_edge.config import load
from mera_edge.labels import EMOTIONS
from mera_edge.sample import CLIP

ROOT = Path(__file__).parents[2]
TUTORIAL = (ROOT / "docs" / "home_assistant.md").read_text(encoding="utf-8")
FOLDER = ROOT / "docker" / "home-assistant"
APP = FOLDER / "mera_edge"
CAMERA, BROKER = "rtsp://mera@10.0.0.7/1", "10.0.0.2"
needs_broker = pytest.mark.skipif(mosquitto.FOUND is None, reason="mosquitto is not installed")


@pytest.fixture
def start() -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    """Start a program; whatever is left of it is ended."""
    started: list[subprocess.Popen[bytes]] = []

    def begin(*command: object, **environment: str) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            [sys.executable, *map(str, command)], env={**os.environ, **environment}
        )
        started.append(process)
        return process

    yield begin
    for process in started:
        process.kill()
        process.wait()


def users(folder: Path, name: str, password: str) -> tuple[str, str]:
    """Return lines for a broker that one user may use."""
    file = folder / "users"
    file.write_text("")
    subprocess.run(["mosquitto_passwd", "-b", file, name, password], check=True)
    return "allow_anonymous false", f"password_file {file}"


@needs_broker
def test_the_tutorial(tmp_path: Path, start: Callable[..., subprocess.Popen[bytes]]) -> None:
    """Its configuration, with a clip for the camera, does what its commands show."""
    secret = "THE-BROKERS"
    text = re.findall(r"```toml\n(.*?)```", TUTORIAL, re.DOTALL)[0]
    listens = re.search(r"mosquitto_sub -h (\S+) -u (\S+) .*-t (\S+)", TUTORIAL)
    says = re.search(r"mosquitto_pub -h (\S+) -u (\S+) .*-t (\S+) -m (\S+)", TUTORIAL)
    shown = json.loads(re.findall(r"```json\n(.*?)```", TUTORIAL, re.DOTALL)[0])
    assert listens is not None and says is not None
    assert text.count(CAMERA) == 2 and listens[1] == says[1] == BROKER
    assert listens[2] == says[2] == "mera"
    (tmp_path / "mqtt.password").write_text(f"{secret}\n")
    with mosquitto.broker(tmp_path, *users(tmp_path, "mera", secret)) as broker:
        text = text.replace('password_file = "camera.password"\n', "").replace(CAMERA, str(CLIP))
        text = text.replace(BROKER, f"127.0.0.1:{broker.port}")
        config = tmp_path / "config.toml"
        config.write_text(text)
        with mosquitto.listener(broker.port, user="mera", password=secret) as heard:
            start("-m", "mera_edge", "run", "--config", config, CREDENTIALS_DIRECTORY=str(tmp_path))
            state = heard.wait(listens[3], presence="ON", pause="OFF")
            assert set(shown) <= set(state)
            assert state["emotion"] in (*EMOTIONS, "unclear")
            heard.send(says[3], says[4])
            heard.wait(listens[3], pause="ON", presence="OFF", emotion=None)
            told = {topic for topic in heard.newest if topic.startswith("homeassistant/device/")}
            assert told == {
                "homeassistant/device/mera_edge_box/config",
                "homeassistant/device/mera_edge_box_living_room/config",
            }


class Supervisor(BaseHTTPRequestHandler):
    """Answers as Home Assistant's does."""

    broker: ClassVar[dict[str, Any]] = {}
    discovered: ClassVar[list[dict[str, Any]]] = []

    def do_GET(self) -> None:
        known = self.path == "/services/mqtt" and self.headers["Authorization"] == "Bearer key"
        self._answer(200 if known and self.broker else 400, self.broker)

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.discovered.append({self.path: json.loads(body)})
        self._answer(200, {})

    def _answer(self, code: int, data: dict[str, Any]) -> None:
        self.send_response(code)
        self.end_headers()
        self.wfile.write(json.dumps({"result": "ok", "data": data}).encode())

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def supervisor() -> Iterator[str]:
    Supervisor.broker, Supervisor.discovered = {}, []
    with HTTPServer(("127.0.0.1", 0), Supervisor) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@needs_broker
def test_the_app_takes_its_options_and_the_supervisors_broker(
    tmp_path: Path, supervisor: str, start: Callable[..., subprocess.Popen[bytes]]
) -> None:
    data, run = tmp_path / "data", tmp_path / "run"
    data.mkdir()
    rooms = [{"name": 'Küche "1"', "camera": str(CLIP), "microphone": str(CLIP)}]
    options = {"rooms": rooms, "transcript": "off", "acknowledged": True, "assist": True}
    (data / "options.json").write_text(json.dumps(options))
    assist = free_port()
    with mosquitto.broker(tmp_path, *users(tmp_path, "addons", "p@ss")) as broker:
        Supervisor.broker = {
            "host": "127.0.0.1", "port": broker.port, "ssl": False, "username": "addons",
            "password": "p@ss", "protocol": "3.1.1",
        }  # fmt: skip
        with mosquitto.listener(broker.port, user="addons", password="p@ss") as heard:
            process = start(
                APP / "start.py", APP_DATA=str(data), APP_RUN=str(run),
                APP_SUPERVISOR=supervisor, APP_PORT=str(free_port()),
                APP_ASSIST_PORT=str(assist), SUPERVISOR_TOKEN="key",
            )  # fmt: skip
            heard.wait_text("mera-edge/home_assistant/status", "online")
            process.send_signal(signal.SIGTERM)
            assert process.wait(60) in (0, signal.SIGTERM, 128 + signal.SIGTERM)
            heard.wait_text("mera-edge/home_assistant/status", "offline")
    settings = load(run / "config.toml", {}, {})
    assert [room.name for room in settings.rooms] == ['Küche "1"']
    assert [sink.scheme for sink in settings.sink] == ["http", "mqtt"]
    assert settings.sink[0].trusted == ("172.30.32.2",) and settings.privacy.transcript == "off"
    assert settings.privacy.acknowledged
    assert settings.privacy.state_directory == data and (data / "audit.jsonl").exists()
    for secret in (run / "mqtt.password", data / "http.token"):
        assert stat.S_IMODE(secret.stat().st_mode) == 0o600
    (told,) = Supervisor.discovered
    assert told["/discovery"]["service"] == "wyoming"
    assert told["/discovery"]["config"]["uri"].endswith(f":{assist}")


# What the Supervisor's own schema takes (supervisor/addons/validate.py, 2026).
KEYS = {
    "name", "version", "slug", "description", "arch", "stage", "startup", "init", "services",
    "discovery", "ingress", "ingress_port", "ingress_stream", "panel_icon", "panel_title",
    "panel_admin", "watchdog", "ports", "ports_description", "video", "audio", "tmpfs",
    "apparmor", "timeout", "environment", "backup_exclude", "options", "schema",
}  # fmt: skip
ELEMENT = re.compile(
    r"(bool|email|url|port|str|password|int|float|device|list\([^)]*\)|match\(.*\))(\([^)]*\))?\??"
)


def elements(schema: Any) -> Iterator[str]:
    for value in schema.values() if isinstance(schema, dict) else schema:
        if isinstance(value, str):
            yield value
        else:
            yield from elements(value)


def test_app_configuration_matches_the_supervisors_schema() -> None:
    config = yaml.safe_load((APP / "config.yaml").read_text())
    assert set(config) <= KEYS
    assert config["version"] == mera_edge.__version__
    assert set(config["arch"]) <= {"aarch64", "amd64"}
    assert re.fullmatch(r"[a-z0-9_]+", config["slug"])
    assert re.fullmatch(r"(mqtt|mysql):(provide|want|need)", *config["services"])
    watched = r"(?:https?|\[PROTO:\w+\]|tcp)://\[HOST\]:(\[PORT:\d+\]|\d+).*"
    assert re.fullmatch(watched, config["watchdog"]) and 10 <= config["timeout"] <= 300
    assert all(ELEMENT.fullmatch(element) for element in elements(config["schema"]))
    # An option that one must give has a value at first.
    assert {key for key, value in config["schema"].items() if "?" not in str(value)} <= set(
        config["options"]
    )
    for language in ("en", "de"):
        words = yaml.safe_load((APP / "translations" / f"{language}.yaml").read_text())
        assert set(words["configuration"]) == set(config["schema"])
        assert set(words["network"]) == set(config["ports"])


@pytest.mark.skipif(shutil.which("apparmor_parser") is None, reason="apparmor is not installed")
def test_apparmor_takes_the_profile() -> None:
    done = subprocess.run(
        ["apparmor_parser", "-Q", "-K", APP / "apparmor.txt"], capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("file", sorted((FOLDER / "blueprints").iterdir()), ids=lambda f: f.stem)
def test_blueprints_use_the_inputs_that_they_have(file: Path) -> None:
    asked: set[str] = set()

    class Loader(yaml.SafeLoader):
        """Knows Home Assistant's tag."""

    def take(loader: yaml.SafeLoader, node: yaml.ScalarNode) -> str:
        asked.add(node.value)
        return node.value

    Loader.add_constructor("!input", take)
    blueprint = yaml.load(file.read_text(), Loader)
    assert blueprint["blueprint"]["domain"] == "automation"
    assert asked == set(blueprint["blueprint"]["input"])
    assert {"mode", "triggers", "actions"} <= set(blueprint)
