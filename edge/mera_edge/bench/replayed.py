"""A clip, looped as a stream of any length."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from mera_edge.sources.base import LIVE, Captured
from mera_edge.sources.media import MediaFile


class Replayed:
    """Loops a clip with continuous stream time, and measures the time of decoding.

    Args:
        clip: a media file.
        for_s: stream time in seconds after which it ends; ``None``: play the clip once.
        on_poll: called with the stream time at every poll.
    """

    is_live = False
    id = "file"
    condition = LIVE

    def __init__(
        self,
        clip: Path,
        for_s: float | None = None,
        on_poll: Callable[[float], None] = lambda now_s: None,
    ) -> None:
        self.name = str(clip)
        self._media = MediaFile(clip)
        self._for_s = for_s
        self._on_poll = on_poll
        self._began_s = self._now_s = 0.0
        self.decode_ms = 0.0
        """Duration of the last poll."""

    @property
    def has_audio(self) -> bool:
        """Whether the file has audio."""
        return self._media.has_audio

    @property
    def has_video(self) -> bool:
        """Whether the file has video."""
        return self._media.has_video

    def open(self) -> None:
        """Open the file for the first time; see `MediaFile.open`."""
        self._media.open()

    def poll(self, until_s: float, needs_frame: bool = True) -> Captured:
        """Return what was captured up to ``until_s``; at its end the file starts again."""
        self._on_poll(until_s)
        if self._media.ended:
            self._media.close()
            # Only the garbage collector frees the decoders of a closed file; until then they would
            # look like a memory leak of the pipeline.
            gc.collect()
            self._media.open()
            self._began_s = self._now_s
        began = time.perf_counter()
        captured = self._media.poll(until_s - self._began_s, needs_frame)
        self._now_s = until_s
        for index, sound in enumerate(captured.audio):
            captured.audio[index] = replace(sound, at_s=sound.at_s + self._began_s)
        if captured.frame is not None:
            at_s = captured.frame.at_s + self._began_s
            captured.frame = replace(captured.frame, at_s=at_s)
        self.decode_ms = (time.perf_counter() - began) * 1000
        return captured

    @property
    def ended(self) -> bool:
        """Whether the duration is over, or the file if none was given."""
        return self._media.ended if self._for_s is None else self._now_s >= self._for_s

    def close(self) -> None:
        """Close the file."""
        self._media.close()
