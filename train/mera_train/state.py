"""The files of a run: its newest two states, its best weights, its log."""

from __future__ import annotations

import json
import math
import shutil
import sys
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as serialized
from torch import Tensor

from mera_edge.errors import InputError
from mera_train import disk, fingerprint
from mera_train.fingerprint import Made

LAST, BEFORE, BEST, LOG = "last.safetensors", "before.safetensors", "best.safetensors", "log.jsonl"
BOARD = "tensorboard"

ANEW = "start over with --fresh (in Python resume=False)"


class Unreadable(InputError):
    """A state that is missing, empty, cut off or altered."""


@dataclass(frozen=True)
class State:
    """A state as read from disk."""

    path: Path
    tensors: dict[str, Tensor]
    metadata: dict[str, str]


def write(path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> None:
    """Write atomically, with a checksum."""
    # Cloned because weights may share memory, which safetensors refuses.
    kept = {name: t.detach().cpu().clone().contiguous() for name, t in tensors.items()}
    disk.write(path, serialized(kept, {**metadata, "crc32": _checksum(kept)}))


def keep(out: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> None:
    """Write the newest state of a run; the previous one is kept."""
    new = out / "new.safetensors"
    write(new, tensors, metadata)
    if (out / LAST).exists():
        (out / LAST).replace(out / BEFORE)
    new.replace(out / LAST)
    disk.settle(out)


def read(path: Path) -> State:
    """Read a state.

    Raises:
        Unreadable: it is missing, empty, cut off or altered.
    """
    try:
        with safe_open(path, "pt") as file:
            metadata = file.metadata() or {}
            # safe_open is not a mapping.
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    except FileNotFoundError as error:
        raise Unreadable(f"{path} is missing", ANEW) from error
    except (OSError, SafetensorError) as error:
        raise Unreadable(f"{path} cannot be read ({error})", ANEW) from error
    if "crc32" in metadata and metadata["crc32"] != _checksum(tensors):
        raise Unreadable(f"{path} is damaged: its checksum is wrong", ANEW)
    return State(path, tensors, metadata)


def _checksum(tensors: Mapping[str, Tensor]) -> str:
    total = 0
    for name in sorted(tensors):
        total = zlib.crc32(tensors[name].flatten().view(torch.uint8).numpy().data, total)
    return f"{total:08x}"


def exists(out: Path) -> bool:
    """Whether there is a run to resume."""
    return any((out / name).exists() for name in (LAST, BEFORE))


def newest(out: Path) -> State | None:
    """Return the newest readable state of a run, or ``None`` if there is no state.

    Raises:
        Unreadable: no existing state can be read.
    """
    if not exists(out):
        return None
    try:
        return read(out / LAST)
    except Unreadable as fault:
        try:
            found = read(out / BEFORE)
        except Unreadable as other:
            raise Unreadable(f"{fault.what}, and {other.what}", ANEW) from other
        print(f"{fault.what}: resuming from the previous state, {found.path}", file=sys.stderr)
        return found


def claim(out: Path, made: Made, resume: bool | Path) -> None:
    """Refuse a directory with another run's state, before anything is computed.

    Args:
        out: the output directory.
        made: fingerprint of the new run.
        resume: as for `mera_train.loop.fit`.

    Raises:
        InputError: names what differs.
    """
    if not resume:
        return
    directory = resume if isinstance(resume, Path) else out
    for name in (LAST, BEFORE):
        try:
            with safe_open(directory / name, "pt") as file:
                metadata = file.metadata() or {}
        except (OSError, SafetensorError):
            continue  # `newest` will say so.
        check(metadata, made, directory, resume)
        return


def check(metadata: Mapping[str, str], made: Made, where: Path, resume: bool | Path) -> None:
    """Refuse a state with another fingerprint than ``made``.

    Raises:
        InputError: names what differs.
    """
    if "made" in metadata:
        fingerprint.check(json.loads(metadata["made"]), made, where)
    elif isinstance(resume, Path):
        print(
            f"{where} does not record its settings and data: assuming that they are the same",
            file=sys.stderr,
        )
    else:
        raise InputError(
            f"{where} holds a run that does not record its settings and data",
            f"{ANEW}, choose another folder, or resume anyway with --resume {where}",
        )


def begin(out: Path) -> None:
    """Remove the states, best weights and log of an earlier run."""
    for name in (LAST, BEFORE, BEST, LOG):
        (out / name).unlink(missing_ok=True)
    shutil.rmtree(out / BOARD, ignore_errors=True)


def take_over(earlier: Path, out: Path, writes: bool) -> None:
    """Copy the states, best weights and log of the run in ``earlier`` to ``out``.

    Raises:
        InputError: there is no run in ``earlier``.
    """
    if not exists(earlier):
        remedy = "give the --out of an earlier run to --resume"
        raise InputError(f"{earlier / LAST} does not exist", remedy)
    if not writes:
        return
    begin(out)
    for name in (LAST, BEFORE, BEST, LOG):
        if (earlier / name).exists():
            with disk.whole(out / name) as file, (earlier / name).open("rb") as source:
                shutil.copyfileobj(source, file)


def rewind(out: Path, epoch: int) -> None:
    """Truncate the log to the state that the run resumes from."""
    if (log := out / LOG).is_file():
        lines = log.read_text(encoding="utf-8").splitlines(keepends=True)
        kept = [line for line in lines if line.endswith("\n") and _epoch(line) <= epoch]
        disk.write(log, "".join(kept))


def _epoch(line: str) -> float:
    try:
        return int(json.loads(line)["epoch"])
    except (ValueError, KeyError, TypeError):
        return math.inf  # A damaged line is skipped.
