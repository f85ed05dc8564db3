"""A microphone, captured in a process of its own: what it hears, at 16 kHz and in one channel."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import time
from collections.abc import Generator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mera_edge.errors import MissingExtra, SourceError
from mera_edge.features.fbank import SAMPLE_RATE
from mera_edge.redaction import redacted
from mera_edge.sources import address
from mera_edge.sources.base import AudioChunk, Captured, Condition
from mera_edge.sources.capture_process import CaptureProcess
from mera_edge.sources.child import serve
from mera_edge.sources.connection import Connection, StreamTrack
from mera_edge.sources.mono import Downmix
from mera_edge.sources.network_stream import SOUND_HEAD

BLOCK_S = 0.02

ZEROS_AFTER_S = 10.0
"""Nothing but zeros for so long is no silence: a real microphone has noise."""


class Microphone:
    """An input device of PyAudio or a stream from the network, brought to 16 kHz mono.

    Args:
        spec: ``default``, an index, part of a device's name, or a URL (rtsp, http).
        id: what events call it.
        connection: of a stream of which a camera has the picture.

    Attributes:
        overruns: how often sound was lost because nobody fetched it in time.
    """

    is_live = True
    has_audio = True
    has_video = False
    ended = False

    def __init__(
        self, spec: str, id: str = "room_1_microphone", connection: Connection | None = None
    ) -> None:
        self.name, self.id = f"microphone {redacted(spec)}", id
        self._spec = spec
        self._connection = connection
        if connection is None and address.kind(spec) == "url":
            self._connection = Connection(spec)
        self._worker: CaptureProcess | StreamTrack | None = None
        self._sounded_s = 0.0
        self.overruns = 0
        self.condition = Condition("connecting")

    def open(self) -> None:
        """Start its process.

        Raises:
            MissingExtra: PyAudio is not installed.
        """
        if self._connection is None and not importlib.util.find_spec("pyaudio"):
            raise MissingExtra("PyAudio, which microphones need (or give --mic none),", "mic")
        self.close()
        if self._connection is not None:
            self._worker = self._connection.join("audio")
        else:
            self._worker = CaptureProcess(__name__, self._spec)
        self.poll(0.0)

    def poll(self, until_s: float, needs_frame: bool = True) -> Captured:
        """Return everything heard since the last poll."""
        if self._worker is None:
            return Captured()
        was_live = self.condition.state in ("live", "stalled")
        pieces = self._worker.read()
        self.condition = self._worker.condition
        if not pieces:
            return Captured()
        heads = [SOUND_HEAD.unpack_from(piece) for piece in pieces]
        self.overruns += sum(lost for _, lost in heads)
        ends_s = heads[-1][0]
        samples = np.concatenate(
            [np.frombuffer(p, np.float32, offset=SOUND_HEAD.size) for p in pieces]
        )
        if samples.any() or not was_live:
            self._sounded_s = ends_s
        if ends_s - self._sounded_s > ZEROS_AFTER_S:
            self.condition = Condition("stalled", "muted", "only digital silence")
        begins_s = until_s - (time.monotonic() - ends_s) - len(samples) / SAMPLE_RATE
        return Captured([AudioChunk(samples, max(0.0, begins_s))])

    def close(self) -> None:
        """End its process."""
        if self._worker is not None:
            self._worker.close()
        self._worker = None


class AudioResampler:
    """Brings what a device gives to `SAMPLE_RATE` and one channel.

    Args:
        rate: of the device, in hertz.
        channels: of the device.
    """

    def __init__(self, rate: int, channels: int) -> None:
        import soxr

        self._channels = channels
        self._downmix = Downmix([""] * channels)
        self._resampler = soxr.ResampleStream(rate, SAMPLE_RATE, 1, "float32")

    def accept(self, block: bytes) -> NDArray[np.float32]:
        """Take interleaved float32 samples and return those that are ready, ``[n]``."""
        samples = np.frombuffer(block, np.float32).reshape(-1, self._channels)
        mono = self._downmix.mix(samples.T)
        ready: NDArray[np.float32] = self._resampler.resample_chunk(mono)
        return ready


def capture_device(spec: str) -> Generator[bytes, None, None]:
    """Give what a microphone hears, a `BLOCK_S` at a time, each with a `SOUND_HEAD`.

    Raises:
        SourceError: there is no such device, it cannot be opened, or it was lost.
    """
    # PulseAudio would gather two seconds before it gives the first sample.
    os.environ.setdefault("PULSE_LATENCY_MSEC", "20")
    import pyaudio

    audio, stream = None, None
    try:
        audio = pyaudio.PyAudio()
        device = _find(audio, spec)
        rate = round(device["defaultSampleRate"])
        size = round(rate * BLOCK_S)
        channels = _channels(audio, device, rate)
        stream = audio.open(
            rate,
            channels,
            pyaudio.paFloat32,
            input=True,
            input_device_index=device["index"],
            frames_per_buffer=size,
        )
        intake = AudioResampler(rate, channels)
        while True:
            lost = False
            try:
                block = stream.read(size)
            except OSError as error:
                if error.errno != pyaudio.paInputOverflowed:
                    raise
                lost = True
                block = stream.read(size, exception_on_overflow=False)
            waiting_s = stream.get_read_available() / rate
            head = SOUND_HEAD.pack(time.monotonic() - waiting_s, lost)
            yield head + intake.accept(block).tobytes()
    except OSError as error:
        if stream is None:
            raise SourceError("cannot_open", f"it cannot be opened ({error})") from error
        raise SourceError("lost", f"it was lost ({error})") from error
    finally:
        with contextlib.suppress(OSError):  # it is lost already
            if stream is not None:
                stream.close()
        if audio is not None:
            audio.terminate()


def _find(audio: Any, spec: str) -> dict[str, Any]:
    devices = [audio.get_device_info_by_index(i) for i in range(audio.get_device_count())]
    inputs = [device for device in devices if device["maxInputChannels"] > 0]
    if spec == "default" and inputs:
        with contextlib.suppress(OSError):  # there are inputs, but none is the default
            return dict(audio.get_default_input_device_info())
        return dict(inputs[0])
    for device in inputs:
        if spec == str(device["index"]) or spec.lower() in device["name"].lower():
            return dict(device)
    names = ", ".join(f"{device['index']} ({device['name']})" for device in inputs)
    raise SourceError(
        "no_device", f"available devices: {names}" if names else "no input device was found"
    )


def _channels(audio: Any, device: dict[str, Any], rate: int) -> int:
    """Return one channel, or two where the device has no fewer."""
    import pyaudio

    with contextlib.suppress(ValueError):  # which says that it does not
        if audio.is_format_supported(
            rate,
            input_device=device["index"],
            input_channels=1,
            input_format=pyaudio.paFloat32,
        ):
            return 1
    return min(2, int(device["maxInputChannels"]))


def _main() -> None:
    serve(capture_device)


if __name__ == "__main__":
    _main()
