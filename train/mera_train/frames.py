"""Log-mel frames of many recordings in one memory-mapped file, so that they are computed once."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib.format import open_memmap
from numpy.typing import NDArray

from mera_edge.features.fbank import BINS


def write(path: Path, recordings: Iterable[tuple[dict[str, Any], NDArray[np.float16]]]) -> None:
    """Write what each recording is, and its frames ``[n, 80]``, to ``path`` (.npy, .jsonl).

    Half precision is enough: it resolves a hundredth of a decibel, and the file is half as large.
    The .jsonl is written last: where it is, the file is whole.
    """
    parts, lines, start = [], [], 0
    for facts, part in recordings:
        lines.append(json.dumps({**facts, "start": start, "end": start + len(part)}))
        parts.append(part)
        start += len(part)
    path.parent.mkdir(parents=True, exist_ok=True)
    out = open_memmap(path.with_suffix(".npy"), "w+", np.float16, (start, BINS))
    np.concatenate(parts, out=out)
    out.flush()
    path.with_suffix(".jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")


def written(path: Path) -> bool:
    """Whether `write` came to its end."""
    return path.with_suffix(".jsonl").exists()


def read(path: Path) -> tuple[NDArray[np.float16], list[dict[str, Any]]]:
    """Return all frames, mapped, and of each recording what it is, its ``start`` and ``end``."""
    lines = path.with_suffix(".jsonl").read_text(encoding="utf-8").splitlines()
    return np.load(path.with_suffix(".npy"), mmap_mode="r"), [json.loads(line) for line in lines]
