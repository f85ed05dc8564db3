"""A microphone: PyAudio's callback fills a bounded buffer, the pipeline empties it."""

from __future__ import annotations

import contextlib
import os
import time
from collections import deque
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mera_edge.errors import MissingExtra, SourceError
from mera_edge.features.fbank import SAMPLE_RATE
from mera_edge.sources.base import Captured, Sound

BLOCK_S = 0.02
BUFFER_S = 10.0
"""Sound that waits longer than this to be read is lost, and counted."""

LOST_AFTER_S = 3.0
"""A microphone that has given nothing for so long, not even silence, is gone."""


class Microphone:
    """An input device of PyAudio, brought to 16 kHz mono.

    Args:
        spec: ``default``, an index, or part of a device's name.
    """

    is_live = True
    has_sound = True
    has_picture = False

    def __init__(self, spec: str) -> None:
        self.name = f"microphone {spec}"
        self._spec = spec
        self.overruns = 0
        self._blocks: deque[NDArray[np.float32]] = deque(maxlen=round(BUFFER_S / BLOCK_S))
        self._heard_from = 0.0
        self._audio: Any = None
        self._stream: Any = None
        self._resampler: Any = None

    def open(self) -> None:
        """Open the device.

        Raises:
            MissingExtra: PyAudio is not installed.
            SourceError: there is no such device, or it cannot be opened.
        """
        try:
            import pyaudio
        except ModuleNotFoundError as error:
            raise MissingExtra("PyAudio, which microphones need,", "mic") from error
        import soxr

        try:
            with _quiet():
                self._audio = pyaudio.PyAudio()
        except OSError as error:
            raise SourceError(
                f"the sound system does not start ({error})", "check ALSA with `arecord -l`"
            ) from error
        device = self._find()
        rate = round(device["defaultSampleRate"])
        self._resampler = soxr.ResampleStream(rate, SAMPLE_RATE, 1, "float32")
        self._heard_from = time.monotonic()
        try:
            with _quiet():
                self._stream = self._audio.open(
                    rate,
                    1,
                    pyaudio.paFloat32,
                    input=True,
                    input_device_index=device["index"],
                    frames_per_buffer=round(rate * BLOCK_S),
                    stream_callback=self._take,
                )
        except OSError as error:
            self.close()
            raise SourceError(
                f"{self.name} cannot be opened ({error})", "see whether another program holds it"
            ) from error
        while not self._blocks:
            if self.ended:
                self.close()
                raise SourceError(f"{self.name} gives no sound", "check that it is plugged in")
            time.sleep(BLOCK_S)

    def _find(self) -> dict[str, Any]:
        devices = [
            self._audio.get_device_info_by_index(i) for i in range(self._audio.get_device_count())
        ]
        inputs = [device for device in devices if device["maxInputChannels"] > 0]
        if self._spec == "default" and inputs:
            with contextlib.suppress(OSError):  # there are inputs, but none is the default
                return dict(self._audio.get_default_input_device_info())
            return dict(inputs[0])
        for device in inputs:
            if self._spec == str(device["index"]) or self._spec.lower() in device["name"].lower():
                return dict(device)
        names = ", ".join(f"{device['index']} ({device['name']})" for device in inputs)
        self.close()
        raise SourceError(
            f"{self.name} does not exist",
            f"there is {names}" if names else "no input device was found: plug one in",
        )

    def _take(self, data: bytes, count: int, when: Any, status: int) -> tuple[None, int]:
        import pyaudio

        if status & pyaudio.paInputOverflow or len(self._blocks) == self._blocks.maxlen:
            self.overruns += 1
        self._blocks.append(np.frombuffer(data, np.float32))
        self._heard_from = time.monotonic()
        return None, pyaudio.paContinue

    def poll(self, until_s: float) -> Captured:
        """Return everything heard since the last poll."""
        blocks = [self._blocks.popleft() for _ in range(len(self._blocks))]
        if not blocks:
            return Captured()
        samples = self._resampler.resample_chunk(np.concatenate(blocks))
        ends_s = until_s - (time.monotonic() - self._heard_from)
        return Captured([Sound(samples, max(0.0, ends_s - len(samples) / SAMPLE_RATE))])

    @property
    def ended(self) -> bool:
        """Whether nothing has come for `LOST_AFTER_S`."""
        return time.monotonic() - self._heard_from > LOST_AFTER_S

    def close(self) -> None:
        """Let go of the device."""
        if self._stream is not None:
            self._stream.close()
        if self._audio is not None:
            self._audio.terminate()
        self._stream = self._audio = self._resampler = None


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep ALSA from writing about every device that it did not find."""
    kept = os.dup(2)
    with open(os.devnull, "wb") as nothing:  # noqa: PTH123  (a descriptor is needed)
        os.dup2(nothing.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
