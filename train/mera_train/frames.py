"""Log-mel frames of many recordings, cached in one memory-mapped file."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib.format import write_array_header_1_0
from numpy.typing import NDArray

from mera_edge.features.fbank import BINS
from mera_train import disk, fingerprint


def write(
    path: Path, made: str, recordings: Iterable[tuple[dict[str, Any], NDArray[np.float16]]]
) -> None:
    """Write the frames ``[n, 80]`` and description of each recording to ``path`` (.npy, .jsonl).

    Half precision is enough: it resolves 0.01 dB and halves the file size.
    """
    parts, lines, start = [], [], 0
    for facts, part in recordings:
        lines.append(json.dumps({**facts, "start": start, "end": start + len(part)}))
        parts.append(part)
        start += len(part)
    # Not memory-mapped for writing: on a full disk, writing to a map kills the process.
    with disk.whole(path.with_suffix(".npy")) as file:
        header = {"descr": "<f2", "fortran_order": False, "shape": (start, BINS)}
        write_array_header_1_0(file, header)
        for part in parts:
            file.write(np.ascontiguousarray(part, "<f2").data)
    disk.write(path.with_suffix(".jsonl"), "\n".join(lines) + "\n")
    fingerprint.stamp(path.with_suffix(".jsonl"), made)


def written(path: Path, made: str) -> bool:
    """Whether a complete file with the same recordings exists."""
    return not fingerprint.stale(path.with_suffix(".jsonl"), made)


def read(path: Path) -> tuple[NDArray[np.float16], list[dict[str, Any]]]:
    """Return all frames, memory-mapped; by recording its description, ``start`` and ``end``."""
    lines = path.with_suffix(".jsonl").read_text(encoding="utf-8").splitlines()
    return np.load(path.with_suffix(".npy"), mmap_mode="r"), [json.loads(line) for line in lines]
