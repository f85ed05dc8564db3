"""The Wyoming services: robustness to corrupted frames, and the delay added by the proxy.

    python benchmarks/assist.py frames [--count 10000]
    python benchmarks/assist.py delay [--count 30]

*frames*: connections that send a conversation with turned bits, gaps, repetitions and numbers
that are too large, to the recognizer and to the proxy in turn; after every hundred the service is
asked what it is. *delay*: utterances of the sample at the pace of speech through the proxy, to a
recognizer that answers 100 ms after their end; how much later than there the transcript comes
here. Exit code 1 where an exception escapes, an answer is none of the protocol's, memory grows,
or the delay is above 30 ms in more than one of twenty utterances.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import random
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from mosquitto import free_port
from wyoming.asr import Transcribe, Transcript
from wyoming.audio import AudioChunk, AudioStart, AudioStop
from wyoming.client import AsyncTcpClient
from wyoming.event import Event, async_write_event
from wyoming.info import Describe
from wyoming.server import AsyncEventHandler, AsyncTcpServer

from mera_edge.bundle import Bundle
from mera_edge.config import RECOGNITION
from mera_edge.sample import CLIP
from mera_edge.service.wyoming.proxy import ProxyConnection
from mera_edge.service.wyoming.recognizer import RecognizerConnection, RecognizerPool
from mera_edge.service.wyoming.utterance_emotion import UtteranceEmotion
from mera_edge.sources.media import MediaFile

RATE, PIECE = 16_000, 1024
HERE = "127.0.0.1"
ANSWERS = {
    *("info", "error", "pong", "transcript", "transcript-start", "transcript-chunk"),
    "transcript-stop",
}
NUMBERS = [b"-1", b"99999999999", b"1e400", b"null", b'"3"', b"true", b"[]", b"16000000", b"0"]


def sound(seconds: float) -> np.ndarray:
    source = MediaFile(CLIP, video=False)
    source.open()
    pieces = [piece.samples for piece in source.poll(seconds).audio]
    source.close()
    return (np.concatenate(pieces)[: int(seconds * RATE)] * 32767).astype("<i2")


class Slow(AsyncEventHandler):
    """Another recognizer: it answers 100 ms after the end of the sound."""

    answered_s = 0.0

    async def run(self) -> None:
        with contextlib.suppress(OSError):
            await super().run()

    async def handle_event(self, event: Event) -> bool:
        if AudioStop.is_type(event.type):
            await asyncio.sleep(0.1)
            Slow.answered_s = time.monotonic()
            await self.write_event(Transcript("I am so happy to see you.").event())
        return True


class Bytes:
    """Takes what is written to it."""

    def __init__(self) -> None:
        self.data = b""

    def write(self, data: bytes) -> None:
        self.data += data

    def writelines(self, parts: Any) -> None:
        self.data += b"".join(parts)

    async def drain(self) -> None:
        pass


async def conversation(*terms: str) -> bytes:
    """Return what a well-behaved client sends, which expects some words."""
    sink: Any = Bytes()
    audio = sound(0.3).tobytes()
    await async_write_event(Describe().event(), sink)
    await async_write_event(Transcribe(transcript_terms=list(terms)).event(), sink)
    await async_write_event(AudioStart(RATE, 2, 1).event(), sink)
    for start in range(0, len(audio), 4096):
        await async_write_event(AudioChunk(RATE, 2, 1, audio[start : start + 4096]).event(), sink)
    await async_write_event(AudioStop().event(), sink)
    return bytes(sink.data)


def spoiled(data: bytes, chance: random.Random) -> bytes:
    """Turn bits, take out, put in, double, cut off, or change a number."""
    for _ in range(chance.randint(1, 3)):
        begins, ends = sorted(chance.randrange(len(data) + 1) for _ in range(2))
        bit = bytes([data[begins] ^ 1 << chance.randrange(8)]) if begins < len(data) else b""
        digits = [at for at in range(len(data)) if data[at : at + 2] == b": "][:200]
        number = chance.choice(digits) + 2 if digits else 0
        data = chance.choice((
            data[:begins] + bit + data[begins + 1 :],
            data[:begins] + data[ends:],
            data[:begins] + chance.randbytes(chance.randrange(1, 60)) + data[begins:],
            data[:ends] + data[begins:],
            data[:begins],
            data[:number] + chance.choice(NUMBERS) + data[number:].lstrip(b"0123456789"),
        ))  # fmt: skip
    return data


@contextlib.asynccontextmanager
async def servers(
    models: RecognizerPool, bundle: Bundle, worker: Any, escaped: list[str]
) -> AsyncIterator[Any]:
    """Run the recognizer, and the proxy before another one."""
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: escaped.append(repr(context)))
    ours, proxy, other = (free_port() for _ in range(3))
    upstream = f"tcp://{HERE}:{other}"
    running = [AsyncTcpServer(HERE, port) for port in (ours, proxy, other)]

    def quiet(line: str) -> None:
        pass

    await running[0].start(lambda r, w: RecognizerConnection(models, r, w, quiet))
    await running[1].start(lambda r, w: ProxyConnection(bundle, worker, upstream, r, w, quiet))
    await running[2].start(Slow)
    try:
        yield ours, proxy
    finally:
        for server in running:
            await server.stop()


async def send(port: int, data: bytes) -> list[str]:
    """Send something, and return the kinds of what is answered."""
    reader, writer = await asyncio.open_connection(HERE, port)
    kinds = []
    with contextlib.suppress(ConnectionError):
        writer.write(data)
        await writer.drain()
        writer.write_eof()
        while line := await reader.readline():
            head = json.loads(line)
            kinds.append(head["type"])
            await reader.readexactly(head.get("data_length") or 0)
    writer.close()
    return kinds


async def frames(count: int, models: RecognizerPool, bundle: Bundle, worker: Any) -> dict[str, Any]:
    chance, escaped = random.Random(0), list[str]()
    kinds: Counter[str] = Counter()
    good, with_terms = await conversation(), await conversation("towel")
    hung = 0
    async with servers(models, bundle, worker, escaped) as ports:
        before = rss_kb()
        for number in range(count):
            try:
                port = ports[number % 2]
                sent = with_terms if number % 40 < 2 else good
                kinds.update(await asyncio.wait_for(send(port, spoiled(sent, chance)), 20))
            except asyncio.TimeoutError:
                hung += 1
            if number % 100 == 0:
                client = AsyncTcpClient(HERE, ports[0], read_timeout=20)
                async with client:
                    await client.write_event(Describe().event())
                    told = await client.read_event()
                    if told is None or told.type != "info":
                        escaped.append("no info")
        await asyncio.sleep(0.5)
        after = rss_kb()
    return {"frames": count, "answers": dict(kinds), "hung": hung, "escaped": escaped[:5],
            "escapes": len(escaped), "rss_kb": [before, after]}  # fmt: skip


async def delay(count: int, models: RecognizerPool, bundle: Bundle, worker: Any) -> dict[str, Any]:
    late, felt, escaped = list[float](), 0, list[str]()
    samples = sound(2.0)
    async with servers(models, bundle, worker, escaped) as (_, port):
        for _ in range(count):
            async with AsyncTcpClient(HERE, port, read_timeout=20) as client:
                await client.write_event(AudioStart(RATE, 2, 1).event())
                began = time.monotonic()
                for start in range(0, len(samples), PIECE):
                    await asyncio.sleep(max(0.0, began + start / RATE - time.monotonic()))
                    audio = samples[start : start + PIECE].tobytes()
                    await client.write_event(AudioChunk(RATE, 2, 1, audio).event())
                await client.write_event(AudioStop().event())
                event = await client.read_event()
                late.append((time.monotonic() - Slow.answered_s) * 1000)
                felt += "emotion" in ((event and event.data.get("context")) or {})
    shown = np.percentile(late, [50, 95, 100]).round(1).tolist()
    return {"utterances": count, "with_emotion": felt, "later_ms_p50_p95_max": shown,
            "escapes": len(escaped), "hung": 0, "rss_kb": [0, 0]}  # fmt: skip


def rss_kb() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") // 1024


def main() -> int:
    """Try, and judge."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("what", choices=["frames", "delay"])
    parser.add_argument("--count", type=int)
    given = parser.parse_args()
    with ThreadPoolExecutor(1) as worker:
        bundle = Bundle.open()
        UtteranceEmotion(bundle).warm_up()
        models = RecognizerPool(bundle, RECOGNITION, worker)
        if given.what == "frames":
            found = asyncio.run(frames(given.count or 10_000, models, bundle, worker))
        else:
            found = asyncio.run(delay(given.count or 30, models, bundle, worker))
    print(json.dumps(found))
    unknown = set(found.get("answers", ())) - ANSWERS
    grows = found["rss_kb"][1] > found["rss_kb"][0] + 60_000
    slow = found.get("later_ms_p50_p95_max", [0, 0, 0])[1] > 30
    return int(bool(found["escapes"] or found["hung"] or unknown or grows or slow))


if __name__ == "__main__":
    sys.exit(main())
