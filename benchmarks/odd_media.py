"""Unusual files through the command line: correct exit code, no traceback, no hang, little memory.

    python benchmarks/odd_media.py [--verb predict] [--only TEXT]

Makes some 150 files (no faces, no voices: noise, flashes and beeps), gives each to `mera-edge`
in a process of its own and prints a table. A file may take 10 s and twice its honest length of
processor time, and 400 MB. Exits with 1 where a file did not do what it should.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import pickle
import resource
import struct
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from made import Pictures, Sounds, join, later, write

COMMAND = "from mera_edge.cli import main; main()"
MEMORY_MB, GRACE_S, WALL_S = 400, 10.0, 300.0

Make = Callable[[Path], Any]
"""Makes a case in an empty folder; gives the argument, or several, or what goes through stdin."""


@dataclass(frozen=True)
class Case:
    """A file and its expected outcome."""

    kind: str
    name: str
    make: Make
    code: int = 0
    honest_s: float = 4.0
    says: str = ""
    """Part of what stderr says."""


@dataclass(frozen=True)
class Outcome:
    """The outcome of a case."""

    code: int
    took_s: float
    memory_mb: float
    err: str


# --- time ------------------------------------------------------------------------------------


def joined(jump_s: float, sides: str) -> Make:
    """Return a maker of two transport streams, the clock of the second off by ``jump_s``."""

    def make(folder: Path) -> Path:
        options = SIDES[sides]
        parts = [
            write(folder / f"{n}.ts", 2.0, stamp=later(at_s % 90_000), **options)
            for n, at_s in enumerate((40_000.0, 40_002.0 + jump_s))
        ]
        return join(folder / "joined.ts", *parts)

    return make


SIDES: dict[str, dict[str, Any]] = {
    "both": {},
    "sound": {"pictures": None},
    "picture": {"sounds": None},
}


def time_cases() -> Iterator[Case]:
    """K1: time stamps that jump, wrap, go back, begin anywhere, are absent or lie."""
    for jump_s, sides in product((-39_000, -300, -20, -3, 12, 300, 36_000), SIDES):
        yield Case("time", f"joined {jump_s:+} s, {sides}", joined(jump_s, sides), says="jump")
    for overlap_s in (-5.0, -0.3, 0.04, 0.3):
        yield Case("time", f"joined, {overlap_s} s over each other", joined(-overlap_s, "both"))
    for gap_s in (3.0, 60.0, 36_000.0, 2.6e6):
        for form in ("mkv", "nut"):
            yield Case(
                "time",
                f"gap of {gap_s:g} s, {form}",
                lambda to, gap_s=gap_s, form=form: write(
                    to / f"gap.{form}", 4.0, stamp=lambda kind, t: t + gap_s * (t > 2)
                ),
                honest_s=8,
                says="jump" if gap_s > 10 else "",
            )
    for at_s, form in product((-0.5, 50_000.0, 1e7), ("mkv", "mov")):
        yield Case(
            "time",
            f"begins at {at_s:g} s, {form}",
            lambda to, at_s=at_s, form=form: write(to / f"at.{form}", stamp=later(at_s)),
        )
    yield Case("time", "wraps", lambda to: write(to / "wraps.ts", 4.0, stamp=later(95_442)))
    for codec, form in (("mpeg2video", "m2v"), ("libx264", "h264"), ("mjpeg", "mjpeg")):
        yield Case(
            "time",
            f"without stamps, {form}",
            lambda to, codec=codec, form=form: write(
                to / f"bare.{form}",
                4.0,
                Pictures(codec, pix_fmt="yuvj420p" if codec == "mjpeg" else "yuv420p"),
                None,
            ),
        )
    yield Case("time", "all stamps the same", lambda to: frozen(to / "frozen.ts"))
    yield Case("time", "stamps at random", lambda to: frozen(to / "random.ts", random=True))
    yield Case(
        "time",
        "two clocks",
        lambda to: write(to / "two.mkv", 4.0, stamp=lambda k, t: t + 7200 * (k == "video")),
        says="jump",
    )
    yield Case(
        "time", "a length of 31 years", lambda to: patched(to, b"mvhd", 16, b"\x3f\xff\xff\xff")
    )
    yield Case("time", "a length of nothing", lambda to: patched(to, b"mvhd", 16, b"\0\0\0\0"))
    yield Case(
        "time", "ticks of a second", lambda to: patched(to, b"mdhd", 12, b"\0\0\0\1"), honest_s=60
    )
    yield Case(
        "time",
        "sound that ends early",
        lambda to: write(to / "e.mkv", 6.0, skip=lambda k, t: k == "audio" and t > 2),
        honest_s=6,
    )


def frozen(path: Path, random: bool = False) -> Path:
    """Write a transport stream in which all time stamps say the same, or anything."""
    whole = bytearray(write(path, 4.0, stamp=later(100)).read_bytes())
    draw = np.random.default_rng(0)
    for begins in range(0, len(whole) - 188, 188):
        for mark in (b"\0\0\1\xe0", b"\0\0\1\xc0"):
            at = whole.find(mark, begins, begins + 60)
            if at > 0:
                stamps = draw.integers(0, 256, 10) if random else np.full(10, 1)
                stamps[::5] = stamps[::5] & 0x0E | 0x21
                stamps[2::5] |= 1
                stamps[4::5] |= 1
                whole[at + 9 : at + 9 + whole[at + 8]] = bytes(stamps.astype(np.uint8))[
                    : whole[at + 8]
                ]
    path.write_bytes(whole)
    return path


def patched(folder: Path, box: bytes, offset: int, value: bytes) -> Path:
    """Write an MP4 with other bytes at ``offset`` behind the name of a box."""
    path = write(folder / "patched.mp4", 4.0)
    whole = bytearray(path.read_bytes())
    at = whole.index(box) + 4 + offset
    whole[at : at + len(value)] = value
    path.write_bytes(whole)
    return path


# --- what changes, and what there are several of ------------------------------------------------


def change_cases() -> Iterator[Case]:
    """K2: sample rate, channels, codec parameters and size that change in mid-stream."""
    kinds = [(44_100, "stereo"), (22_050, "mono"), (48_000, "mono"), (16_000, "stereo")]
    for codec, form in (("aac", "aac"), ("libmp3lame", "mp3"), ("aac", "ts"), ("ac3", "ac3")):
        for first, second in ((0, 1), (1, 2), (2, 3)):
            pair = [kinds[first], kinds[second]]
            if codec == "ac3":
                pair = [(48_000, "stereo"), (44_100, "mono")]
            yield Case(
                "change",
                f"{pair[0]} to {pair[1]}, {form}",
                lambda to, pair=pair, codec=codec, form=form: join(
                    to / f"joined.{form}",
                    *(
                        write(to / f"{n}.{form}", 2.0, None, Sounds(codec, *kind))
                        for n, kind in enumerate(pair)
                    ),
                ),
            )
    for form, codec in (
        ("m2v", "mpeg2video"),
        ("h264", "libx264"),
        ("mjpeg", "mjpeg"),
        ("ts", "mpeg2video"),
    ):
        pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
        yield Case(
            "change",
            f"size of pictures, {form}",
            lambda to, codec=codec, form=form, pix_fmt=pix_fmt: join(
                to / f"joined.{form}",
                *(
                    write(to / f"{n}.{form}", 1.5, Pictures(codec, *size, pix_fmt=pix_fmt), None)
                    for n, size in enumerate([(160, 120), (640, 360), (96, 400)])
                ),
            ),
        )
    yield Case(
        "change",
        "different files behind each other",
        lambda to: join(
            to / "mixed.mp3",
            write(to / "a.mp3", 2.0, None, Sounds("libmp3lame")),
            write(to / "b.wav", 2.0, None, Sounds("pcm_s16le")),
        ),
    )


def track_cases() -> Iterator[Case]:
    """K3: several tracks."""
    silent, beep = Sounds(gains=[0.0], is_default=False), Sounds(language="deu")
    for name, tracks in {
        "second": [silent, beep],
        "first": [beep, silent],
        "fourth": [silent] * 3 + [beep],
    }.items():
        yield Case(
            "tracks",
            f"{name} is default",
            lambda to, tracks=tracks: write(to / "t.mp4", sounds=tracks),
            says="is used",
        )
    yield Case(
        "tracks",
        "32 of them",
        lambda to: write(to / "t.mkv", sounds=[Sounds("pcm_s16le", 8000)] * 32),
        says="32 audio tracks",
    )
    yield Case(
        "tracks",
        "two of pictures",
        lambda to: write(to / "t.mkv", pictures=[Pictures(), Pictures(width=320)]),
        says="2 video tracks",
    )
    yield Case(
        "tracks",
        "chosen",
        lambda to: ["--track", "audio:1", write(to / "t.mp4", sounds=[silent, beep])],
    )
    yield Case(
        "tracks",
        "one that is not there",
        lambda to: ["--track", "audio:3", write(to / "t.mp4", sounds=[silent, beep])],
        code=2,
        says="audio:2",
    )
    yield Case(
        "tracks",
        "nonsense",
        lambda to: ["--track", "a:b", write(to / "t.mp4")],
        code=2,
        says="audio:2",
    )
    yield Case(
        "tracks", "one that nobody decodes", lambda to: unknown_sound(to / "t.mp4"), says="audio:2"
    )


def unknown_sound(path: Path) -> Path:
    """Write a clip whose first, default sound track has a codec that FFmpeg does not know."""
    whole = write(path, sounds=[Sounds(), Sounds(is_default=False)]).read_bytes()
    at = whole.index(b"mp4a", whole.index(b"soun"))
    config = whole.index(b"esds", at)
    path.write_bytes(whole[:at] + b"zzzz" + whole[at + 4 : config] + b"dapa" + whole[config + 4 :])
    return path


# --- nothing in it -----------------------------------------------------------------------------


def content(name: str, data: bytes) -> Make:
    """Return a maker of a file with given bytes."""

    def make(folder: Path) -> Path:
        (folder / name).write_bytes(data)
        return folder / name

    return make


def spoiled(name: str, spoil: Callable[[bytes], bytes], **options: Any) -> Make:
    """Return a maker of a clip of which something is spoiled."""

    def make(folder: Path) -> Path:
        path = write(folder / name, **{"seconds": 3.0, **options})
        path.write_bytes(spoil(path.read_bytes()))
        return path

    return make


def nothing_cases() -> Iterator[Case]:
    """K4: files of which little or nothing can be decoded."""
    random = np.random.default_rng(0).bytes(60_000)
    for name in ("empty.mp4", "empty.wav", "empty"):
        yield Case("nothing", name, content(name, b""), code=2, says="is empty")
    for name in (
        "noise.mp4",
        "noise.mkv",
        "noise.ts",
        "noise.wav",
        "noise.jpg",
        "noise.mp3",
        "noise.avi",
    ):
        yield Case("nothing", name, content(name, random), code=2)
    for name, data in {
        "page.mp4": b"<!DOCTYPE html><html><body>404</body></html>" * 20,
        "text.wav": b"hello\n" * 99,
        "zip.mp4": b"PK\3\4" + random[:999],
        "zeros.mp4": bytes(100_000),
        "zeros.ts": bytes(100_000),
        "script.svg": b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        "lines.srt": b"1\n00:00:00,000 --> 00:09:00,000\nhi\n",
    }.items():
        yield Case("nothing", name, content(name, data), code=2, says=name)
    yield Case("nothing", "no sample", content("none.wav", wav(b"")), code=2, says="holds no sound")
    yield Case("nothing", "no channel", content("none.wav", wav(bytes(4000), channels=0)), code=2)
    yield Case("nothing", "no rate", content("none.wav", wav(bytes(4000), rate=0)), code=2)
    yield Case(
        "nothing",
        "1 Hz",
        content("slow.wav", wav(bytes(8000), rate=1)),
        code=2,
        says="sample rate of 1 Hz",
    )
    yield Case("nothing", "one sample", content("one.wav", wav(b"\1\0")))
    yield Case(
        "nothing",
        "cut before its index",
        spoiled("a.mp4", lambda d: d[: d.index(b"moov")]),
        code=2,
        says="(moov)",
    )
    for form in ("mp4", "mkv", "avi", "ts"):
        yield Case(
            "nothing", f"first 200 bytes, {form}", spoiled(f"a.{form}", lambda d: d[:200]), code=2
        )
        yield Case(
            "nothing",
            f"half of it, {form}",
            spoiled(
                f"a.{form}",
                lambda d: d[: len(d) // 2],
                options={"movflags": "faststart"} if form == "mp4" else None,
            ),
        )
    yield Case(
        "nothing", "no key frame", lambda to: no_key_frame(to / "late.ts"), code=2, says="key frame"
    )
    yield Case(
        "nothing",
        "unknown pictures",
        spoiled("a.mkv", lambda d: d.replace(b"V_MPEG4/ISO/ASP", b"V_UNKNOWN/CODEC")),
        says="video that cannot be decoded",
    )
    yield Case(
        "nothing",
        "unknown pictures alone",
        spoiled("a.mkv", lambda d: d.replace(b"V_MPEG4/ISO/ASP", b"V_UNKNOWN/CODEC"), sounds=None),
        code=2,
        says="video that cannot be decoded",
    )
    yield Case(
        "nothing",
        "pictures overwritten",
        spoiled(
            "a.mp4",
            lambda d: d[:60] + b"\xff" * (d.index(b"moov") - 64) + d[d.index(b"moov") - 4 :],
            sounds=None,
        ),
        says="packets of its picture could not be decoded",
    )
    for many in (20, 200, 2000):
        yield Case(
            "nothing",
            f"{many} bytes flipped",
            spoiled("a.ts", lambda d, many=many: flipped(d, many)),
        )
        yield Case(
            "nothing",
            f"{many} bytes flipped, mkv",
            spoiled("a.mkv", lambda d, many=many: d[:800] + flipped(d[800:], many)),
        )


def wav(samples: bytes, rate: int = 16_000, channels: int = 1, size: int | None = None) -> bytes:
    """Return a WAV whose header may say anything."""
    size = len(samples) if size is None else size
    head = struct.pack(
        "<IHHIIHH", 16, 1, channels, rate, rate * channels * 2 & 0xFFFFFFFF, channels * 2, 16
    )
    return (
        b"RIFF"
        + struct.pack("<I", size + 36 & 0xFFFFFFFF)
        + b"WAVEfmt "
        + head
        + b"data"
        + struct.pack("<I", size)
        + samples
    )


def flipped(data: bytes, many: int) -> bytes:
    """Return data of which some bytes are spoiled."""
    spoilt = bytearray(data)
    for at in np.random.default_rng(many).integers(0, len(spoilt), many):
        spoilt[at] ^= 0xFF
    return bytes(spoilt)


def no_key_frame(path: Path) -> Path:
    """Write a stream that begins in the middle of what its one key frame began."""
    whole = write(
        path,
        3.0,
        Pictures("libx264", options={"g": "999", "bf": "0", "sc_threshold": "0"}, gop=999),
        None,
    ).read_bytes()
    path.write_bytes(whole[: 188 * 3] + whole[len(whole) // 3 // 188 * 188 :])
    return path


# --- channels and pixels ------------------------------------------------------------------------


def shape_cases() -> Iterator[Case]:
    """K7, K8: channels, samples, pixels."""
    for layout, gains in {
        "stereo": [1, -1],
        "2.1": [0, 0, 1],
        "5.1": [0, 0, 1, 0, 0, 0],
        "7.1": [0] * 7 + [1],
        "quad": [1, -1, 1, -1],
        "hexagonal": [1, 0, 0, 0, 0, 0],
    }.items():
        yield Case(
            "channels",
            f"{layout} {gains}",
            lambda to, layout=layout, gains=gains: write(
                to / "c.wav", 4.0, None, Sounds("pcm_s16le", 48_000, layout, gains)
            ),
        )
    for channels in (9, 24, 64, 255, 1000):
        yield Case(
            "channels",
            f"{channels} of them",
            content(
                "many.wav",
                wav(np.random.default_rng(0).bytes(channels * 2 * 16_000), channels=channels),
            ),
            code=0 if channels <= 64 else 2,
        )
    for codec in ("pcm_u8", "pcm_s24le", "pcm_f64le", "pcm_alaw", "adpcm_ima_wav"):
        yield Case(
            "channels",
            codec,
            lambda to, codec=codec: write(to / "c.wav", 4.0, None, Sounds(codec, 22_050)),
        )
    for rate in (8000, 96_000, 192_000, 384_000):
        yield Case(
            "channels",
            f"{rate} Hz",
            lambda to, rate=rate: write(to / "c.wav", 4.0, None, Sounds("pcm_s16le", rate)),
        )
    for shape in (Fraction(2), Fraction(1, 3), Fraction(12, 11), Fraction(200), Fraction(1, 200)):
        yield Case(
            "pixels",
            f"of {shape}",
            lambda to, shape=shape: write(to / "p.mkv", pictures=Pictures(shape=shape)),
        )
    for turned in (90, 180, 270, 45):
        yield Case(
            "pixels",
            f"turned by {turned}",
            lambda to, turned=turned: write(to / "p.mp4", pictures=Pictures(turned=turned)),
        )
    for width, height in ((2, 2), (16, 2000), (7680, 32), (32, 4320)):
        yield Case(
            "pixels",
            f"{width}x{height}",
            lambda to, size=(width, height): write(
                to / "p.mkv", 1.0, Pictures("ffv1", *size, rate=5), None
            ),
        )
    for pix_fmt in ("gray", "yuv444p", "yuv422p10le", "gbrp", "yuva420p", "rgb48be", "bgr0"):
        codec = {"rgb48be": "png", "gbrp": "utvideo"}.get(pix_fmt, "ffv1")
        yield Case(
            "pixels",
            pix_fmt,
            lambda to, codec=codec, pix_fmt=pix_fmt: write(
                to / "p.nut", pictures=Pictures(codec, pix_fmt=pix_fmt)
            ),
        )
    for form, codec, pix_fmt in (
        ("png", "png", "rgb24"),
        ("jpg", "mjpeg", "yuvj420p"),
        ("gif", "gif", "rgb8"),
        ("bmp", "bmp", "bgr24"),
    ):
        yield Case(
            "pixels",
            f"a single {form}",
            lambda to, c=codec, f=form, p=pix_fmt: write(
                to / f"p.{f}", 0.04, Pictures(c, pix_fmt=p), None
            ),
        )


# --- names and pipes ----------------------------------------------------------------------------

NAMES = [
    "12:30.mp4",
    "2026-11-30T12:30:00.mp4",
    "sp ace.mp4",
    "new\nline.mp4",
    "%03d.mp4",
    "a%d.png.mp4",
    "[bold]x[red].mp4",
    'it\'s "q".mp4',
    "#hash?.mp4",
    "noext",
    "UPPER.MP4",
    "a" * 240 + ".mp4",
    "ünï-漢字-😀.mp4",
    "http:x.mp4",
    "concat:a|b.mp4",
    "data:,x.mp4",
    "\x1b[31mred.mp4",
    "~.mp4",
    "-.mp4",
    os.fsdecode(b"bad\xff\xfe.mp4"),
]


def name_cases() -> Iterator[Case]:
    """K11: names, pipes, and what is no file."""
    for name in NAMES:
        yield Case(
            "names",
            ascii(name)[:40],
            lambda to, name=name: ["--", write(to / "x.mp4").rename(to / name).relative_to(to)],
        )
    yield Case(
        "names",
        "-dash without --",
        lambda to: [str(write(to / "x.mp4").rename(to / "-dash.mp4").relative_to(to))],
        code=2,
        says="./-dash.mp4",
    )
    yield Case("names", "too long", lambda to: ["x" * 300], code=2, says="too long")
    yield Case("names", "absent", lambda to: ["absent.mp4"], code=2, says="not a file")
    yield Case("names", "a folder", lambda to: [to], code=2, says="not a file")
    yield Case("names", "dangling", lambda to: linked(to, "nowhere"), code=2)
    yield Case("names", "loop", lambda to: linked(to, "link.mp4"), code=2)
    yield Case("names", "/dev/null", lambda to: ["/dev/null"], code=2)
    yield Case("names", "/dev/zero", lambda to: ["/dev/zero"], code=2)
    for form in ("mp4", "mkv", "wav"):
        sounds = Sounds("pcm_s16le" if form == "wav" else "aac")
        pictures = None if form == "wav" else Pictures()
        yield Case(
            "pipes",
            f"stdin, {form}",
            lambda to, f=form, s=sounds, p=pictures: write(
                to / f"x.{f}", pictures=p, sounds=s
            ).read_bytes(),
        )
    yield Case("pipes", "stdin that is empty", lambda to: b"", code=2, says="empty")
    yield Case("pipes", "a FIFO", lambda to: fed(to, write(to / "x.mkv").read_bytes()))
    yield Case(
        "pipes", "a FIFO without writer", lambda to: fed(to, None), code=2, says="nothing writes"
    )
    yield Case(
        "pipes",
        "the others are done",
        lambda to: [to / "absent.mp4", write(to / "x.mp4"), content("e.wav", b"")(to)],
        code=2,
        says="absent",
    )
    for name, text in {
        "net.m3u8": "#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXTINF:4,\nhttp://127.0.0.1:9/a.ts\n#EXT-X-ENDLIST\n",
        "self.m3u8": "#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXTINF:4,\nself.m3u8\n#EXT-X-ENDLIST\n",
        "self.ffconcat": "ffconcat version 1.0\nfile self.ffconcat\nfile self.ffconcat\n",
        "live.m3u8": "#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXTINF:4,\nabsent.ts\n",
        "x.sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\n"
        "m=audio 5004 RTP/AVP 0\n",
        "dash.mpd": "<?xml version='1.0'?><MPD><BaseURL>http://127.0.0.1:9/</BaseURL></MPD>",
    }.items():
        yield Case("names", name, content(name, text.encode()), code=2)


def linked(folder: Path, target: str) -> list[Path]:
    """Make a link."""
    (folder / "link.mp4").symlink_to(target)
    return [folder / "link.mp4"]


def fed(folder: Path, data: bytes | None) -> Path:
    """Make a FIFO, and feed it."""
    path = folder / "fifo"
    os.mkfifo(path)
    if data is not None:
        (folder / "fed").write_bytes(data)
        subprocess.Popen(["sh", "-c", "cat fed > fifo"], cwd=folder)
    return path


# --- size ---------------------------------------------------------------------------------------


def size_cases() -> Iterator[Case]:
    """What costs time or memory."""
    yield Case(
        "size",
        "1000 pictures a second",
        lambda to: write(to / "fast.mkv", 3.0, Pictures(rate=1000, width=320, height=240)),
    )
    yield Case(
        "size",
        "3840x2160",
        lambda to: write(to / "uhd.mkv", 1.0, Pictures(width=3840, height=2160, rate=5)),
    )
    yield Case(
        "size",
        "7680x4320 mjpeg",
        lambda to: write(to / "8k.mkv", 1.0, Pictures("mjpeg", 7680, 4320, 3, "yuvj420p")),
    )
    yield Case(
        "size",
        "7680x4320 h264",
        lambda to: write(
            to / "8k.mkv", 1.0, Pictures("libx264", 7680, 4320, 1, options={"preset": "ultrafast"})
        ),
    )
    yield Case(
        "size",
        "a PNG that says 60000x60000",
        spoiled(
            "vast.png",
            lambda d: d[:16] + struct.pack(">II", 60_000, 60_000) + d[24:],
            seconds=1.0,
            pictures=Pictures("png", 64, 64, 1, "rgb24"),
            sounds=None,
        ),
        code=2,
    )
    yield Case(
        "size",
        "a PNG of 8000x8000 zeros",
        lambda to: write(to / "big.png", 1.0, Pictures("png", 8000, 8000, 1, "rgb24"), None),
        code=2,
    )
    yield Case(
        "size", "a WAV that says 4 GB", content("long.wav", wav(bytes(64_000), size=0xFFFFFFFF))
    )
    yield Case("size", "a WAV that says nothing", content("long.wav", wav(bytes(64_000), size=0)))
    yield Case(
        "size",
        "64 channels of 192 kHz",
        lambda to: content("wide.wav", wav(bytes(64 * 2 * 192_000 * 2), 192_000, 64))(to),
    )
    yield Case(
        "size",
        "10 minutes of silence",
        lambda to: write(to / "s.flac", 600, None, Sounds("flac", 16_000, gains=[0.0])),
        honest_s=600,
    )
    yield Case(
        "size",
        "pictures of 655 s",
        lambda to: write(to / "slow.mkv", 3.0, Pictures(rate=1), None, stamp=lambda k, t: t * 655),
        honest_s=40,
    )


CASES = (time_cases, change_cases, track_cases, nothing_cases, shape_cases, name_cases, size_cases)


def main() -> int:
    """Run the cases and print what came of them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--verb", default="predict", choices=["predict", "transcribe"])
    parser.add_argument("--only", default="", help="part of the kind and name of a case")
    given = parser.parse_args()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    wrong, count, slowest, largest = 0, 0, 0.0, 0.0
    for case in (case for cases in CASES for case in cases()):
        if given.only not in f"{case.kind} {case.name}":
            continue
        outcome = tried(case, given.verb)
        faults = judged(case, outcome, given.verb)
        count, wrong = count + 1, wrong + bool(faults)
        slowest, largest = max(slowest, outcome.took_s), max(largest, outcome.memory_mb)
        print(
            f"{case.kind:9} {case.name:42.42} rc {outcome.code} {outcome.took_s:5.1f} s "
            f"{outcome.memory_mb:4.0f} MB  {'; '.join(faults) or 'good'}",
            flush=True,
        )
        if faults:
            print("    " + outcome.err.strip().replace("\n", "\n    ")[-600:])
    print(
        f"{given.verb}: {count} files, {count - wrong} as they should be, {wrong} not; "
        f"at most {slowest:.1f} s of processor time and {largest:.0f} MB"
    )
    return bool(wrong)


def tried(case: Case, verb: str) -> Outcome:
    """Give a case to the command line."""
    with tempfile.TemporaryDirectory() as folder:
        made = made_apart(case, Path(folder))
        arguments = ["-"] if isinstance(made, bytes) else made if isinstance(made, list) else [made]
        err = Path(folder) / "stderr"
        with err.open("w") as said:
            process = subprocess.Popen(
                [sys.executable, "-c", COMMAND, verb, *map(str, arguments)],
                cwd=folder,
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=said,
            )
        with contextlib.suppress(BrokenPipeError), process.stdin as pipe:
            pipe.write(made if isinstance(made, bytes) else b"")
        limit = threading.Timer(WALL_S, process.kill)
        limit.start()
        _, status, usage = os.wait4(process.pid, 0)
        limit.cancel()
        process.returncode = os.waitstatus_to_exitcode(status)
        took_s = usage.ru_utime + usage.ru_stime
        text = err.read_text(errors="replace")
        return Outcome(process.returncode, took_s, usage.ru_maxrss / 1024, text)


def made_apart(case: Case, folder: Path) -> Any:
    """Make a case in another process: the account of a child's memory begins with its parent's."""
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        try:
            os.write(writing, pickle.dumps(case.make(folder)))
            os._exit(0)
        finally:
            os._exit(1)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        made = pipe.read()
    _, status = os.waitpid(child, 0)
    if status:
        raise SystemExit(f"{case.kind} {case.name} cannot be made")
    return pickle.loads(made)


def judged(case: Case, outcome: Outcome, verb: str) -> list[str]:
    """Return what is wrong with an outcome."""
    faults = []
    # Without sound there is nothing to write down.
    soundless = verb == "transcribe" and case.code == 0 and "has no audio" in outcome.err
    if outcome.code != (2 if soundless else case.code):
        faults.append(f"exit code {case.code} wanted")
    if "Traceback" in outcome.err or "unexpected" in outcome.err:
        faults.append("an unexpected error")
    if verb == "predict" and case.says not in " ".join(outcome.err.split()):
        faults.append(f"does not say {case.says!r}")
    if outcome.took_s > GRACE_S + 2 * case.honest_s:
        faults.append("too long")
    if outcome.memory_mb > MEMORY_MB:
        faults.append("too much memory")
    return faults


if __name__ == "__main__":
    sys.exit(main())
