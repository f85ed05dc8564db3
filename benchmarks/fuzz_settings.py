"""Fuzz test of settings: never a traceback, never a leaked secret.

    python benchmarks/fuzz_settings.py [--count 6000]

Every case is a TOML file, often corrupted byte by byte, sometimes with an environment variable and
flags, generated from its number. The addresses and sources of rooms are evaluated. Failures are an
exception other than `MeraError`, an error without a remedy or with several lines, the password in a
message, or more than 10 s. Exit code 1 on a failure.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
import tempfile
import traceback
from collections import Counter
from pathlib import Path
from random import Random
from typing import Any

from mera_edge.config import load
from mera_edge.errors import MeraError
from mera_edge.sources.select import select

SECRET = "s3cr3tXYZ"
SLOW_S = 10
GOOD = ("used", "refused")

KEYS = ["camera", "mic", "room", "sink", "budget_ms", "providers", "recognition", "password_file"]
VARIABLES = KEYS.copy()
KEYS += ["bundle", "ticks_per_second", "name", "hot_words", "search", "camra", '"a b"', '""']
SCALARS = [
    *("0", "-1", "nan", "1e400", "true", "1979-05-27", "07:32:00", "1" * 5000, '""', "[]", "{}"),
    *('"\\u0000"', f'"{"a" * 5000}"', '"/"', '"none"', '"-"', '"clip.mp4"', '"/dev/video0"'),
    *(f'"rtsp://u:{SECRET}@h/1"', f'"http://h/?pw={SECRET}"', f'"u:{SECRET}@h/1.mp4"'),
    f'"rtspsrc user-pw={SECRET} ! appsink"',
]
VALUES = ["0,1", "", ",", "a=b,c", f"rtsp://u:{SECRET}@h/1,2", "x" * 300, "\udc80"]
FLAGS: list[dict[str, Any]] = [
    {"camera": ["0", "1"], "mic": ["none"] * 3}, {"providers": {"face": "gpu"}},
    {"recognition": {"model": f"sherpa:http://h/?pw={SECRET}"}}, {"sink": ()},
    {"camera": [f"rtsp://u:{SECRET}@h/{'x' * 300}"]}, {"budget_ms": 10**30},
]  # fmt: skip
JUNK = [b"\0", b"\xff\xfe", b"\xef\xbb\xbf", b'"""', b"[[", b"]", b"=", b"\r", b"{" * 500, b"#"]


def document(random: Random) -> str:
    """Generate an unusual settings file."""

    def value(depth: int) -> str:
        kind = random.random() + 0.15 * depth
        if kind > 0.5:
            return random.choice(SCALARS)
        if kind > 0.25:
            return f"[{', '.join(value(depth + 1) for _ in range(random.randint(0, 3)))}]"
        return f"{{{', '.join(lines(depth + 1, 3))}}}"

    def lines(depth: int, most: int) -> list[str]:
        keys = random.sample(KEYS, random.randint(0, most))
        return [f"{key} = {value(depth)}" for key in keys]

    tables = ["[[room]]", "[room]", "[recognition]", "[providers]", "[[room.x]]"]
    parts = lines(0, 2)
    for table in random.sample(tables, random.randint(0, 2)):
        parts += [table, *lines(1, 3)]
    return "\n".join(parts)


def spoiled(data: bytes, random: Random) -> bytes:
    """Flip bits, delete, insert, duplicate or truncate."""
    for _ in range(random.randint(1, 3)):
        begins, ends = sorted(random.randrange(len(data) + 1) for _ in range(2))
        data = random.choice((
            data[:begins] + bytes(byte ^ 1 << random.randrange(8) for byte in data[begins:ends][:3])
            + data[begins + 3 :],
            data[:begins] + data[ends:],
            data[:begins] + random.choice(JUNK) + data[begins:],
            data[:ends] + data[begins:],
            data[:begins],
        ))  # fmt: skip
    return data


def case(number: int, folder: Path) -> tuple[str, str]:
    """Generate and use settings; return the outcome and the message."""
    random = Random(number)
    data = document(random).encode()
    file = folder / "config.toml"
    file.write_bytes(spoiled(data, random) if random.random() < 0.4 else data)
    variable = f"MERA_EDGE_{random.choice(VARIABLES).upper()}"
    environment = {variable: random.choice(VALUES)} if random.random() < 0.3 else {}
    flags = random.choice(FLAGS) if random.random() < 0.1 else {}
    try:
        names = [
            source.name
            for room in load(file, flags, environment).rooms
            for source in select(*room.addresses(), room.id)
        ]
    except MeraError as error:
        said = str(error)
        if error.exit_code != 2 or "\n" in said.strip() or len(said) > 2000:
            return "unclear", said
        return ("shows the secret" if SECRET in said else "refused"), said
    except Exception:  # noqa: BLE001  (what escapes is what is looked for)
        return "escaped", traceback.format_exc()
    return ("shows the secret" if any(SECRET in name for name in names) else "used"), ""


def main() -> int:
    """Run all cases and count the outcomes."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--count", type=int, default=6000)
    parser.add_argument("--first", type=int, default=0)
    given = parser.parse_args()
    outcomes: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as folder:
        for number in range(given.first, given.first + given.count):
            # A case that takes longer ends the process.
            signal.setitimer(signal.ITIMER_PROF, SLOW_S)
            outcome, message = case(number, Path(folder))
            outcomes[outcome] += 1
            if outcome not in GOOD:
                print(f"case {number}: {outcome}\n{message}", file=sys.stderr, flush=True)
    print(json.dumps({"cases": given.count, **outcomes}))
    return int(any(outcome not in GOOD for outcome in outcomes))


if __name__ == "__main__":
    sys.exit(main())
