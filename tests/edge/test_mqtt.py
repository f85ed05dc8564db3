"""The MQTT sink, with Debian's own broker: what is now is known, and nothing of what was."""

from __future__ import annotations

import json
import re
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jinja2
import mosquitto
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mosquitto import Listener, Mosquitto, free_port

from mera_edge.config import Settings, SinkSettings
from mera_edge.doctor.environment import sinks
from mera_edge.errors import ConfigError, InputError, MeraError, MissingExtra, Unreachable
from mera_edge.events import (
    Emotion,
    EmotionEvent,
    Latency,
    Modality,
    Moment,
    RunInfo,
    SourceStatus,
    Transcript,
)
from mera_edge.labels import EMOTIONS
from mera_edge.service.control import Control
from mera_edge.sinks.factory import open_sink
from mera_edge.sinks.mqtt import MqttSink
from mera_edge.sinks.mqtt.address import Address, identifier

needs_broker = pytest.mark.skipif(mosquitto.FOUND is None, reason="mosquitto is not installed")
BASE = "mera-edge/attic"
STATE = f"{BASE}/hall/state"


def event(
    label: str | None, words: str = "", camera: str = "live", lasts_s: float = 0.0
) -> EmotionEvent:
    shares = np.full(7, 0.05)
    shares[1] += 0.65
    missing = Modality(state="missing", reason="nobody is speaking", reason_code="not_speaking")
    return EmotionEvent(
        schema="mera-edge/event/1",
        about=RunInfo(version="0.1.0", bundle="default", bundle_id="1"),
        at="2026-11-30T12:00:00.000Z",
        room="Hall",
        room_id="hall",
        emotion=label and Emotion.of(shares, 0.321),
        moment=label
        and Moment(
            label=label, confidence=0.784, since="2026-11-30T11:59:00.000Z", lasts_s=lasts_s
        ),
        why="only the face (70% happy, 0.1 s old)",
        modalities={"voice": missing, "face": Modality(state="used", age_ms=80), "text": missing},
        transcript=Transcript(text=words, final=True, confidence=0.5),
        latency=Latency(compute_ms=12.4, staleness_ms=90, budget_ms=100, late=False),
        sources={
            "hall_camera": SourceStatus(state=camera),
            "hall_microphone": SourceStatus(state="live"),
        },
    )


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    with mosquitto.broker(tmp_path) as running:
        yield running


@pytest.fixture
def heard(broker: Mosquitto) -> Iterator[Listener]:
    with mosquitto.listener(broker.port) as listens:
        yield listens


def sink(port: int, switchboard: Control | None = None, **settings: Any) -> MqttSink:
    to = SinkSettings(to=f"mqtt://127.0.0.1:{port}", node="attic", **settings)
    made = open_sink(to, switchboard)
    assert isinstance(made, MqttSink)
    return made


def rooms() -> Control:
    control = Control()
    control.use(["hall"])
    return control


# What Home Assistant documents: keys of every entity, and of each platform, as of 2026.
ENTITY = {
    "platform", "unique_id", "default_entity_id", "name", "icon", "entity_category",
    "enabled_by_default", "json_attributes_topic", "json_attributes_template", "state_topic",
    "value_template", "device_class", "qos", "availability",
}  # fmt: skip
PLATFORMS = {
    "sensor": {"expire_after", "options", "state_class", "suggested_display_precision",
               "unit_of_measurement"},
    "binary_sensor": {"expire_after", "payload_on", "payload_off"},
    "switch": {"command_topic"},
    "event": {"event_types"},
}  # fmt: skip
CLASSES = {
    "sensor": {"enum", "duration"},
    "binary_sensor": {"occupancy", "problem", "running"},
    "switch": set(),
    "event": set(),
}


def check(topic: str, payload: dict[str, Any], states: dict[str, str]) -> None:
    """Compare a discovery with what is documented, and its templates with what is published."""
    assert re.fullmatch(r"homeassistant/device/[a-zA-Z0-9_-]+/config", topic)
    assert set(payload) <= {
        "device", "origin", "availability", "state_topic", "qos", "components"
    }  # fmt: skip
    assert payload["device"]["identifiers"] and payload["origin"]["name"]
    assert set(payload["device"]) <= {
        "identifiers", "name", "manufacturer", "model", "sw_version", "via_device",
        "suggested_area", "configuration_url",
    }  # fmt: skip
    for component in payload["components"].values():
        platform = component["platform"]
        assert set(component) <= ENTITY | PLATFORMS[platform]
        assert component["unique_id"] and component["name"]
        assert component["default_entity_id"].startswith(f"{platform}.")
        assert re.fullmatch(r"[a-z_]+\.[a-z0-9_]+", component["default_entity_id"])
        assert component.get("device_class") in {None, *CLASSES[platform]}
        wanted = "config" if platform == "switch" else "diagnostic"
        assert component.get("entity_category", wanted) == wanted
        if "options" in component:
            assert component["device_class"] == "enum"
            assert not {"state_class", "unit_of_measurement"} & set(component)
        if platform == "event":
            assert component["event_types"]
            continue
        source = component.get("state_topic", payload.get("state_topic"))
        said = states[source]
        if "value_template" in component:
            said = rendered(component["value_template"], said)
        if platform in ("binary_sensor", "switch"):
            on, off = component.get("payload_on", "ON"), component.get("payload_off", "OFF")
            assert said in (on, off)
        if "options" in component:
            assert said in component["options"]
        if "state_class" in component:
            float(said)
        if "json_attributes_template" in component:
            json.loads(rendered(component["json_attributes_template"], states[source]))


def rendered(template: str, state: str) -> str:
    undefined = jinja2.StrictUndefined
    environment = jinja2.Environment(undefined=undefined)
    return environment.from_string(template).render(value_json=json.loads(state))


def publish_until(to: MqttSink, what: EmotionEvent, holds: Callable[[], bool]) -> None:
    """Publish an event again and again, for ten seconds at the most."""
    deadline = time.monotonic() + 10
    while not holds():
        assert time.monotonic() < deadline
        to.publish(what)
        time.sleep(0.02)


@needs_broker
def test_home_assistant_discovers_the_box_and_its_rooms(heard: Listener, broker: Mosquitto) -> None:
    to = sink(broker.port, rooms(), transcript="final")
    to.publish(event("happy", "what a day"))
    state = heard.wait(STATE, emotion="happy")
    assert state["confidence"] == 78 and state["valence"] == 0.32
    assert state["sources"] == {"camera": "live", "microphone": "live"}
    assert state["modalities"] == {"voice": "not_speaking", "face": "used", "text": "not_speaking"}
    heard.wait_text(f"{BASE}/hall/words", "what a day")
    found = {
        topic: json.loads(text)
        for topic, text in heard.newest.items()
        if topic.startswith("homeassistant/")
    }
    states = {topic: text for topic, text in heard.newest.items() if topic.startswith(BASE)}
    for topic, payload in found.items():
        check(topic, payload, states)
    box, room = (
        found[f"homeassistant/device/mera_edge_attic{part}/config"] for part in ("", "_hall")
    )
    assert room["device"]["via_device"] in box["device"]["identifiers"]
    assert room["device"]["suggested_area"] == "Hall" and box["device"]["model"] == "default"
    parts = room["components"]
    assert set(parts) == {
        "emotion", "valence", "confidence", "presence", "changed", "age", "compute", "voice",
        "text", "face", "camera_problem", "microphone_problem", "pause", "camera", "microphone",
        "words",
    }  # fmt: skip
    assert parts["emotion"]["options"] == [*EMOTIONS, "unclear"]
    assert all(
        part["expire_after"] == 30
        for part in parts.values()
        if part["platform"] in ("sensor", "binary_sensor") and part is not parts["words"]
    )
    to.close(None)
    heard.wait_text(f"{BASE}/status", "offline")


@needs_broker
def test_states_come_at_changes_and_else_once_a_second(heard: Listener, broker: Mosquitto) -> None:
    to = sink(broker.port)
    for label in [*["happy"] * 5, *["sad"] * 5]:
        to.publish(event(label, "nobody may know"))
    to.publish(event("sad", camera="gone"))
    to.publish(event(None))
    heard.wait(STATE, presence="OFF")
    told = [(json.loads(text), message) for _, topic, text, message in heard.all if topic == STATE]
    assert [state["emotion"] for state, _ in told] == ["happy", "sad", "sad", None]
    # A retained state dies with its moment, whatever becomes of us.
    assert all(0 < message.properties.MessageExpiryInterval <= 30 for _, message in told)
    changes = [json.loads(text) for _, topic, text, _ in heard.all if topic == f"{BASE}/hall/event"]
    assert [(each["before"], each["event_type"]) for each in changes] == [
        (None, "happy"), ("happy", "sad"),
    ]  # fmt: skip
    assert not any("nobody may know" in text for _, _, text, _ in heard.all)
    assert heard.newest[STATE] and "words" not in "".join(heard.newest)
    with mosquitto.listener(broker.port) as later:
        later.wait(STATE, presence="OFF")
        assert f"{BASE}/hall/event" not in later.newest, "an event is not retained"
    to.close(None)


@needs_broker
def test_unchanged_mood_sends_no_change_event(heard: Listener, broker: Mosquitto) -> None:
    """Neither for a sink that starts late, nor when Home Assistant asks for everything again."""
    to = sink(broker.port)
    to.publish(event("happy", lasts_s=60))
    to.publish(event("sad"))
    heard.wait(f"{BASE}/hall/event", before="happy", event_type="sad")
    heard.send("homeassistant/status", "online")
    again = event("sad", lasts_s=1)
    publish_until(to, again, lambda: sum(topic == STATE for _, topic, *_ in heard.all) >= 4)
    assert sum(topic == f"{BASE}/hall/event" for _, topic, *_ in heard.all) == 1
    to.close(None)


@needs_broker
def test_after_an_outage_only_the_current_state_is_published(
    tmp_path: Path, broker: Mosquitto
) -> None:
    to = sink(broker.port)
    to.publish(event("happy"))
    for _ in range(3):
        broker.kill()
        deadline = time.monotonic() + 10
        with pytest.raises(Unreachable, match="refuses the connection: start it, or check"):
            while time.monotonic() < deadline:
                try:
                    to.publish(event("fear"))
                except Unreachable as error:
                    # The first to notice may be the message that was under way.
                    if "is no longer connected" not in str(error):
                        raise
                time.sleep(0.02)
        broker.start()
        returned = time.monotonic()
        with mosquitto.listener(broker.port) as heard:
            while STATE not in heard.newest and time.monotonic() < returned + 10:
                try:
                    to.publish(event("sad"))
                except Unreachable:
                    time.sleep(0.02)
            heard.wait(STATE, emotion="sad")
            heard.wait_text(f"{BASE}/status", "online")
            at = {topic: when for when, topic, *_ in heard.all}
            assert at[STATE] - returned < 2.0
            # What was lost may be what the new moment followed upon ("before"), but is not told.
            told = [json.loads(text) for _, topic, text, _ in heard.all if f"{BASE}/hall/" in topic]
            labels = {said.get(key) for said in told for key in ("emotion", "event_type")}
            assert "sad" in labels and "fear" not in labels
    to.close(None)


@needs_broker
def test_discovery_is_repeated_when_home_assistant_starts(
    heard: Listener, broker: Mosquitto
) -> None:
    to = sink(broker.port)
    to.publish(event("happy"))
    topic = "homeassistant/device/mera_edge_attic_hall/config"
    heard.wait(topic)
    heard.send("homeassistant/status", "online")
    publish_until(to, event("happy"), lambda: sum(each == topic for _, each, *_ in heard.all) >= 2)
    to.close(None)


@needs_broker
def test_switches_follow_commands_and_nothing_else(heard: Listener, broker: Mosquitto) -> None:
    control, told = rooms(), []
    control.subscribe(lambda room, switches, by: told.append(by))
    heard.send(f"{BASE}/hall/pause/set", "ON", retain=True)
    to = sink(broker.port, control)
    to.publish(event("happy"))
    assert heard.wait(STATE, pause="OFF", camera="ON", microphone="ON")
    for command in (
        *("hall/pause/set", "hall/camera/set", "study/pause/set", "hall/sink/set"),
        *("hall/paused/set", "+/pause/set/x", "hall/camera/set/"),
    ):
        if "+" not in command:
            for payload in (b"on", b"", b"\xff", b"ON;reboot", b"TRUE", b"x" * 100_000):
                heard.send(f"{BASE}/{command}", payload)
    heard.send(f"{BASE}/hall/microphone/set", "OFF")
    deadline = time.monotonic() + 10
    while control.of("hall").microphone:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert told == [f"MQTT 127.0.0.1:{broker.port}"]
    # The retained command and all that were no commands have changed nothing.
    assert (control.of("hall").paused, control.of("hall").camera) == (False, True)
    assert set(control.rooms) == {"hall"}
    to.publish(event("happy"))
    heard.wait(STATE, microphone="OFF")
    to.close(None)


@needs_broker
def test_broker_publishes_the_last_will_after_a_crash(heard: Listener, broker: Mosquitto) -> None:
    code = (
        "import sys, time; from mera_edge.config import SinkSettings;"
        "from mera_edge.events import EmotionEvent; from mera_edge.sinks.mqtt import MqttSink;"
        f"to = MqttSink(SinkSettings(to='mqtt://127.0.0.1:{broker.port}', node='attic'));"
        "to.publish(EmotionEvent.from_json(sys.argv[1])); time.sleep(60)"
    )
    process = subprocess.Popen([sys.executable, "-c", code, event("sad").to_json()])
    try:
        heard.wait(STATE, emotion="sad")
        heard.wait_text(f"{BASE}/status", "online")
    finally:
        process.kill()
        process.wait()
    heard.wait_text(f"{BASE}/status", "offline")


@needs_broker
def test_late_last_will_of_an_earlier_connection_is_corrected(
    heard: Listener, broker: Mosquitto
) -> None:
    to = sink(broker.port)
    to.publish(event("happy"))
    heard.send(f"{BASE}/status", "offline", retain=True)
    publish_until(to, event("happy"), lambda: heard.newest[f"{BASE}/status"] == "online")
    to.close(None)


@needs_broker
def test_second_machine_of_the_same_name_is_reported(broker: Mosquitto) -> None:
    first, second = sink(broker.port), sink(broker.port)
    first.publish(event("happy"))
    second.publish(event("happy"))
    deadline = time.monotonic() + 10
    with pytest.raises(InputError, match=r"another mera-edge uses the name attic: .*\?node="):
        while time.monotonic() < deadline:
            first.publish(event("happy"))
            time.sleep(0.02)
    second.close(None)
    first.close(None)


@needs_broker
def test_users_passwords_and_permissions(tmp_path: Path) -> None:
    users, secret, acl = tmp_path / "users", tmp_path / "password", tmp_path / "acl"
    users.write_text("")
    secret.write_text("p@ss w/ord\n")
    for user in ("cam", "guest"):
        subprocess.run(["mosquitto_passwd", "-b", users, user, "p@ss w/ord"], check=True)
    acl.write_text("user cam\ntopic readwrite #\nuser guest\ntopic read #\n")
    lines = ("allow_anonymous false", f"password_file {users}", f"acl_file {acl}")
    with mosquitto.broker(tmp_path, *lines) as broker:
        host = f"127.0.0.1:{broker.port}"

        def refused(to: str, **settings: Any) -> str:
            made = MqttSink(SinkSettings(to=to, node="attic", **settings))
            with pytest.raises(InputError) as error:
                made.publish(event("happy"))
            made.close(None)
            return str(error.value)

        wrong = tmp_path / "wrong"
        wrong.write_text("s3cr3t")
        said = refused(f"mqtt://cam@{host}", password_file=str(wrong))
        assert f"broker {host} refuses the user cam" in said and "password_file" in said
        assert "s3cr3t" not in said
        assert "refuses who gives no user" in refused(f"mqtt://{host}")
        said = refused(f"mqtt://guest@{host}", password_file=str(secret))
        assert "rejects publishing" in said and "permit mera-edge/attic/#" in said
        made = MqttSink(
            SinkSettings(to=f"mqtt://cam@{host}/house", node="attic", password_file=str(secret))
        )
        with mosquitto.listener(broker.port, user="cam", password="p@ss w/ord") as heard:
            made.publish(event("happy"))
            heard.wait("house/attic/hall/state", emotion="happy")
        made.close(None)


@needs_broker
def test_certificates_are_checked(tmp_path: Path) -> None:
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
         "-nodes", "-keyout", key, "-out", certificate, "-subj", "/CN=localhost", "-days", "2",
         "-addext", "subjectAltName=DNS:localhost"],
        check=True, capture_output=True,
    )  # fmt: skip
    lines = ("allow_anonymous true", f"certfile {certificate}", f"keyfile {key}")
    with mosquitto.broker(tmp_path, *lines) as broker:

        def said(to: str, **settings: Any) -> str:
            made = MqttSink(SinkSettings(to=to, node="attic", **settings))
            try:
                made.publish(event("happy"))
            except MeraError as error:
                return str(error)
            finally:
                made.close(None)
            return ""

        ca = str(certificate)
        assert said(f"mqtts://localhost:{broker.port}", ca_file=ca) == ""
        other = said(f"mqtts://127.0.0.1:{broker.port}", ca_file=ca)
        assert "is for another name: write the name that is in the certificate" in other
        assert "is not trusted" in said(f"mqtts://localhost:{broker.port}")
        assert "speaks TLS (mqtts://)" in said(f"mqtt://localhost:{broker.port}")
        assert "ca_file /nowhere cannot be used" in said(
            f"mqtts://localhost:{broker.port}", ca_file="/nowhere"
        )
    with mosquitto.broker(tmp_path) as plain:
        assert "TLS" in said(f"mqtts://localhost:{plain.port}", ca_file=ca)


def test_a_broker_that_is_not_there_is_waited_for() -> None:
    for host, why in (
        (f"127.0.0.1:{free_port()}", "refuses the connection: start it"),
        ("nowhere.invalid", "the host name cannot be resolved: check the name"),
    ):
        made = MqttSink(SinkSettings(to=f"mqtt://{host}"))
        with pytest.raises(Unreachable, match=why):
            made.publish(event("happy"))
        made.close(None)
    with socket.create_server(("127.0.0.1", 0)) as mute:
        made = MqttSink(SinkSettings(to=f"mqtt://127.0.0.1:{mute.getsockname()[1]}"))
        with pytest.raises(Unreachable, match="does not answer: check the port"):
            made.publish(event("happy"))
        made.close(None)


@pytest.mark.parametrize(
    ("to", "why"),
    [
        ("mqtt://host/a/#", "no wildcards"),
        ("mqtt://host/+/b", "no wildcards"),
        ("mqtt://host/a%2Bb", "no wildcards"),
        ("mqtt://host/$SYS", "without \\$"),
        ("mqtt://host/a%00b", "printable"),
        ("mqtt://host/" + "a" * 300, "200 long"),
        ("mqtt://", "has no host"),
        ("mqtt://:s3cr3t@host", "a password needs a user"),
        ("mqtt://host:port/a", "cannot be used"),
        ("mqtt://host:99999", "cannot be used"),
        ("mqtt://[::1/a", "cannot be used"),
    ],
)
def test_an_invalid_broker_address_is_refused(to: str, why: str) -> None:
    with pytest.raises(InputError, match=why) as error:
        open_sink(SinkSettings(to=to), rooms())
    assert "write mqtt://USER@HOST:PORT/PREFIX" in str(error.value)
    assert "s3cr3t" not in str(error.value)


def test_a_password_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="password_file nowhere cannot be read"):
        open_sink(SinkSettings(to="mqtt://me@host", password_file="nowhere"), rooms())
    with pytest.raises(InputError, match="ca_file is for mqtts"):
        open_sink(SinkSettings(to="mqtt://host", ca_file="a.pem"), rooms())


def test_a_broker_address_is_parsed_with_its_defaults() -> None:
    plain = Address.of(SinkSettings(to="mqtt://me:p%40ss@broker/a/b/", node="n"))
    assert (plain.host, plain.port, plain.tls, plain.base) == ("broker", 1883, False, "a/b/n")
    assert (plain.user, plain.secret) == ("me", "p@ss") and "p@ss" not in repr(plain)
    tls = Address.of(SinkSettings(to="MQTTS://[::1]"))
    assert (tls.host, tls.port, tls.tls, tls.prefix) == ("::1", 8883, True, "mera-edge")
    assert re.fullmatch("[0-9a-f]{8}", tls.node)


@given(st.text(min_size=1), st.text(min_size=1))
def test_rooms_have_ids_that_topics_take_and_tell_them_apart(one: str, two: str) -> None:
    assert re.fullmatch(r"[A-Za-z0-9_-]{1,45}", identifier(one))
    assert one == two or identifier(one) != identifier(two)


def test_without_paho_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "paho.mqtt.client", None)
    with pytest.raises(MissingExtra, match=r"pip install 'mera-edge\[mqtt\]'"):
        open_sink(SinkSettings(to="mqtt://host"), rooms())


@needs_broker
def test_doctor_checks_the_broker_without_publishing_anything(
    heard: Listener, broker: Mosquitto
) -> None:
    good, bad = f"127.0.0.1:{broker.port}", f"127.0.0.1:{free_port()}"
    found = {each.what: each for each in sinks(Settings(sink=(f"mqtt://{good}", f"mqtt://{bad}")))}
    assert found[f"sink mqtt://{good}"].state == "ok"
    assert found[f"sink mqtt://{bad}"].found == f"broker {bad} refuses the connection"
    assert not heard.newest
