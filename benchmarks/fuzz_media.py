"""Fuzz test of `MediaFile`: corrupted files must be read or raise an InputError.

    nice python benchmarks/fuzz_media.py [--count 5000] [--seed 0] [--keep FOLDER]

Small clips in many formats are generated and corrupted at random: bytes are flipped, removed,
duplicated, zeroed, or replaced by a part of another clip. Each is read to its end in its own
process with 1 GiB of memory and 20 s of CPU time. Exits with 1 on any other outcome.
"""

from __future__ import annotations

import argparse
import collections
import os
import resource
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
from made import Pictures, Sounds, write

MEMORY, SECONDS, LONGEST_S = 1 << 30, 20, 600.0

Random = np.random.Generator


def clips(folder: Path) -> list[Path]:
    """Generate the clips to corrupt."""
    made = [write(folder / f"a.{form}", 2.0) for form in ("mp4", "mkv", "ts", "avi", "mov", "nut")]
    made.append(write(folder / "fragments.mp4", 2.0, options={"movflags": "frag_keyframe"}))
    for codec, form in (
        ("aac", "aac"),
        ("libmp3lame", "mp3"),
        ("flac", "flac"),
        ("libopus", "ogg"),
        ("pcm_s16le", "wav"),
        ("pcm_s24be", "aiff"),
        ("ac3", "ac3"),
        ("wavpack", "wv"),
    ):
        made.append(write(folder / f"s.{form}", 2.0, None, Sounds(codec, 48_000, "stereo")))
    for codec, form, pix_fmt in (
        ("libx264", "h264", "yuv420p"),
        ("libvpx", "webm", "yuv420p"),
        ("mpeg2video", "mpg", "yuv420p"),
        ("mjpeg", "mjpeg", "yuvj420p"),
        ("gif", "gif", "rgb8"),
        ("flv", "flv", "yuv420p"),
        ("ffv1", "mkv", "yuv444p"),
        ("libx264", "mp4", "yuv420p"),
    ):
        pictures = Pictures(codec, 96, 64, pix_fmt=pix_fmt)
        made.append(write(folder / f"v-{codec}.{form}", 2.0, pictures, None))
    return made


def flip(data: bytearray, random: Random, others: list[bytes]) -> None:
    """Corrupt some bytes."""
    for at in random.integers(0, len(data), int(2 ** random.uniform(0, 11))):
        data[at] ^= int(random.integers(1, 256))


def flip_head(data: bytearray, random: Random, others: list[bytes]) -> None:
    """Corrupt bytes in the headers."""
    for at in random.integers(0, min(len(data), 2000), int(random.integers(1, 12))):
        data[at] = int(random.integers(0, 256))


def cut(data: bytearray, random: Random, others: list[bytes]) -> None:
    """Remove a part, often the end."""
    begins = int(random.integers(0, len(data)))
    ends = len(data) if random.random() < 0.5 else int(random.integers(begins, len(data)))
    del data[begins:ends]


def double(data: bytearray, random: Random, others: list[bytes]) -> None:
    """Duplicate a part."""
    begins, ends = sorted(random.integers(0, len(data), 2))
    data[ends:ends] = data[begins:ends]


def zero(data: bytearray, random: Random, others: list[bytes]) -> None:
    """Zero a part."""
    begins, ends = sorted(random.integers(0, len(data), 2))
    data[begins:ends] = bytes(ends - begins)


def splice(data: bytearray, random: Random, others: list[bytes]) -> None:
    """Insert a part of another file."""
    other = others[int(random.integers(len(others)))]
    begins, ends = sorted(random.integers(0, len(other), 2))
    at = int(random.integers(0, len(data)))
    data[at : at + (ends - begins) * int(random.integers(2))] = other[begins:ends]


SPOIL: list[Callable[[bytearray, Random, list[bytes]], None]] = [
    flip, flip, flip_head, flip_head, cut, double, zero, splice,
]  # fmt: skip


def read(path: Path) -> str:
    """Read a file to its end and return the outcome."""
    from mera_edge.errors import InputError
    from mera_edge.sources.media import MediaFile

    media, now_s = MediaFile(path), 0.0
    try:
        media.open()
        while not media.ended:
            now_s += 0.2
            captured = media.poll(now_s)
            if now_s > LONGEST_S:
                return "does not end"
            if captured.frame is not None and captured.frame.image.ndim != 3:
                return "a picture without pixels"
        media.close()
    except InputError:
        return "refused"
    except BaseException as error:  # noqa: BLE001  (which is what is looked for)
        return f"{type(error).__name__}: {error}"[:200]
    return "read, with notices" if media.notices else "read"


def apart(path: Path) -> str:
    """Read a file in a separate process."""
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
        resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS))
        os.write(writing, read(path).encode(errors="replace"))
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        said = pipe.read().decode(errors="replace")
    _, status = os.waitpid(child, 0)
    return said if status == 0 else f"killed by signal {status & 0x7F}"


def main() -> int:
    """Corrupt, read, count."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=5000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", type=Path, help="where files go that came to a bad end")
    given = parser.parse_args()
    import av

    import mera_edge.sources.media  # noqa: F401  (once, not in every process)

    av.logging.set_level(av.logging.PANIC)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    outcomes: collections.Counter[str] = collections.Counter()
    good = {"read", "read, with notices", "refused"}
    with tempfile.TemporaryDirectory() as folder:
        paths = clips(Path(folder))
        whole = [path.read_bytes() for path in paths]
        for index in range(given.count):
            random = np.random.default_rng([given.seed, index])
            which = int(random.integers(len(paths)))
            data = bytearray(whole[which])
            for spoil in random.choice(len(SPOIL), int(random.integers(1, 4))):
                if data:
                    SPOIL[spoil](data, random, whole)
            path = Path(folder) / f"spoiled{paths[which].suffix}"
            path.write_bytes(data)
            outcome = apart(path)
            outcomes[outcome] += 1
            if outcome not in good:
                print(f"{index} {paths[which].name}: {outcome}", flush=True)
                if given.keep is not None:
                    given.keep.mkdir(parents=True, exist_ok=True)
                    (given.keep / f"{index}{path.suffix}").write_bytes(data)
    for outcome, count in outcomes.most_common():
        print(f"{count:6} {outcome}")
    bad = sum(count for outcome, count in outcomes.items() if outcome not in good)
    print(f"{given.count} spoiled files of {len(paths)} formats, seed {given.seed}: {bad} bad ends")
    return bool(bad)


if __name__ == "__main__":
    sys.exit(main())
