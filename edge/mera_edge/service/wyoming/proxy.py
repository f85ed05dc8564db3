"""A proxy before another recognizer: its words go through untouched, with their emotion."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from concurrent.futures import Executor
from functools import partial
from typing import Any

from wyoming.asr import Transcript
from wyoming.audio import AudioChunk, AudioStart
from wyoming.client import AsyncClient
from wyoming.event import Event, async_write_event

from mera_edge.bundle import Bundle
from mera_edge.errors import Unreachable
from mera_edge.service.wyoming.connection import LONGEST_S, NO_EVENT, Connection, PcmDecoder
from mera_edge.service.wyoming.utterance_emotion import UtteranceEmotion

LATEST_S = 0.03
"""How much later a transcript may come for its emotion: then it goes without."""
CONNECT_S = 5.0
_MOST_WAITING = 200
"""Chunks that wait for the models; what comes beyond is not listened to."""


class ProxyConnection(Connection):
    """Hands on what one client and the recognizer behind say to each other.

    Args:
        bundle: the models.
        worker: the thread that runs models.
        upstream: address of the recognizer.
        reader, writer, say: see `Connection`.
    """

    def __init__(self, bundle: Bundle, worker: Executor, upstream: str, *connection: Any) -> None:
        super().__init__(*connection)
        self._bundle, self._worker, self._upstream = bundle, worker, upstream
        self._client: AsyncClient | None = None
        self._answers: asyncio.Task[None] | None = None
        self._emotion: UtteranceEmotion | None = None
        self._sound = PcmDecoder()
        self._waiting = 0

    async def handle_event(self, event: Event) -> bool:
        """Hand an event on, and listen to its sound beside that."""
        if self._client is None:
            await self._connect()
        if self._client is None or (self._answers is not None and self._answers.done()):
            return False
        await self._client.write_event(event)
        if AudioStart.is_type(event.type):
            self._do(self._begin)
        elif AudioChunk.is_type(event.type):
            self._do(partial(self._listen, event))
        return True

    async def disconnect(self) -> None:
        """Leave the recognizer."""
        if self._answers is not None:
            self._answers.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._answers
        if self._client is not None:
            with contextlib.suppress(OSError):
                await self._client.disconnect()

    async def _connect(self) -> None:
        client = AsyncClient.from_uri(self._upstream, connect_timeout=CONNECT_S)
        try:
            await client.connect()
        except (OSError, asyncio.TimeoutError) as error:
            raise Unreachable(
                f"the recognizer at {self._upstream} does not answer",
                "start it, or check --upstream",
            ) from error
        self._client = client
        self._answers = asyncio.create_task(self._hand_back(client))

    async def _hand_back(self, client: AsyncClient) -> None:
        """Hand on what the recognizer says until one of both leaves."""
        with contextlib.suppress(*NO_EVENT):
            while (event := await client.read_event()) is not None:
                if Transcript.is_type(event.type):
                    event = await self._with_emotion(event)
                await async_write_event(event, self.writer)
        # The client learns of the end, and whoever waits for its next event too.
        self.writer.close()

    async def _with_emotion(self, event: Event) -> Event:
        text, context = event.data.get("text"), event.data.get("context")
        if not isinstance(text, str) or not isinstance(context, dict | None):
            return event
        concluding = self._do(partial(self._conclude, text))
        with contextlib.suppress(asyncio.TimeoutError):
            said = await asyncio.wait_for(asyncio.shield(concluding), LATEST_S)
            if said is not None:
                return Event(event.type, {**event.data, "context": {**(context or {}), **said}})
        return event

    def _do(self, work: Callable[[], Any]) -> asyncio.Future[Any]:
        """Have the models' thread do something, after what it was given before."""
        done = asyncio.get_running_loop().run_in_executor(self._worker, work)
        self._waiting += 1
        done.add_done_callback(self._done)
        return done

    def _done(self, work: asyncio.Future[Any]) -> None:
        self._waiting -= 1
        if not work.cancelled() and work.exception() is not None:
            self._say(f"the voice of an utterance is left out: {work.exception()!r}")

    def _begin(self) -> None:
        self._emotion = self._emotion or UtteranceEmotion(self._bundle)
        self._emotion.reset()
        self._sound = PcmDecoder()

    def _listen(self, event: Event) -> None:
        emotion = self._emotion
        if emotion and emotion.heard_s < LONGEST_S and self._waiting < _MOST_WAITING:
            emotion.accept(self._sound.accept(event))

    def _conclude(self, text: str) -> dict[str, Any] | None:
        return self._emotion.conclude(text) if self._emotion and text.strip() else None
