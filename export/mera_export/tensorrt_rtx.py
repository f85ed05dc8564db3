"""Checks with NVIDIA's ONNX parser and builder without a GPU: TensorRT for RTX, in a child process.

It builds engines for RTX cards, not for a Jetson; they cannot be run here and are discarded. All
TensorRT versions share this parser, but it is newer than a Jetson's: a model that it refuses does
not run on a Jetson; one that it accepts may still be refused by TensorRT 10.3
(`mera_export.legality`).
"""

from __future__ import annotations

import importlib.util
import json
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mera_edge.errors import EngineError, MissingExtra

MODULE = "tensorrt_rtx_bindings"


@dataclass(frozen=True)
class Verdict:
    """The result of NVIDIA's parser and builder for one file."""

    path: Path
    engine_bytes: int
    """Size of the engine; 0 if there is none."""
    complaint: str
    """Why there is no engine; empty if there is one."""

    @property
    def accepted(self) -> bool:
        """Whether an engine was built."""
        return not self.complaint


def installed() -> bool:
    """Whether TensorRT for RTX (the extra ``rtx``) is installed."""
    return importlib.util.find_spec(MODULE) is not None


def try_build(models: Sequence[Path], timeout_s: float = 600) -> list[Verdict]:
    """Parse and build ONNX files.

    Args:
        models: the files.
        timeout_s: time after which a file counts as refused.

    Returns:
        One verdict per file, in order. A file that crashes the child process is refused.

    Raises:
        MissingExtra: TensorRT for RTX is not installed.
    """
    if not installed():
        raise MissingExtra("TensorRT for RTX", "rtx")
    verdicts: list[Verdict] = []
    while len(verdicts) < len(models):
        verdicts += _child(models[len(verdicts) :], timeout_s)
    return verdicts


def _child(models: Sequence[Path], timeout_s: float) -> Iterator[Verdict]:
    """Yield verdicts until all files are done or one crashes the child."""
    command = [sys.executable, "-m", __name__, *map(str, models)]
    limit = timeout_s * len(models)
    try:
        child = subprocess.run(command, capture_output=True, text=True, timeout=limit, check=False)
        said, end = child.stdout, _end(child.returncode, child.stderr)
    except subprocess.TimeoutExpired as error:
        said = error.stdout.decode() if isinstance(error.stdout, bytes) else error.stdout or ""
        end = f"it took more than {limit:g} s"
    answers = [json.loads(line) for line in said.splitlines() if line.startswith("{")]
    for path, answer in zip(models, answers, strict=False):
        yield Verdict(path, answer["engine_bytes"], answer["complaint"])
    if len(answers) < len(models):
        yield Verdict(models[len(answers)], 0, end)


def _end(code: int, errors: str) -> str:
    if code < 0:
        return f"it ended NVIDIA's parser with {signal.Signals(-code).name}"
    return errors.strip().rpartition("\n")[2] or f"NVIDIA's parser ended with exit code {code}"


def _build(trt: Any, model: Path) -> dict[str, int | str]:
    from mera_export.compiler import Compiler

    compiler = Compiler(trt, 512, lambda _: None, "an RTX card", None)
    try:
        engine = compiler.compile(model, model.stem, "fp32")
    except EngineError as error:
        return {"engine_bytes": 0, "complaint": error.what}
    return {"engine_bytes": len(engine), "complaint": ""}


if __name__ == "__main__":
    _trt = importlib.import_module(MODULE)
    for _model in sys.argv[1:]:
        print(json.dumps(_build(_trt, Path(_model))), flush=True)
