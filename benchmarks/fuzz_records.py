"""Fuzz test of manifests, pickles, feature files, configurations and states: read or refused.

    python benchmarks/fuzz_records.py [--count 1000]

Valid files of every kind are corrupted `count` times: bytes flipped, removed, duplicated, swapped,
fields replaced by values that people and broken tools write. A reader must read them or raise an
error of ours that names the file. Anything else is a fault: another exception, more than 10 s of
CPU time, more than 4 GiB, a crash. The same seed gives the same files. Exits with 1 if there is a
fault.
"""

from __future__ import annotations

import io
import json
import pickle
import random
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from contextlib import redirect_stderr
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import typer

from mera_edge import table
from mera_edge.errors import MeraError
from mera_edge.evaluation import labelled_csv
from mera_train import checkpoint, configuration, state
from mera_train.asr.config import Config as Asr
from mera_train.asr.corpora import read as read_corpus
from mera_train.face.train import Config as Face
from mera_train.features import clips
from mera_train.fusion.config import Config as Fusion
from mera_train.msa import mmsa, own
from mera_train.text.config import Config as Text
from mera_train.voice.config import Config as Voice

SLOW_S, MEMORY = 10, 4 << 30
BATCH = 500

NASTY = [
    *(b"", b"nan", b"NaN", b"-inf", b"1e999", b"-1", b"0", b"99999999999999999999", b"null"),
    *(b"../../etc/passwd", b"/dev/zero", b"a" * 5000, b"\x00", b"\xff\xfe", b"\xef\xbb\xbf"),
    *(b'"', b"'", b";", b"\t", b"\r\n", b"\n\n", b",,,,", b"~", b"rtsp://a:b@c/?d"),
    *(b"[" * 3000, b"{" * 3000, b"- " * 2000, b"&a *a", b"!!python/object:os.system"),
    *(b"\xf0\x9f\x98\xa1", b"happy", b"Happiness ", b"train", b"valid"),
]

CHECKPOINT = Path("train/checkpoints/face")

TABLE = b"file,text,label,split,speaker\n" + b"".join(
    b'a.wav,"well, fine %d",happy,train,anna\n' % number for number in range(6)
)
CLIPS = b"video_id,clip_id,text,label,label_T,label_A,label_V,annotation,mode\n" + b"".join(
    b"v,%d,good,0.5,0.5,,-0.2,Positive,train\n" % number for number in range(6)
)
LINES = b"".join(
    b'{"file": "a.wav", "text": "hello %d", "speaker": "anna", "split": "train"}\n' % number
    for number in range(6)
)


def _pickled(rng: random.Random) -> bytes:
    def part(n: int) -> dict[str, Any]:
        features = {name: np.ones((n, 3, 4), np.float32) for name in ("text", "audio", "vision")}
        return {
            **features,
            "regression_labels": np.linspace(-1, 1, n),
            "audio_lengths": [3] * n,
            "text_bert": np.ones((n, 3, 3)),
            "id": [f"v$_${i}" for i in range(n)],
        }

    parts = {name: part(4) for name in ("train", "valid", "test")}
    return pickle.dumps(parts, protocol=rng.randrange(6))


def _features(rng: random.Random) -> bytes:
    n, file = 4, io.BytesIO()
    arrays: dict[str, Any] = {
        "id": np.array(list("abcd")), "split": np.array(["train", "train", "valid", "test"]),
        "text": np.array(["x"] * n), "heard": np.array([""] * n),
        "emotion": np.array(["happy"] * n),
    }  # fmt: skip
    arrays |= {name: np.full(n, 0.5, np.float32) for name in clips.RATED}
    for name in ("voice", "face", "text"):
        arrays |= {
            f"{name}_embedding": np.ones((n, 3), np.float32),
            f"{name}_probabilities": np.full((n, 7), 1 / 7, np.float32),
            f"{name}_age_s": np.zeros(n, np.float32),
            f"{name}_present": np.ones(n, bool),
        }
    told = json.dumps({"schema": "mera-edge/features/1", "words": "both"})
    (np.savez if rng.random() < 0.5 else np.savez_compressed)(file, specification=told, **arrays)
    return file.getvalue()


def _configuration(rng: random.Random) -> bytes:
    files = sorted(Path("train/configs").rglob("*.yaml"))
    return rng.choice(files).read_bytes()


def _state(rng: random.Random) -> bytes:
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "a.safetensors"
        state.write(path, {"model.a": torch.ones(3, 4)}, {"position": "{}", "made": "{}"})
        return path.read_bytes()


def _read_configuration(path: Path) -> None:
    faults = []
    for model in (Asr, Voice, Face, Text, Fusion):
        try:
            configuration.read(path, model)
        except MeraError as error:
            faults.append(error)
    if len(faults) == 5:
        raise faults[0]


def _read_checkpoint(spoilt: Path) -> None:
    """Read the checkpoint of the face with one of its files spoilt."""
    directory = spoilt.parent / "checkpoint"
    shutil.copytree(CHECKPOINT, directory, dirs_exist_ok=True)
    shutil.copy(spoilt, directory)
    loaded = checkpoint.load(directory)
    _ = loaded.licence, loaded.settings(Face)


KINDS: dict[str, tuple[str, Callable[[random.Random], bytes], Callable[[Path], object]]] = {
    "labelled files (CSV)": (
        "a.csv", lambda rng: TABLE, lambda p: labelled_csv.read(p, "file", "label"),
    ),
    "labelled texts (CSV), bad rows left out": (
        "a.csv", lambda rng: TABLE,
        lambda p: labelled_csv.read(p, "text", "label", skipped=table.Skipped(9)),
    ),
    "speech manifests (CSV)": ("a.csv", lambda rng: TABLE, lambda p: read_corpus(p.parent, str(p))),
    "speech manifests (JSON Lines)": (
        "a.jsonl", lambda rng: LINES, lambda p: read_corpus(p.parent, str(p)),
    ),
    "clips (CSV)": ("a.csv", lambda rng: CLIPS, clips.read),
    "features of MMSA (pickle)": ("a.pkl", _pickled, lambda p: mmsa.read(p, "sims")),
    "features of clips (npz)": ("a.npz", _features, own.read),
    "configurations of training (YAML)": ("a.yaml", _configuration, _read_configuration),
    "states of runs (safetensors)": (
        "last.safetensors", _state, lambda p: state.newest(p.parent),
    ),
    **{
        f"{name} of checkpoints": (
            name, lambda rng, name=name: (CHECKPOINT / name).read_bytes(), _read_checkpoint,
        )
        for name in checkpoint.FILES
    },
}  # fmt: skip


def spoilt(content: bytes, rng: random.Random) -> bytes:
    """Corrupt a file in one to four ways."""
    data = bytearray(content)
    for _ in range(rng.randint(1, 4)):
        at, end = sorted(rng.randrange(len(data) + 1) for _ in range(2))
        how = rng.randrange(7)
        if how == 0 and data:
            data[at % len(data)] ^= 1 << rng.randrange(8)
        elif how == 1:
            del data[at : min(end, at + rng.choice([1, 8, 10_000]))]
        elif how == 2:
            data[at:at] = rng.choice(NASTY)
        elif how == 3:
            fields = bytes(data).replace(b"\n", b",").split(b",")
            field = rng.choice(fields)
            data = bytearray(bytes(data).replace(field, rng.choice(NASTY), 1) if field else data)
        elif how == 4:
            data[at:at] = data[at:end]
        elif how == 5:
            data[at:end] = bytes(rng.randrange(256) for _ in range(min(end - at, 40)))
        else:
            del data[at:]
    return bytes(data)


class Slow(BaseException):
    """A reader took too long."""


def _late(number: int, frame: object) -> None:
    raise Slow


def batch(kind: str, begin: int, end: int) -> dict[str, Any]:
    """Corrupt and read; return counts of outcomes, and the first seed of each fault."""
    name, make, read = KINDS[kind]
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY + (8 << 30), -1))
    # Of the processor, not of the clock: others may be busy.
    signal.signal(signal.SIGVTALRM, _late)
    counts: Counter[str] = Counter()
    first: dict[str, int] = {}
    with tempfile.TemporaryDirectory() as directory, redirect_stderr(io.StringIO()):
        path = Path(directory) / name
        (path.parent / "a.wav").touch()
        path.write_bytes(make(random.Random(begin)))
        read(path)  # As it is, it can be read.
        for seed in range(begin, end):
            rng = random.Random(f"{kind} {seed}")
            path.write_bytes(spoilt(make(rng), rng))
            signal.setitimer(signal.ITIMER_VIRTUAL, SLOW_S)
            try:
                read(path)
                what = "read"
            except MeraError as error:
                what = "refused" if str(path.parent) in str(error) else "refused without a name"
            except Slow:
                what = f"over {SLOW_S} s"
            except BaseException as error:  # noqa: BLE001  (that is what is looked for)
                what = type(error).__name__
            signal.setitimer(signal.ITIMER_VIRTUAL, 0)
            counts[what] += 1
            first.setdefault(what, seed)
    faults = {what: first[what] for what in counts if what not in ("read", "refused")}
    return {"counts": counts, "faults": faults}


def main(
    count: Annotated[int, typer.Option(min=1, help="spoilt files of every kind")] = 1000,
    only: Annotated[str | None, typer.Option(help="one kind, and print its counts")] = None,
    begin: Annotated[int, typer.Option(min=0, help="the first seed")] = 0,
) -> None:
    """Count the outcomes for corrupted files."""
    if only is not None:
        print(json.dumps(batch(only, begin, begin + count)))
        return
    print("| what is spoilt | files | read | refused in one line | faults | s |")
    print("| --- | --- | --- | --- | --- | --- |")
    faults = 0
    for kind in KINDS:
        counts: Counter[str] = Counter()
        told: dict[str, Any] = {}
        started = time.monotonic()
        for start in range(begin, begin + count, BATCH):
            # In a process of its own: a crash is a fault as well.
            many = min(BATCH, begin + count - start)
            command = [sys.executable, __file__, "--only", kind, "--begin", str(start)]
            done = subprocess.run(
                [*command, "--count", str(many)], capture_output=True, text=True, check=False
            )
            if done.returncode:
                counts[f"crash {done.returncode}"] += 1
                told[f"crash {done.returncode}"] = f"{start}: {done.stderr[-300:]}"
                continue
            answer = json.loads(done.stdout.splitlines()[-1])
            counts.update(answer["counts"])
            told = answer["faults"] | told
        bad = {what: n for what, n in counts.items() if what not in ("read", "refused")}
        faults += sum(bad.values())
        said = ", ".join(f"{n} {what} (seed {told[what]})" for what, n in bad.items()) or "0"
        print(
            f"| {kind} | {sum(counts.values())} | {counts['read']} | {counts['refused']} | {said} "
            f"| {time.monotonic() - started:.0f} |",
            flush=True,
        )
    raise typer.Exit(1 if faults else 0)


if __name__ == "__main__":
    typer.run(main)
