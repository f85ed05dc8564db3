"""A connection that whoever sends what it likes cannot make large, slow or talkative."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final

import av
import numpy as np
from numpy.typing import NDArray
from wyoming.audio import AudioChunk
from wyoming.error import Error
from wyoming.event import Event, async_read_event
from wyoming.ping import Ping, Pong
from wyoming.server import AsyncEventHandler

from mera_edge.errors import MeraError
from mera_edge.sources.mono import Mono

LONGEST_S = 120.0
"""Of an utterance: who says more has forgotten to stop."""
IDLE_S = 60.0
MOST_BYTES = 1 << 20
"""Of a chunk of sound, or of the data of an event."""
MOST_CONNECTIONS = 16

NO_EVENT = (
    *(AttributeError, EOFError, KeyError, OverflowError, RecursionError, TypeError, ValueError),
    *(OSError, av.FFmpegError),
)
"""What comes of messages that are none."""


class _Bounded:
    """A reader that takes no more than `MOST_BYTES` at once."""

    def __init__(self, reader: asyncio.StreamReader) -> None:
        self._reader = reader

    async def readline(self) -> bytes:
        return await self._reader.readline()

    async def readexactly(self, size: int) -> bytes:
        if size > MOST_BYTES:
            raise ValueError(f"{size} bytes at once")
        return await self._reader.readexactly(size)


class Connection(AsyncEventHandler):
    """Reads events of one client until it leaves, is silent for `IDLE_S`, or sends none.

    Args:
        reader, writer: the connection.
        say: takes a line for the operator.
    """

    open_now = 0

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        say: Callable[[str], None],
    ) -> None:
        super().__init__(reader, writer)
        self._say = say

    async def run(self) -> None:
        """Answer until the end of the connection."""
        Connection.open_now += 1
        try:
            if Connection.open_now <= MOST_CONNECTIONS:
                await self._converse()
        except MeraError as error:
            self._say(str(error))
            await self._tell(error.what)
        except (asyncio.TimeoutError, *NO_EVENT) as error:
            await self._tell(f"{type(error).__name__}: this is not understood")
        finally:
            Connection.open_now -= 1
            await self.disconnect()
            self.writer.close()

    async def _converse(self) -> None:
        bounded: Any = _Bounded(self.reader)
        while True:
            event = await asyncio.wait_for(async_read_event(bounded), IDLE_S)
            if event is None:
                return
            if not isinstance(event.data, dict):
                raise TypeError("data")
            if Ping.is_type(event.type):
                await self.write_event(Pong(text=Ping.from_event(event).text).event())
            elif not await self.handle_event(event):
                return

    async def _tell(self, what: str) -> None:
        try:
            await asyncio.wait_for(self.write_event(Error(text=what).event()), 1.0)
        except (asyncio.TimeoutError, OSError):
            return  # nobody hears it any more


class PcmDecoder:
    """Chunks of one utterance, brought to 16 kHz and one channel."""

    def __init__(self) -> None:
        self._mono = Mono()

    def accept(self, event: Event) -> NDArray[np.float32]:
        """Return the samples of a chunk, ``[n]`` in [-1, 1].

        Raises:
            ValueError, KeyError, TypeError, av.FFmpegError: it is none.
        """
        chunk = AudioChunk.from_event(event)
        channels = int(chunk.channels)
        if not 0 < channels < len(_LAYOUTS):
            raise ValueError(f"{channels} channels")
        kind, format = _SAMPLES[chunk.width]
        data = np.frombuffer(chunk.audio, kind)
        whole = len(data) // channels * channels
        if not whole:
            return np.zeros(0, np.float32)
        frame = av.AudioFrame.from_ndarray(data[None, :whole], format, _LAYOUTS[channels])
        frame.sample_rate = int(chunk.rate)
        pieces = list(self._mono.accept(frame))
        return np.concatenate(pieces) if pieces else np.zeros(0, np.float32)


_SAMPLES: Final[dict[int, tuple[np.dtype[Any], str]]] = {
    1: (np.dtype("u1"), "u8"),
    2: (np.dtype("<i2"), "s16"),
    4: (np.dtype("<i4"), "s32"),
}
"""By the width of a sample, in bytes."""
_LAYOUTS = ("", "mono", "stereo")
