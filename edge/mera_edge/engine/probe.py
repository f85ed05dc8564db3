"""A first run of an engine in a process of its own: TensorRT crashes where others raise."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from mera_edge.engine import cache
from mera_edge.errors import EngineError, MeraError

_CHILD = (sys.executable, "-m", "mera_edge.engine.probe")


def probe(path: Path, timeout_s: float = 120.0, child: Sequence[str] = _CHILD) -> None:
    """Load and run an engine elsewhere; a success is noted beside it and not repeated.

    Raises:
        EngineError: it did not run; says how it ended.
    """
    if cache.read(path).probed:
        return
    try:
        done = subprocess.run(
            [*child, str(path)], capture_output=True, text=True, timeout=timeout_s, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise EngineError(f"a trial run of {path.name} hung", cache.BUILD) from error
    if done.returncode < 0:
        name = signal.Signals(-done.returncode).name
        raise EngineError(f"a trial run of {path.name} crashed ({name})", cache.BUILD)
    if done.returncode > 0:
        told = (done.stderr.strip().splitlines() or ["without a word"])[-1]
        raise EngineError(f"a trial run of {path.name} failed: {told}", cache.BUILD)
    cache.probed(path)


def main(path: Path) -> None:
    """Run an engine once, on zeros."""
    from mera_edge.engine.tensorrt import TensorRtEngine

    engine = TensorRtEngine(path)
    answers = engine.run({n: np.zeros(s.shape, s.dtype) for n, s in engine.inputs.items()})
    for name, array in answers.items():
        if np.issubdtype(array.dtype, np.floating) and np.isnan(array).any():
            raise EngineError(f"{name} has values that are no numbers")


if __name__ == "__main__":
    try:
        main(Path(sys.argv[1]))
    except MeraError as error:
        sys.exit(str(error))
