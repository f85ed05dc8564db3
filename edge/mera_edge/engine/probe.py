"""Tests an engine in a child process, because an incompatible one can crash its process.

*Not run on a GPU or a Jetson*: the handling of a child that crashes, hangs or fails is tested with
substitute commands.
"""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from mera_edge.errors import EngineError, MeraError

COMMAND = (sys.executable, "-m", "mera_edge.engine.probe")


def probe(engine: Path, timeout_s: float = 120, command: Sequence[str] = COMMAND) -> None:
    """Load an engine in a child process and run it once on zeros; record a success.

    Args:
        engine: its path in the cache; its record is next to it.
        timeout_s: the child is killed after this time.
        command: the child's command; the engine is appended as the last argument.

    Raises:
        EngineError: it did not run; the message says whether it crashed, hung or failed.
    """
    from mera_edge.engine.cache import BUILD, Record

    try:
        child = subprocess.run(
            [*command, str(engine)], capture_output=True, text=True, timeout=timeout_s, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise EngineError(f"{engine.name} was tried and hung for {timeout_s:g} s", BUILD) from error
    if child.returncode < 0:
        name = signal.Signals(-child.returncode).name
        raise EngineError(f"{engine.name} was tried and ended its process with {name}", BUILD)
    if child.returncode:
        said = child.stderr.strip().rpartition("\n")[2] or f"exit code {child.returncode}"
        raise EngineError(f"{engine.name} was tried and failed: {said}", BUILD)
    Record.beside(engine).model_copy(update={"probed": True}).write(engine.parent)


def main(engine: Path) -> None:
    """Entry point of the child: load an engine and run it once on zeros."""
    import numpy as np

    from mera_edge.engine.tensorrt import TensorRtEngine

    loaded = TensorRtEngine(engine)
    loaded.run({name: np.zeros(spec.shape, spec.dtype) for name, spec in loaded.inputs.items()})


if __name__ == "__main__":
    try:
        main(Path(sys.argv[1]))
    except MeraError as problem:
        sys.exit(problem.what)
