"""Compares the outputs of two processor types: 50 inputs per role, and the sample.

    python benchmarks/portable.py answer OUT.npz [BUNDLE]     # on each machine
    python benchmarks/portable.py compare A.npz B.npz

Inputs are drawn from a seed, in the range of the real ones; models with memory are fed as a stream.
Labels have to be equal, numbers of models in full precision within 0.001. Where two labels are as
close as that on both machines, it is a tie, whichever comes first.
"""

from __future__ import annotations

import json
import platform
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mera_edge.bundle import Bundle, Role
from mera_edge.engine.protocol import Engine
from mera_edge.features.text import normalise
from mera_edge.features.tokens import Tokenizer
from mera_edge.sample import CLIP

INPUTS = 50
TOLERANCE = 1e-3
SENTENCES = (
    "i am so glad you came", "leave me alone", "what was that noise", "she died last winter",
    "this tastes rotten", "the train leaves at nine", "i did not expect you here", "go away",
    "thank you so much", "please be careful",
)  # fmt: skip

Draw = Callable[[np.random.Generator, tuple[int, ...]], NDArray[Any]]


def log_mel(random: np.random.Generator, shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Return frames at speech level."""
    return random.normal(8, 3, shape).astype(np.float32)


def grey(random: np.random.Generator, shape: tuple[int, ...]) -> NDArray[np.float32]:
    """A picture with a smooth gradient and noise, 0 to 255."""
    y, x = np.mgrid[0 : shape[-2], 0 : shape[-1]] / max(shape[-2:])
    wave = np.sin(6 * random.normal() * x + 6 * random.normal() * y + random.normal())
    noisy = 128 + 80 * wave + random.normal(0, 12, shape[-2:])
    return np.clip(noisy, 0, 255).reshape(shape).astype(np.float32)


def share(random: np.random.Generator, shape: tuple[int, ...]) -> NDArray[np.float32]:
    return random.dirichlet(np.ones(shape[-1]), shape[:-1]).astype(np.float32)


DRAWN: dict[str, Draw] = {
    "frames": log_mel,
    "x": log_mel,
    "picture": grey,
    "unimodal_probabilities": share,
    "present": lambda random, shape: (random.random(shape) < 0.7).astype(np.float32),
    "age_s": lambda random, shape: random.uniform(0, 3, shape).astype(np.float32),
    "face": lambda random, shape: (
        grey(random, shape) if len(shape) == 4 else random.normal(size=shape).astype(np.float32)
    ),
}


def answers(role: Role, engine: Engine) -> list[dict[str, NDArray[Any]]]:
    """Run a role's model on its inputs, one after the other."""
    random, found, memory = np.random.default_rng(7), [], dict[str, NDArray[Any]]()
    for index in range(INPUTS):
        feeds: dict[str, NDArray[Any]] = {}
        for name, spec in engine.inputs.items():
            if name in memory:
                feeds[name] = memory[name]
            elif name == "tokens":
                feeds[name] = tokens(role, index, spec.shape)
            elif name in DRAWN:
                feeds[name] = DRAWN[name](random, spec.shape)
            elif name in ("voice", "text"):
                feeds[name] = random.normal(size=spec.shape).astype(np.float32)
            else:
                # Caches begin at zero; masks and offsets are those of a full history.
                full = "cache" not in name
                feeds[name] = np.full(spec.shape, full, spec.dtype)
        answer = engine.run(feeds)
        found.append({name: value for name, value in answer.items() if "cache" not in name})
        for name, value in answer.items():
            for own in (name.removeprefix("next_"), name.replace("new_", "")):
                if own in engine.inputs and "cache" in own:
                    memory[own] = value
    return found


def tokens(role: Role, index: int, shape: tuple[int, ...]) -> NDArray[np.int64]:
    first, second = SENTENCES[index % 10], SENTENCES[index // 10]
    numbers = role.read("tokenizer", Tokenizer.read).encode(normalise(f"{first} {second}"))
    row = np.zeros(shape, np.int64)
    row[0, : len(numbers)] = numbers[: shape[1]]
    return row


def labels(process: subprocess.Popen[str]) -> list[str]:
    """Return the label of every event that `predict --json` has written."""
    said, errors = process.communicate()
    if process.returncode:
        sys.exit(errors)
    emotions = [json.loads(line).get("emotion") for line in said.splitlines()]
    return [emotion["label"] if emotion else "" for emotion in emotions]


def answer(out: Path, directory: Path | None) -> None:
    command = [sys.executable, "-m", "mera_edge", "predict", str(CLIP), "--json"]
    command += ["--bundle", str(directory)] if directory else []
    # In parallel: under emulation both take minutes.
    sample = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    bundle, kept = Bundle.open(directory), dict[str, NDArray[Any]]()
    for name, entry in bundle.manifest.roles.items():
        role = bundle.role(name)
        for index, values in enumerate(answers(role, role.engine())):
            kept.update({f"{name}/{entry.precision}/{index}/{k}": v for k, v in values.items()})
    kept["labels"] = np.array(labels(sample))
    np.savez_compressed(out, **kept)  # type: ignore[arg-type]
    print(f"{platform.machine()}: {len(kept)} answers in {out}")


def rows(values: NDArray[Any]) -> NDArray[Any]:
    return values.reshape(-1, values.shape[-1])


def compare(one: Path, other: Path) -> int:
    a, b = np.load(one), np.load(other)
    if set(a.files) != set(b.files):
        print("not the same roles", file=sys.stderr)
        return 2
    report: dict[str, dict[str, Any]] = {}
    for key in a.files:
        if key == "labels":
            report["sample"] = {"events": len(a[key]), "equal": bool((a[key] == b[key]).all())}
            continue
        role, precision, _, name = key.split("/")
        row = report.setdefault(
            role, {"precision": precision, "apart": 0.0, "other_labels": 0, "ties": 0}
        )
        row["apart"] = max(row["apart"], float(np.abs(a[key] - b[key]).max(initial=0)))
        if name in ("probabilities", "log_probs"):
            for here, there in zip(rows(a[key]), rows(b[key]), strict=True):
                first, second = here.argmax(), there.argmax()
                lead = max(here[first] - here[second], there[second] - there[first])
                row["other_labels"] += int(lead > TOLERANCE)
                row["ties"] += int(first != second and lead <= TOLERANCE)
    print(json.dumps(report, indent=1))
    good = report["sample"]["equal"] and all(
        not row["other_labels"] and (row["precision"] != "fp32" or row["apart"] <= TOLERANCE)
        for role, row in report.items()
        if role != "sample"
    )
    return 0 if good else 1


if __name__ == "__main__":
    if sys.argv[1:2] == ["answer"] and len(sys.argv) in (3, 4):
        answer(Path(sys.argv[2]), Path(sys.argv[3]) if len(sys.argv) == 4 else None)
    elif sys.argv[1:2] == ["compare"] and len(sys.argv) == 4:
        sys.exit(compare(Path(sys.argv[2]), Path(sys.argv[3])))
    else:
        sys.exit(__doc__)
