"""The web page's server, asked as browsers, programs and strangers ask."""

from __future__ import annotations

import contextlib
import http.client
import json
import re
import socket
import threading
import time
from base64 import b64encode
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mera_edge.config import SinkSettings, load
from mera_edge.errors import ConfigError, InputError, MeraError
from mera_edge.events import (
    Emotion,
    EmotionEvent,
    Latency,
    Modality,
    RunInfo,
    SourceStatus,
    Transcript,
    named,
    timestamp,
)
from mera_edge.service.control import Control, Switches
from mera_edge.sinks.http import HttpSink
from mera_edge.sinks.http.board import HUNG_AFTER_S, REPLAYED, Board
from mera_edge.sinks.words import without_words

TOKEN = "0123456789abcdef"
LOOPBACK = "http://127.0.0.1:0"


def event(number: int, room: str = "hall", seen: bool = True, off: bool = False) -> EmotionEvent:
    shares = np.full(7, 0.05)
    shares[1] += 0.65
    missing = Modality(state="missing", reason="nobody is speaking", reason_code="no_speech")
    face = Modality(state="used", age_ms=80, weight=1.0, probabilities=named(shares))
    return EmotionEvent(
        schema="mera-edge/event/1",
        run="run1",
        sequence=number,
        about=RunInfo(version="1", bundle="default", bundle_id="abc") if number == 0 else None,
        at=timestamp(1_800_000_000 + number / 5),
        room_id=room,
        emotion=Emotion.of(shares, 0.1) if seen else None,
        modalities={"voice": missing, "face": face if seen else missing, "text": missing},
        transcript=Transcript(text="<b>ok</b>", final=False, confidence=0.5),
        latency=Latency(
            compute_ms=12, staleness_ms=90 if seen else None, budget_ms=100, late=False
        ),
        sources={f"{room}_camera": SourceStatus(state="off" if off else "live")},
    )


class Served:
    """A sink, and who asks it."""

    def __init__(self, **how: Any) -> None:
        self.control = Control()
        self.control.use(["hall"])
        self.sink = HttpSink(SinkSettings(**{"to": LOOPBACK, **how}), self.control)
        self.port = int(self.sink.url.rpartition(":")[2].strip("/"))

    def connect(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)

    def ask(
        self, path: str, method: str = "GET", body: Any = None, **headers: str
    ) -> tuple[int, dict[str, str], str]:
        connection = self.connect()
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method, path, body, sent)
        answer = connection.getresponse()
        text = answer.read().decode()
        connection.close()
        return answer.status, {k.lower(): v for k, v in answer.getheaders()}, text

    def switch(self, body: Any, **headers: str) -> int:
        text = body if isinstance(body, str) else json.dumps(body)
        sent = {"content-type": "application/json", **headers}
        return self.ask("/api/switches", "POST", text, **sent)[0]


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    served = Served()
    served.sink.publish(event(0))
    yield served
    served.sink.close(None)


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    file = tmp_path_factory.mktemp("token") / "token"
    file.write_text(TOKEN + "\n")
    served = Served(to="http://0.0.0.0:0", token_file=str(file), hosts="Mera.lan")
    yield served
    served.sink.close(None)


def read_events(answer: http.client.HTTPResponse, wanted: int) -> list[tuple[str, dict]]:
    found, id = [], ""
    while len(found) < wanted:
        line = answer.readline().decode().rstrip("\n")
        if line.startswith("id: "):
            id = line[4:]
        elif line.startswith("data: "):
            found.append((id, json.loads(line[6:])))
    return found


def test_page_requests_nothing_else_and_has_a_strict_policy(served: Served) -> None:
    status, headers, page = served.ask("/")
    assert (status, headers["content-type"]) == (200, "text/html; charset=utf-8")
    policy = headers["content-security-policy"]
    assert policy.startswith("default-src 'none'") and "unsafe" not in policy
    assert headers["cache-control"] == "no-store"
    # Relative, so that it also works behind a proxy's folder; inline is forbidden.
    links = re.findall(r'(?:href|src)="([^"]*)"', page)
    assert {"style.css", "live.js", "icon.svg"} <= set(links)
    assert not [link for link in links if link.startswith(("/", "http"))]
    assert not re.search(r"<style|style=|<script>|\son\w+=", page)
    for link in links:
        assert served.ask(f"/{link}")[0] == 200
    script = served.ask("/live.js")[2]
    # What is said in a room is text, whatever it looks like.
    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval", script)


def test_the_state_is_that_of_the_newest_event(served: Served) -> None:
    status, _, text = served.ask("/api/state")
    state = json.loads(text)
    hall = state["rooms"]["hall"]
    assert (status, state["about"]["bundle"]) == (200, "default")
    assert EmotionEvent.model_validate(hall["event"]).emotion.label == "happy"
    assert hall["switches"] == {"paused": False, "camera": True, "microphone": True}


def test_event_stream_resumes_after_the_last_event_id() -> None:
    served = Served()
    for number in range(10):
        served.sink.publish(event(number))
    for last, first in (("run1.6", 7), (None, 9), ("other.6", 9)):
        connection = served.connect()
        headers = {} if last is None else {"Last-Event-ID": last}
        connection.request("GET", "/events", headers=headers)
        answer = connection.getresponse()
        assert answer.getheader("content-type") == "text/event-stream"
        found = read_events(answer, 10 - first)
        assert found[0][0] == f"run1.{first}"
        assert found[0][1]["sequence"] == first
        connection.close()
    connection = served.connect()
    connection.request("GET", "/events?room=attic")
    answer = connection.getresponse()
    served.sink.publish(event(10))
    served.sink.publish(event(11, "attic"))
    assert read_events(answer, 1)[0][1]["room_id"] == "attic"
    # The end of the run ends the stream, and soon.
    began = time.monotonic()
    served.sink.close(None)
    assert not answer.read().strip()
    assert time.monotonic() - began < 5


def test_sleeping_reader_delays_nobody_and_costs_no_memory() -> None:
    served = Served()
    sleeper = socket.create_connection(("127.0.0.1", served.port))
    sleeper.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    sleeper.sendall(b"GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n")
    connection = served.connect()
    connection.request("GET", "/events")
    answer = connection.getresponse()
    for number in range(4 * REPLAYED):
        began = time.monotonic()
        served.sink.publish(event(number))
        assert time.monotonic() - began < 1
    last = 0
    while last < 4 * REPLAYED - 1:
        last = read_events(answer, 1)[0][1]["sequence"]
    assert len(served.sink._board.since(0)) == REPLAYED
    sleeper.close()
    served.sink.close(None)


SLOW = {
    "nothing": b"",
    "half a head": b"GET /events HTTP/1.1\r\nHost: localhost\r\nX-A",
    "half a body": b"POST /api/switches HTTP/1.1\r\nHost: localhost\r\n"
    b"content-type: application/json\r\ncontent-length: 90\r\n\r\n{",
    "a body without an end": b"GET /events HTTP/1.1\r\nHost: localhost\r\n"
    b"transfer-encoding: chunked\r\n\r\n",
    "a second request": b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\nGET / HT",
}


@pytest.mark.parametrize("sent", SLOW.values(), ids=SLOW)
def test_a_client_that_sends_its_request_too_slowly_is_disconnected(
    served: Served, monkeypatch: pytest.MonkeyPatch, sent: bytes
) -> None:
    monkeypatch.setattr("mera_edge.sinks.http.connection.REQUEST_S", 0.5)
    # uvicorn's own, between two requests.
    limit_s = 0.5 + served.sink._server.config.timeout_keep_alive
    with socket.create_connection(("127.0.0.1", served.port)) as client:
        client.sendall(sent)
        client.settimeout(0.05)
        began = time.monotonic()
        while time.monotonic() - began < limit_s + 5:
            try:
                if not client.recv(65536):
                    break
                # A byte now and then is no request.
                client.sendall(b"x" if sent else b"")
            except TimeoutError:
                continue
            except ConnectionError:
                break
        assert time.monotonic() - began < limit_s + 3


def test_messages_are_sent_immediately(served: Served) -> None:
    connection = served.connect()
    connection.request("GET", "/events")
    connection.getresponse()
    (each, *_) = served.sink._server.server_state.connections
    accepted = each.transport.get_extra_info("socket")
    assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
    connection.close()


def test_the_request_timeout_does_not_end_an_event_stream(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mera_edge.sinks.http.connection.REQUEST_S", 0.2)
    connection = served.connect()
    connection.request("GET", "/events")
    answer = connection.getresponse()
    time.sleep(0.6)
    served.sink.publish(event(1))
    assert [found["sequence"] for _, found in read_events(answer, 2)][-1] == 1
    connection.close()


@pytest.mark.parametrize("path", ["/events", "/api/state"])
def test_a_client_that_does_not_read_is_disconnected(
    monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    monkeypatch.setattr("mera_edge.sinks.http.connection.STUCK_AFTER_S", 0.5)
    served = Served()
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1024)
        client.connect(("127.0.0.1", served.port))
        client.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode() * 50)
        deadline, number = time.monotonic() + 30, 0
        while not served.sink._server.server_state.connections:
            assert time.monotonic() < deadline
        while served.sink._server.server_state.connections:
            assert time.monotonic() < deadline
            served.sink.publish(event(number))
            number += 1
            time.sleep(0.002)
    served.sink.close(None)


def test_connections_above_the_limit_are_refused(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mera_edge.sinks.http.connection.MOST_OPEN", 2)
    deadline = time.monotonic() + 10
    while served.sink._server.server_state.connections:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    clients = [socket.create_connection(("127.0.0.1", served.port)) for _ in range(3)]
    clients[2].settimeout(10)
    with contextlib.suppress(ConnectionError):
        assert clients[2].recv(1) == b""
    for client in clients:
        client.close()


def test_an_idle_event_stream_gets_keep_alive_pings(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("mera_edge.sinks.http.stream.PING_S", 0.3)
    served = Served()
    connection = served.connect()
    connection.request("GET", "/events?room=attic")
    answer = connection.getresponse()
    over = threading.Event()

    def publish() -> None:
        number = 0
        while not over.wait(0.02):
            served.sink.publish(event(number := number + 1))

    other = threading.Thread(target=publish)
    other.start()
    try:
        lines = [answer.readline() for _ in range(6)]
    finally:
        over.set()
        other.join()
        served.sink.close(None)
    assert lines.count(b": still here\n") >= 2


def test_switches(served: Served) -> None:
    told: list[str] = []
    served.control.subscribe(lambda room, switches, by: told.append(by))
    assert served.switch({"room": "hall", "camera": False}) == 200
    assert served.control.of("hall") == Switches(camera=False)
    assert served.switch({"paused": True, "camera": True}) == 200
    assert served.control.of("hall") == Switches(paused=True)
    assert served.switch({"paused": False}) == 200
    assert served.switch({"room": "attic", "paused": True}) == 404
    for bad in ('{"paused": 1}', '{"off": true}', "[]", "null", "", "{", '"' * 9, "[" * 900):
        assert served.switch(bad) == 422, bad
    assert served.switch("x" * 2000) == 413
    assert served.switch({"paused": True}, origin="http://evil.example") == 403
    forged = {"origin": "http://evil.example", "x-forwarded-host": "evil.example"}
    assert served.switch({"paused": True}, **forged) == 403
    assert served.switch({"paused": True}, **{"content-type": "text/plain"}) == 415
    assert served.ask("/api/switches")[0] == 405
    assert served.ask("/metrics", "POST")[0] == 405
    assert served.control.of("hall") == Switches()
    own = f"http://127.0.0.1:{served.port}"
    assert served.switch({"paused": False}, origin=own) == 200
    assert told == ["HTTP 127.0.0.1"] * 3


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1", 200),
        ("localhost:1", 200),
        ("[::1]:8765", 200),
        (socket.gethostname(), 200),
        ("mera.lan", 421),
        ("evil.example", 421),
        ("127.0.0.1.evil.example", 421),
        ("", 421),
        ("localhost@evil.example", 421),
        ("a" * 9000, 421),
    ],
)
def test_a_request_under_a_foreign_name_is_refused(served: Served, host: str, status: int) -> None:
    assert served.ask("/api/state", host=host)[0] == status


def test_requests_without_a_valid_token_are_rejected(guarded: Served) -> None:
    basic = b64encode(f"me:{TOKEN}".encode()).decode()
    for login, status in (
        (f"Bearer {TOKEN}", 200),
        (f"bearer {TOKEN}", 200),
        (f"Basic {basic}", 200),
        ("", 401),
        (TOKEN, 401),
        ("Bearer", 401),
        (f"Bearer {TOKEN[:-1]}", 401),
        ("Basic !", 401),
        (f"Digest {TOKEN}", 401),
    ):
        for path in ("/", "/api/state", "/metrics", "/live.js", "/nothing"):
            found, headers, text = guarded.ask(path, authorization=login)
            assert found == (404 if path == "/nothing" and status == 200 else status), login
            assert (found == 401) == ("www-authenticate" in headers)
            assert TOKEN not in text
    assert guarded.ask("/healthz")[0] == 200
    assert guarded.ask("/api/state", host="mera.lan", authorization=f"Bearer {TOKEN}")[0] == 200
    assert guarded.switch({"paused": True}) == 401


def test_a_proxy_that_checks_its_users_is_trusted(tmp_path: Path) -> None:
    (tmp_path / "token").write_text(TOKEN)
    served = Served(token_file=str(tmp_path / "token"), trusted="127.0.0.1, 172.30.32.2")
    assert served.ask("/api/state", host="home.example")[0] == 200
    # It may say elsewhere under which name the page was asked for.
    page = {"origin": "https://home.example", "x-forwarded-host": "home.example"}
    assert served.switch({"paused": True}, **page) == 200
    assert served.switch({"paused": True}, **{**page, "origin": "https://evil.example"}) == 403
    served.sink.close(None)


@pytest.mark.parametrize(
    ("to", "token", "words"),
    [
        ("http://0.0.0.0:0", None, "is reachable from other machines.*token_file"),
        ("http://127.0.0.1:0", "short", "at least 16"),
        ("http://127.0.0.1:0", "ä" * 20, "printable ASCII"),
        ("http://me:secret@127.0.0.1:0", None, "user or a password"),
        ("http://127.0.0.1:0/page", None, "contains a path"),
        ("http://127.0.0.1:99999", None, "8765"),
        ("http://[::1:0", None, "8765"),
        ("http://no.such.host.invalid:0", None, "unknown host"),
        ("http://192.0.2.1:0", None, "it sends nothing"),
    ],
)
def test_an_address_that_cannot_be_used(
    to: str, token: str | None, words: str, tmp_path: Path
) -> None:
    file = tmp_path / "token"
    file.write_text(token or "")
    target = SinkSettings(to=to, token_file=str(file) if token else None)
    with pytest.raises(MeraError, match=f"(?s){words}") as error:
        HttpSink(target, Control())
    assert "secret" not in str(error.value)


def test_a_missing_token_file_is_an_error() -> None:
    with pytest.raises(ConfigError, match=r"token_file no\.token cannot be read"):
        HttpSink(SinkSettings(to=LOOPBACK, token_file="no.token"), Control())


def test_a_port_that_is_taken(served: Served) -> None:
    with pytest.raises(InputError, match=rf"port {served.port} is not available.*choose another"):
        HttpSink(SinkSettings(to=f"http://127.0.0.1:{served.port}"), Control())


def test_health() -> None:
    now_s, control = 0.0, Control()
    control.use(["hall", "attic"])
    board = Board(control, lambda: now_s)
    assert (board.healthy, board.ready) == (True, False)  # models are loading
    board.publish(event(0))
    assert not board.ready
    board.publish(event(1, "attic"))
    assert (board.healthy, board.ready) == (True, True)
    now_s = HUNG_AFTER_S + 1
    assert not board.healthy
    board.publish(event(2))
    assert board.healthy


def test_history_is_bounded() -> None:
    now_s, control = 0.0, Control()
    control.use(["hall"])
    board = Board(control, lambda: now_s)
    for number in range(1500):
        now_s = float(number)
        board.publish(event(number))
    state = board.state()["rooms"]["hall"]
    assert len(state["history"]) == 600
    assert state["history"][-1]["s"] > -2
    assert board.after("run1.3") == 1499


def test_transcript_is_published_only_as_the_words_setting_allows() -> None:
    said = event(1)
    over = said.model_copy(
        update={"transcript": said.transcript.model_copy(update={"final": True})}
    )
    told = {
        words: [bool(without_words(each, words).transcript.text) for each in (said, over)]
        for words in ("off", "final", "all")
    }
    assert told == {"off": [False, False], "final": [False, True], "all": [True, True]}
    assert '"withheld":true' in without_words(said, "off").to_json()
    settings = load(None, {"sink": ["-", "a.jsonl", {"to": "b.jsonl", "transcript": "all"}]}, {})
    assert [sink.transcript for sink in settings.sinks] == ["all", "off", "all"]


def test_metrics_keep_to_the_conventions() -> None:
    served = Served()
    for number in range(3):
        served.sink.publish(event(number))
    text = served.ask("/metrics")[2]
    samples = dict(line.rsplit(" ", 1) for line in text.splitlines() if line[0] != "#")
    names = {re.match(r"\w+", sample)[0] for sample in samples}
    assert all(name.startswith(("mera_edge_", "process_")) for name in names)
    assert not [name for name in names if re.search(r"_(ms|percent|kb)$", name)]
    assert samples['mera_edge_ticks_total{room="hall"}'] == "3.0"
    assert samples['mera_edge_tick_duration_seconds_bucket{le="0.02",room="hall"}'] == "3.0"
    assert samples['mera_edge_emotion_ratio{emotion="happy",room="hall"}'] == "0.7"
    assert samples['mera_edge_source_up{room="hall",source="hall_camera"}'] == "1.0"
    assert 'bundle="default"' in text
    assert "<b>" not in text  # no words
    served.sink.publish(event(3, seen=False, off=True))
    text = served.ask("/metrics")[2]
    # A value that stays would pass for one of now.
    assert "emotion_ratio{" not in text and "staleness_seconds{" not in text
    assert 'mera_edge_source_off{room="hall",source="hall_camera"} 1.0' in text
    served.sink.close(None)


def test_too_many_readers_get_an_error(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mera_edge.sinks.http.stream.READERS", 1)
    first = served.connect()
    first.request("GET", "/events")
    read_events(first.getresponse(), 1)
    assert served.ask("/events")[0] == 503
    first.close()
    deadline = time.monotonic() + 20
    while served.sink._bell.readers:
        assert time.monotonic() < deadline
        time.sleep(0.05)


@settings(max_examples=60)
@given(
    st.sampled_from(["GET", "POST", "HEAD", "PUT", "OPTIONS", "TRACE", "\x00"]),
    st.sampled_from(["/", "/api/switches", "/api/state", "/events", "/../../etc/passwd", "//x"]),
    st.text(alphabet=st.characters(min_codepoint=32, max_codepoint=255), max_size=60),
    st.binary(max_size=200),
)
def test_any_request_is_answered_or_disconnected(
    served: Served, method: str, path: str, header: str, body: bytes
) -> None:
    head = f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nX: {header}\r\nConnection: close\r\n"
    with socket.create_connection(("127.0.0.1", served.port), timeout=20) as connection:
        connection.sendall(head.encode("latin-1") + b"\r\n" + body)
        answer = connection.recv(4096)
    assert not answer or re.match(rb"HTTP/1\.1 (200|4\d\d|503)", answer), answer
    assert b"Traceback" not in answer and b"root:" not in answer
    assert served.ask("/style.css")[0] == 200


def test_a_client_that_disconnects_mid_request_is_not_logged_as_an_error(
    served: Served, caplog: pytest.LogCaptureFixture
) -> None:
    head = (
        b"POST /api/switches HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n"
        b"Content-Type: application/json\r\n\r\n{"
    )
    chunked = (
        b"GET /api/state HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"
    )
    for _ in range(20):
        with socket.create_connection(("127.0.0.1", served.port), timeout=20) as connection:
            connection.sendall(chunked)
            assert connection.recv(4096).startswith(b"HTTP/1.1 400")
    for count in (10, len(head) - 1, len(head)):
        with socket.create_connection(("127.0.0.1", served.port), timeout=20) as connection:
            connection.sendall(head[:count])
    stream = socket.create_connection(("127.0.0.1", served.port))
    stream.sendall(b"GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n")
    stream.close()
    for number in range(5):
        served.sink.publish(event(100 + number))
        assert served.ask("/style.css")[0] == 200
    wait(lambda: not served.sink._bell.readers)
    assert not caplog.records


def test_internal_server_errors_are_logged(
    served: Served, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(served.sink._metrics, "text", lambda: 1 / 0)
    status, _, text = served.ask("/metrics")
    assert (status, text) == (500, "Internal Server Error")
    assert "ZeroDivisionError" in caplog.text


def wait(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_server_closes_while_readers_are_connected() -> None:
    served = Served()
    connections = [served.connect() for _ in range(5)]
    for connection in connections:
        connection.request("GET", "/events")
        connection.getresponse()
    wait(lambda: served.sink._bell.readers == 5)
    ending = threading.Thread(target=served.sink.close, args=[None])
    ending.start()
    ending.join(5)
    assert not ending.is_alive()
    assert not served.sink._thread.is_alive()
