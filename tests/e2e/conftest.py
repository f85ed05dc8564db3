"""The command line, called as a user calls it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from mera_edge.cli import main


@dataclass(frozen=True)
class Result:
    """What came of a call."""

    code: int
    out: str
    err: str


@pytest.fixture
def cli(capfd: pytest.CaptureFixture[str]) -> Callable[..., Result]:
    """Call ``mera-edge`` in this process."""

    def call(*arguments: object) -> Result:
        capfd.readouterr()
        with pytest.raises(SystemExit) as ended:
            main([str(argument) for argument in arguments])
        out, err = capfd.readouterr()
        # Messages wrap at the width of the terminal: compare words, not lines.
        return Result(int(ended.value.code or 0), out, " ".join(err.split()))

    return call


@pytest.fixture(scope="session")
def media(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Make a clip of two seconds with moving noise and a tone, or with one of them."""
    directory = tmp_path_factory.mktemp("media")

    def make(picture: bool = True, sound: bool = True) -> Path:
        path = directory / f"clip-{picture:d}{sound:d}.mp4"
        if path.exists():
            return path
        random = np.random.default_rng(0)
        with av.open(str(path), "w") as container:
            if picture:
                video = container.add_stream("mpeg4", rate=10)
                video.width, video.height, video.pix_fmt = 160, 120, "yuv420p"
            if sound:
                audio = container.add_stream("aac", rate=16_000, layout="mono")
            if picture:
                for index in range(20):
                    image = random.integers(0, 255, (120, 160, 3), np.uint8)
                    frame = av.VideoFrame.from_ndarray(image, "rgb24")
                    frame.pts, frame.time_base = index, Fraction(1, 10)
                    container.mux(video.encode(frame))
                container.mux(video.encode())
            if sound:
                tone = 0.2 * np.sin(2 * np.pi * 300 * np.arange(32_000) / 16_000)
                for start in range(0, 32_000 - 1024, 1024):
                    piece = tone[None, start : start + 1024].astype(np.float32)
                    block = av.AudioFrame.from_ndarray(piece, "fltp", "mono")
                    block.sample_rate, block.pts = 16_000, start
                    block.time_base = Fraction(1, 16_000)
                    container.mux(audio.encode(block))
                container.mux(audio.encode())
        return path

    return make
