"""Fuzz test of bundles: corrupt, open and use them, and count the outcomes.

    python benchmarks/fuzz_bundles.py --count 3000

Every case is generated from its number. Failures are ``escaped`` (an exception other than
`MeraError`), ``unclear`` (an error without a remedy, or with several lines), ``crashed`` and
``hung``. Exit code 1 on a failure.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
import traceback
import warnings
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import numpy as np

from mera_edge.asr import Recognizer, finalized
from mera_edge.bundle import Bundle
from mera_edge.bundle.load import DEFAULT
from mera_edge.errors import MeraError
from mera_edge.evidence import Evidence
from mera_edge.features.audio import AudioBlock
from mera_edge.features.fbank import BINS
from mera_edge.labels import MODALITIES
from mera_edge.stages.face import FaceStage
from mera_edge.stages.fusion import FusionStage
from mera_edge.stages.text import TextStage
from mera_edge.stages.vad import VoiceActivity
from mera_edge.stages.voice import VoiceStage

LIMIT_S, PATIENCE_S = 20, 300
"""What a case may take of a processor, and by the clock on a busy machine."""
BAD = ("escaped", "unclear", "crashed", "hung")


@dataclass
class Draft:
    """A bundle to be corrupted."""

    files: dict[str, bytes]
    facts: Any
    text: bytes | None = None
    """The manifest, where it is no longer the JSON of ``facts``."""

    @property
    def entries(self) -> list[dict[str, Any]]:
        """The descriptions of its files, as far as they are still to be recognized."""
        return [file for role in self.facts["roles"].values() for file in role["files"].values()]

    def describe(self) -> None:
        """Update sizes and hashes."""
        for entry in self.entries:
            data = self.files[entry["path"]]
            entry |= {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}

    def manifest(self) -> bytes:
        return json.dumps(self.facts).encode() if self.text is None else self.text


def damage(random: Random, data: bytes) -> bytes:
    """Change some bytes, cut something out, put something in, or cut the end off."""
    place = random.randrange(len(data) + 1)
    how = random.randrange(5)
    if how == 0:
        changed = bytearray(data)
        for _ in range(random.choice((1, 3, 30))):
            if changed:
                changed[random.randrange(len(changed))] = random.randrange(256)
        return bytes(changed)
    if how == 1:
        return data[:place]
    if how == 2:
        return data[:place] + random.randbytes(random.choice((1, 8, 1000))) + data[place:]
    if how == 3:
        return data[:place] + data[place + random.choice((1, 8, 1000)) :]
    # Where formats keep their facts: at the beginning and at the end.
    changed = bytearray(data)
    for _ in range(5):
        if changed:
            changed[random.choice((1, -1)) * random.randrange(min(400, len(changed)))] ^= 1 << 3
    return bytes(changed)


def odd(random: Random) -> Any:
    """Return an unexpected value."""
    nested: Any = 0
    for _ in range(random.choice((3, 100, 400))):
        nested = [nested]
    return random.choice((
        None, True, -1, 0, 10**30, 1e308, "", "x" * 10_000, "\0", "../x", "/etc/passwd", "C:\\x",
        "\u202e[/bold]\x1b[31m", [], {}, {"a": {}}, nested, [1, 1, 99, 99], "face.onnx", "a" * 64,
    ))  # fmt: skip


def spots(facts: Any) -> Iterator[tuple[Any, Any]]:
    """Every container in a JSON value, with each of its keys."""
    if isinstance(facts, dict | list):
        for key in list(facts) if isinstance(facts, dict) else range(len(facts)):
            yield facts, key
            yield from spots(facts[key])


def altered_file(random: Random, draft: Draft) -> None:
    name = random.choice(list(draft.files))
    draft.files[name] = damage(random, draft.files[name])


def wrong_file_well_described(random: Random, draft: Draft) -> None:
    altered_file(random, draft)
    draft.describe()


def swapped_file(random: Random, draft: Draft) -> None:
    name = random.choice(list(draft.files))
    draft.files[name] = random.choice(sorted(DEFAULT.iterdir())).read_bytes()
    draft.describe()


def missing_file(random: Random, draft: Draft) -> None:
    del draft.files[random.choice(list(draft.files))]


def altered_facts(random: Random, draft: Draft) -> None:
    for _ in range(random.choice((1, 1, 3))):
        where, key = random.choice(list(spots(draft.facts)) or [({0: 0}, 0)])
        if random.random() < 0.25:
            del where[key]
        elif random.random() < 0.25 and isinstance(where, dict):
            where[random.choice(("extra", "", "schema", "model"))] = odd(random)
        else:
            where[key] = odd(random)


def false_shapes(random: Random, draft: Draft) -> None:
    role = random.choice(list(draft.facts["roles"].values()))
    tensor = random.choice(role["inputs"] + role["outputs"])
    key = random.choice(("shape", "dtype", "name"))
    tensor[key] = {
        "shape": [random.choice((0, 1, 2, -1, 10**12)) for _ in range(random.randrange(5))],
        "dtype": random.choice(("float32", "int64", "bool")),
        "name": random.choice(("x", "", "frames", "face")),
    }[key]


def false_facts_of_the_model(random: Random, draft: Draft) -> None:
    role = random.choice(list(draft.facts["roles"].values()))
    key = random.choice(("labels", "settings", "features", "files"))
    where, spot = random.choice(list(spots(role[key])) or [(role, key)])
    where[spot] = odd(random) if random.random() < 0.7 else random.choice(("happy", 7, 3))


def odd_text(random: Random, draft: Draft) -> None:
    good = json.dumps(draft.facts).encode()
    draft.text = random.choice((
        b"", b"\0" * 100, b"\xff\xfe" + good, b"\xef\xbb\xbf" + good, good[: len(good) // 2],
        b"[" * 100_000 + b"]" * 100_000, b'{"a":' * 100_000, b'{"schema": ' + b"9" * 5000 + b"}",
        good.replace(b"1", b"1e999", 1), good.replace(b"1", b"NaN", 1), b"null", b"[]", good * 2,
        b" " * 20_000_000 + good, good.replace(b'"name"', b'"name": 1, "name"', 1),
    ))  # fmt: skip


def odd_arrays(random: Random, draft: Draft) -> None:
    archives = [name for name in draft.files if name.endswith(".npz")]
    if not archives:
        return wrong_file_well_described(random, draft)
    name = random.choice(archives)
    with np.load(io.BytesIO(draft.files[name])) as file:
        arrays = dict(file)
    key = random.choice(list(arrays))
    array = arrays[key]
    arrays[key] = random.choice((
        array[..., :0] if array.ndim else np.zeros(0), array.ravel()[:7], array[None],
        np.full_like(array, 255 if array.dtype == np.uint8 else -1e4), np.array("text"),
        np.full(array.shape, np.nan), np.array([{}], object), np.zeros(2_000_000),
    ))  # fmt: skip
    if random.random() < 0.2:
        del arrays[key]
    out = io.BytesIO()
    np.savez(out, **arrays)
    draft.files[name] = out.getvalue()
    return draft.describe()


SPOILS: tuple[Callable[[Random, Draft], None], ...] = (
    altered_file, wrong_file_well_described, swapped_file, missing_file, altered_facts,
    false_shapes, false_facts_of_the_model, odd_text, odd_arrays,
)  # fmt: skip


def write(random: Random, draft: Draft, directory: Path) -> Path:
    """Write a draft as a directory or as a zip, which may be spoiled too."""
    manifest = draft.manifest()
    bundle = directory / "bundle"
    if random.random() < 0.5:
        bundle.mkdir()
        (bundle / "bundle.json").write_bytes(manifest)
        for name, data in draft.files.items():
            (bundle / name).write_bytes(data)
        victim = bundle / random.choice(("bundle.json", *draft.files))
        odd_place = random.randrange(20)
        if odd_place < 4:
            victim.unlink()
            if odd_place == 0:
                victim.mkdir()
            elif odd_place == 1:
                os.mkfifo(victim)
            else:
                victim.symlink_to("/dev/zero" if odd_place == 2 else victim)
        return bundle
    packing = random.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2))
    archive = bundle.with_suffix(".zip")
    with zipfile.ZipFile(archive, "w", packing, compresslevel=1) as file:
        file.writestr("bundle.json", manifest)
        for name, data in draft.files.items():
            file.writestr(name, data)
        extra = random.randrange(16)
        if extra == 0:
            file.writestr("../../out", b"x")
        elif extra == 1:
            name = next(iter(draft.files), "zeros")
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # it is the second of its name
                file.writestr(name, bytes(30_000_000))
    data = archive.read_bytes()
    marked = random.randrange(16)
    if marked < 2:  # encrypted, or packed in a way that nobody knows
        central = data.rindex(b"PK\1\2")
        place, value = ((8, b"\1\0"), (10, b"\x63\0"))[marked]
        data = data[: central + place] + value + data[central + place + 2 :]
    elif marked == 2:
        data = damage(random, data)
    archive.write_bytes(data)
    return archive


def use(bundle: Bundle) -> None:
    """Make every role's stage and have it answer once."""
    silence = np.zeros((80, BINS), np.float32)
    for name in bundle.manifest.roles:
        if name == "voice":
            VoiceStage(bundle).accept(silence, 1.0)
        elif name == "vad":
            VoiceActivity(bundle).accept(silence)
        elif name == "face":
            FaceStage(bundle).read(np.zeros((48, 48), np.float32))
        elif name == "text":
            TextStage(bundle).accept("i am so happy, 我很高兴", 1.0)
        elif name == "asr":
            recognizer = Recognizer(bundle)
            recognizer.accept(AudioBlock(silence, 0.8))
            recognizer.flush()
            finalized(recognizer)
        elif name == "fusion":
            seven = np.full(7, 1 / 7, np.float32)
            widths = {
                tensor.name: tensor.shape[-1] for tensor in bundle.manifest.roles[name].inputs
            }
            evidence = [
                Evidence(m, 0.0, seven, 0.0, np.zeros(widths[m], np.float32)) for m in MODALITIES
            ]
            FusionStage(bundle).fuse(evidence, 0.0)


def case(number: int, directory: Path, small: bool = False) -> tuple[str, str, str]:
    """Return what was done to a bundle, what came of it, and the message.

    Args:
        number: of the case.
        directory: where the bundle may be written.
        small: use small models only.
    """
    random = Random(number)
    facts = json.loads((DEFAULT / "bundle.json").read_text(encoding="utf-8"))
    weights = (4, 4, 4, 0, 0, 0) if small else (4, 4, 4, 3, 3, 1)
    role = random.choices(("fusion", "vad", "voice", "face", "text", "asr"), weights)[0]
    facts["roles"] = {role: facts["roles"][role]}
    names = [entry["path"] for entry in facts["roles"][role]["files"].values()]
    draft = Draft({name: (DEFAULT / name).read_bytes() for name in names}, facts)
    spoil = random.choice(SPOILS)
    spoil(random, draft)
    path = write(random, draft, directory)
    what = f"{role}: {spoil.__name__}"
    try:
        use(Bundle.open(path))
    except MeraError as error:
        clear = error.exit_code == 2 and error.what and "\n" not in str(error)
        return what, "refused" if clear and len(str(error)) < 2000 else "unclear", str(error)
    except Exception:  # noqa: BLE001  (what escapes is what is looked for)
        return what, "escaped", traceback.format_exc()
    return what, "worked", ""


def work(first: int, last: int) -> None:
    """Be the child: a line of JSON for every case."""
    for number in range(first, last):
        # A case that hangs is ended by the system.
        signal.setitimer(signal.ITIMER_PROF, LIMIT_S)
        signal.alarm(PATIENCE_S)
        with tempfile.TemporaryDirectory() as directory:
            began = time.process_time()
            what, outcome, message = case(number, Path(directory))
            print(json.dumps([what, outcome, message, time.process_time() - began]), flush=True)


def run(first: int, last: int) -> Iterator[tuple[int, str, str, str, float]]:
    """Give number, what was done, outcome, message and seconds of every case."""
    while first < last:
        command = [sys.executable, __file__, "--first", str(first), "--last", str(last)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
            for line in child.stdout or ():
                yield first, *json.loads(line)
                first += 1
        if first < last:
            if child.returncode >= 0:
                raise RuntimeError(f"case {first} ended the child with {child.returncode}")
            died = "hung" if -child.returncode in (signal.SIGALRM, signal.SIGPROF) else "crashed"
            yield first, "case", died, signal.Signals(-child.returncode).name, float(LIMIT_S)
            first += 1


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    arguments.add_argument("--count", type=int, default=3000)
    arguments.add_argument("--first", type=int, default=0)
    arguments.add_argument("--last", type=int, help=argparse.SUPPRESS)
    given = arguments.parse_args()
    if given.last is not None:
        return work(given.first, given.last)
    outcomes: Counter[str] = Counter()
    slowest = 0.0
    for number, what, outcome, message, seconds in run(given.first, given.first + given.count):
        outcomes[outcome] += 1
        slowest = max(slowest, seconds)
        if outcome in BAD:
            print(f"case {number}, {what}: {outcome}\n{message}", file=sys.stderr, flush=True)
    peak_mb = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    facts = {"cases": given.count, **outcomes, "slowest_s": round(slowest, 1)}
    print(json.dumps(facts | {"peak_mb": round(peak_mb)}))
    return sys.exit(any(outcomes[bad] for bad in BAD))


if __name__ == "__main__":
    main()
