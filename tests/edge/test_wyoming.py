"""Speech to text by the Wyoming protocol, asked by the protocol's own client."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import wave
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import numpy as np
import pytest
import soxr
from wyoming.asr import Transcribe, Transcript, TranscriptChunk, TranscriptStart, TranscriptStop
from wyoming.audio import AudioChunk, AudioStart, AudioStop
from wyoming.client import AsyncTcpClient
from wyoming.error import Error
from wyoming.event import Event
from wyoming.info import AsrModel, AsrProgram, Attribution, Describe, Info
from wyoming.ping import Ping, Pong
from wyoming.server import AsyncEventHandler, AsyncTcpServer
from zeroconf import ServiceBrowser, ServiceStateChange, Zeroconf

from mera_edge.asr.factory import open_recognizer
from mera_edge.asr.transcribe import transcribe_file
from mera_edge.bundle import Bundle
from mera_edge.config import RECOGNITION, Settings, WyomingSettings
from mera_edge.doctor.environment import wyoming as wyoming_check
from mera_edge.errors import InputError, MissingExtra
from mera_edge.labels import EMOTIONS
from mera_edge.sample import CLIP
from mera_edge.service.wyoming import announcement, proxy
from mera_edge.service.wyoming import connection as limits
from mera_edge.service.wyoming.proxy import ProxyConnection
from mera_edge.service.wyoming.recognizer import RecognizerConnection, RecognizerPool, terms
from mera_edge.service.wyoming.server import serve
from mera_edge.service.wyoming.utterance_emotion import UtteranceEmotion
from mera_edge.sources.media import MediaFile

Answer = TypeVar("Answer")
RATE = 16_000


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    opened = Bundle.open()
    UtteranceEmotion(opened).warm_up()
    return opened


@pytest.fixture(scope="module")
def speech() -> bytes:
    """Four seconds of the sample, as a microphone of Home Assistant gives them."""
    source = MediaFile(CLIP, video=False)
    source.open()
    sounds = [sound.samples for sound in source.poll(4.0).audio]
    source.close()
    return (np.concatenate(sounds)[: 4 * RATE] * 32767).astype("<i2").tobytes()


@pytest.fixture(scope="module")
def worker() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(1) as thread:
        yield thread


@pytest.fixture(scope="module")
def models(bundle: Bundle, worker: ThreadPoolExecutor) -> RecognizerPool:
    return RecognizerPool(bundle, RECOGNITION, worker)


def conversation(
    make: Callable[..., AsyncEventHandler],
    talk: Callable[[AsyncTcpClient], Awaitable[Answer]],
) -> tuple[Answer, list[str]]:
    """Serve connections and talk to one; return what came of it and what the operator was told."""
    said: list[str] = []

    async def run() -> Answer:
        port = free_port()
        server = AsyncTcpServer("127.0.0.1", port)
        await server.start(lambda reader, writer: make(reader, writer, said.append))
        client = AsyncTcpClient("127.0.0.1", port, read_timeout=60)
        try:
            await client.connect()
            return await talk(client)
        finally:
            # Who closes with bytes unread resets the connection.
            with contextlib.suppress(ConnectionResetError):
                await client.disconnect()
            await server.stop()

    return asyncio.run(run()), said


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


async def speak(
    client: AsyncTcpClient, sound: bytes, rate: int = RATE, channels: int = 1, stop: bool = True
) -> None:
    await client.write_event(AudioStart(rate, 2, channels).event())
    for start in range(0, len(sound), 4096):
        await client.write_event(AudioChunk(rate, 2, channels, sound[start : start + 4096]).event())
    if stop:
        await client.write_event(AudioStop().event())


async def until(client: AsyncTcpClient, *kinds: Any) -> list[Event]:
    """Read until an event of one of these kinds, or the end."""
    events = []
    while (event := await client.read_event()) is not None:
        events.append(event)
        if any(kind.is_type(event.type) for kind in kinds):
            break
    return events


def test_info_describes_the_models(models: RecognizerPool) -> None:
    async def talk(client: AsyncTcpClient) -> tuple[Info, Pong]:
        await client.write_event(Describe().event())
        (info,) = await until(client, Info)
        await client.write_event(Ping("hello").event())
        (pong,) = await until(client, Pong)
        return Info.from_event(info), Pong.from_event(pong)

    (info, pong), _ = conversation(lambda *c: RecognizerConnection(models, *c), talk)
    (program,) = info.asr
    assert program.installed and program.supports_transcript_streaming
    assert not program.prefers_noise_reduction_enabled
    assert [model.languages for model in program.models] == [["en"]]
    assert pong.text == "hello"


def test_words_stream_and_the_transcript_tells_how_they_were_said(
    models: RecognizerPool, bundle: Bundle, speech: bytes, tmp_path: Path
) -> None:
    async def talk(client: AsyncTcpClient) -> list[Event]:
        await client.write_event(Transcribe(language="en").event())
        await speak(client, speech)
        return await until(client, TranscriptStop)

    events, said = conversation(lambda *c: RecognizerConnection(models, *c), talk)
    assert TranscriptStart.is_type(events[0].type) and not said
    transcript = Transcript.from_event(events[-2])
    streamed = [event.data["text"] for event in events if TranscriptChunk.is_type(event.type)]
    assert transcript.text and "".join(streamed).strip() == transcript.text
    file = tmp_path / "speech.wav"
    with wave.open(str(file), "wb") as written:
        written.setparams((1, 2, RATE, 0, "NONE", ""))
        written.writeframes(speech)
    assert transcript.text == transcribe_file(open_recognizer(bundle), file).text
    assert transcript.context is not None
    assert transcript.context["emotion"] in EMOTIONS
    assert 0 < transcript.context["confidence"] <= 1 and -1 <= transcript.context["valence"] <= 1
    assert "voice" in transcript.context["why"] and "words" in transcript.context["why"]


def test_every_connection_starts_anew_in_whatever_format(
    models: RecognizerPool, speech: bytes
) -> None:
    samples = np.frombuffer(speech, "<i2")
    stereo = samples.repeat(2).tobytes()
    studio = soxr.resample(samples.astype(np.float32), RATE, 48_000).astype("<i2").tobytes()
    texts = []
    for sound, rate, channels in ((speech, RATE, 1), (stereo, RATE, 2), (studio, 48_000, 1)):

        async def talk(
            client: AsyncTcpClient, sound: bytes = sound, rate: int = rate, channels: int = channels
        ) -> Transcript:
            await speak(client, sound, rate, channels)
            return Transcript.from_event((await until(client, Transcript))[-1])

        transcript, _ = conversation(lambda *c: RecognizerConnection(models, *c), talk)
        texts.append(transcript.text)
    assert texts[0] == texts[1]
    assert set(texts[0].split()) & set(texts[2].split())


def test_names_and_terms_of_a_request_become_hot_words(models: RecognizerPool) -> None:
    asked = Transcribe(
        transcript_names=["Zaphod", " "],
        transcript_terms=["towel", "x" * 500, 3],  # type: ignore[list-item]
    )
    assert terms(asked) == ("Zaphod", "towel")
    assert len(terms(Transcribe(transcript_terms=["word"] * 9999))) == 100
    models.take(terms(asked))


class Parrot(AsyncEventHandler):
    """Another recognizer, which always understands the same when the sound is over."""

    thinks: ClassVar[Callable[[], Any]]
    TEXT = "I am so glad — that you're HERE. "

    async def handle_event(self, event: Event) -> bool:
        if Describe.is_type(event.type):
            source = Attribution(name="parrot", url="")
            model = AsrModel("p", source, True, None, None, ["en", "de"])
            program = AsrProgram("parrot", source, True, None, None, [model])
            await self.write_event(Info(asr=[program]).event())
        elif AudioStop.is_type(event.type):
            await asyncio.get_running_loop().run_in_executor(None, Parrot.thinks)
            answer = Transcript(self.TEXT, context={"speaker": 3}, language="en")
            await self.write_event(answer.event())
        return True


@pytest.fixture
def parrot(worker: ThreadPoolExecutor) -> Iterator[str]:
    """Run another recognizer in a thread of its own. It takes longer than our models do."""
    Parrot.thinks = lambda: worker.submit(lambda: None).result()
    port, loop, ready = free_port(), asyncio.new_event_loop(), threading.Event()

    async def start() -> AsyncTcpServer:
        server = AsyncTcpServer("127.0.0.1", port)
        await server.start(Parrot)
        ready.set()
        return server

    def run() -> None:
        server = loop.run_until_complete(start())
        loop.run_forever()
        loop.run_until_complete(server.stop())
        loop.close()

    thread = threading.Thread(target=run)
    thread.start()
    ready.wait(10)
    yield f"tcp://127.0.0.1:{port}"
    loop.call_soon_threadsafe(loop.stop)
    thread.join()


def test_a_proxy_adds_the_emotion_and_changes_nothing(
    bundle: Bundle, worker: ThreadPoolExecutor, speech: bytes, parrot: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(proxy, "LATEST_S", 20.0)  # on a machine that others use too

    async def talk(client: AsyncTcpClient) -> tuple[Event, Event]:
        await client.write_event(Describe().event())
        (info,) = await until(client, Info)
        await speak(client, speech)
        return info, (await until(client, Transcript))[-1]

    def make(*made: Any) -> ProxyConnection:
        return ProxyConnection(bundle, worker, parrot, *made)

    (info, answer), said = conversation(make, talk)
    assert Info.from_event(info).asr[0].name == "parrot" and not said
    assert Info.from_event(info).asr[0].models[0].languages == ["en", "de"]
    transcript = Transcript.from_event(answer)
    assert (transcript.text, transcript.language) == (Parrot.TEXT, "en")
    assert transcript.context is not None and transcript.context["speaker"] == 3
    assert transcript.context["emotion"] in EMOTIONS
    assert "voice" in transcript.context["why"] and "words" in transcript.context["why"]


def test_a_proxy_does_not_wait_for_an_emotion_that_takes_long(
    bundle: Bundle, worker: ThreadPoolExecutor, speech: bytes, parrot: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(
        UtteranceEmotion, "conclude", lambda *_: time.sleep(3) or {"emotion": "sad"}
    )

    async def talk(client: AsyncTcpClient) -> tuple[Transcript, float]:
        await speak(client, speech[:8192])
        began = time.monotonic()
        event = (await until(client, Transcript))[-1]
        return Transcript.from_event(event), time.monotonic() - began

    (transcript, took_s), _ = conversation(
        lambda *c: ProxyConnection(bundle, worker, parrot, *c), talk
    )
    assert transcript.text == Parrot.TEXT and transcript.context == {"speaker": 3}
    assert took_s < 2.5


def test_a_proxy_reports_an_unreachable_upstream(
    bundle: Bundle, worker: ThreadPoolExecutor
) -> None:
    async def talk(client: AsyncTcpClient) -> list[Event]:
        await client.write_event(Describe().event())
        return await until(client)

    nowhere = f"tcp://127.0.0.1:{free_port()}"
    events, said = conversation(lambda *c: ProxyConnection(bundle, worker, nowhere, *c), talk)
    assert "does not answer" in Error.from_event(events[0]).text and len(events) == 1
    assert re.search(r"does not answer: start it, or check --upstream", said[0])


def test_a_client_that_never_stops_is_stopped(
    models: RecognizerPool, speech: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mera_edge.service.wyoming import recognizer

    monkeypatch.setattr(recognizer, "LONGEST_S", 3.0)

    async def talk(client: AsyncTcpClient) -> list[Event]:
        await speak(client, speech, stop=False)
        return await until(client)

    events, _ = conversation(lambda *c: RecognizerConnection(models, *c), talk)
    assert [event.type for event in events[-2:]] == ["transcript", "transcript-stop"]
    monkeypatch.setattr(limits, "IDLE_S", 0.2)
    events, _ = conversation(lambda *c: RecognizerConnection(models, *c), until)
    assert "Timeout" in Error.from_event(events[0]).text


@pytest.mark.parametrize(
    "sent",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        b'{"type": "audio-chunk", "data_length": 99999999999}\n',
        b'{"type": "audio-chunk", "payload_length": 9999999}\n',
        b'{"type": "audio-start", "data": 3}\n',
        b"[1, 2]\n",
        b'{"type": ["a"], "data": {}}\n{"data": {}}\n',
        b"[" * 60_000 + b"\n",
        b"x" * 200_000,
        b'{"type": "describe", "data_length": "1"}\n',
    ],
    ids=range(9),
)
def test_malformed_event_closes_only_its_connection(models: RecognizerPool, sent: bytes) -> None:
    async def talk(client: AsyncTcpClient) -> list[Event]:
        assert client._writer is not None
        client._writer.write(sent)
        await client._writer.drain()
        client._writer.write_eof()
        try:
            return await until(client)
        except OSError:
            return []

    events, _ = conversation(lambda *c: RecognizerConnection(models, *c), talk)
    assert all(Error.is_type(event.type) for event in events)
    test_info_describes_the_models(models)


def test_a_taken_port_a_wrong_address_and_a_missing_package_are_named(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        uri = f"tcp://127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(InputError, match=r"cannot listen on .* \(Address already in use\): c"):
            serve(
                WyomingSettings(uri=uri, upstream="tcp://127.0.0.1:1"), bundle, RECOGNITION, print
            )
    for uri in ("tcp://127.0.0.1", "http://host:1", "tcp://host:port", "stdio://"):
        with pytest.raises(InputError, match="is not a valid address: write tcp://HOST:PORT"):
            serve(WyomingSettings(uri=uri), bundle, RECOGNITION, print)
    monkeypatch.setitem(sys.modules, "wyoming.server", None)
    with pytest.raises(MissingExtra, match=r"pip install 'mera-edge\[wyoming\]'"):
        serve(WyomingSettings(uri="tcp://127.0.0.1:1"), bundle, RECOGNITION, print)


@pytest.mark.parametrize(
    ("uri", "why"),
    [
        ("tcp://127.0.0.1:10300", "it is reachable from this machine only"),
        ("tcp://localhost:10300", "it is reachable from this machine only"),
        ("unix:///run/wyoming", "it is reachable from this machine only"),
        ("tcp://[2001:db8::1]:10300", "it has no IPv4 address"),
        ("tcp://host.invalid:10300", "it has no IPv4 address"),
    ],
)
def test_unreachable_service_is_not_announced(bundle: Bundle, uri: str, why: str) -> None:
    settings = WyomingSettings(uri=uri, zeroconf=True)
    with pytest.raises(InputError, match=f"cannot be announced: {why}: listen on tcp://0.0.0.0"):
        serve(settings, bundle, RECOGNITION, print)
    (check,) = wyoming_check(Settings(wyoming=settings))
    assert check.state == "fail" and why in check.found
    assert list(wyoming_check(Settings())) == []


def test_who_browses_the_network_finds_the_service(monkeypatch: pytest.MonkeyPatch) -> None:
    # On loopback, which is announced to nobody else.
    monkeypatch.setattr(announcement, "place", lambda uri: ("127.0.0.1", 10300))
    found: dict[str, bool] = {}

    def changed(zeroconf: Zeroconf, service_type: str, name: str, state_change: Any) -> None:
        found[name] = state_change is not ServiceStateChange.Removed

    async def run() -> None:
        with Zeroconf(interfaces=["127.0.0.1"]) as browser:
            ServiceBrowser(browser, announcement.TYPE, handlers=[changed])
            async with announcement.announced("tcp://0.0.0.0:10300"):
                await seen(True)
                (name,) = found
                ask = partial(browser.get_service_info, announcement.TYPE, name, 10_000)
                info = await asyncio.get_running_loop().run_in_executor(None, ask)
                assert info is not None and info.port == 10300
                assert info.parsed_addresses() == ["127.0.0.1"]
                assert re.fullmatch(r"mera-edge-[0-9a-f]{8}\._wyoming\._tcp\.local\.", name)
                assert socket.gethostname() not in f"{name}{info.server}{info.properties}"
            await seen(False)

    async def seen(there: bool) -> None:
        deadline = time.monotonic() + 20
        while set(found.values()) != {there}:
            assert time.monotonic() < deadline, found
            await asyncio.sleep(0.05)

    asyncio.run(run())


def test_without_its_package_nothing_is_announced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "zeroconf.asyncio", None)

    async def run() -> None:
        async with announcement.announced("tcp://0.0.0.0:10300"):
            pytest.fail("announced")

    with pytest.raises(MissingExtra, match=r"pip install 'mera-edge\[zeroconf\]'"):
        asyncio.run(run())


def test_command_serves_until_it_is_stopped(tmp_path: Path) -> None:
    port, place = free_port(), tmp_path / "notify"
    config = tmp_path / "config.toml"
    config.write_text(f'[wyoming]\nuri = "tcp://127.0.0.1:{port}"')
    manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    manager.bind(str(place))
    manager.settimeout(60)
    process = subprocess.Popen(
        [sys.executable, "-m", "mera_edge", "wyoming", "--config", config],
        stderr=subprocess.PIPE, text=True,
        env={**os.environ, "NOTIFY_SOCKET": str(place), "WATCHDOG_USEC": "300000"},
    )  # fmt: skip
    try:
        assert process.stderr is not None and "answers on" in process.stderr.readline()
        deadline = time.monotonic() + 30
        while True:
            try:
                with socket.create_connection(("127.0.0.1", port)) as client:
                    client.sendall(b'{"type": "describe"}\n')
                    assert json.loads(client.makefile().readline())["type"] == "info"
                break
            except ConnectionRefusedError:
                assert time.monotonic() < deadline
                time.sleep(0.05)
        assert manager.recv(4096).decode().startswith("READY=1\nSTATUS=answers on tcp://127.0.0.1")
        assert manager.recv(4096) == manager.recv(4096) == b"WATCHDOG=1"
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
        told = b""
        while told != b"STOPPING=1":
            told = manager.recv(4096)
    finally:
        manager.close()
        process.kill()
        process.communicate()
