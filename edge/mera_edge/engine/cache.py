"""Engines that TensorRT built on this device: where they lie and what each was built for.

An engine runs only with the very TensorRT and the very GPU that it was built with, so all of that
is in its key, and a record beside it can say what has changed since.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from mera_edge.bundle.manifest import sha256
from mera_edge.errors import EngineError

SCHEMA: Final = "mera-edge/engine/1"
BUILD = "build it on this device: mera-edge export --target tensorrt --bundle DIR"
_RELEASE = Path("/etc/nv_tegra_release")


def directory() -> Path:
    """Where engines lie: ``MERA_EDGE_ENGINES``, else the user's cache directory."""
    if chosen := os.environ.get("MERA_EDGE_ENGINES"):
        return Path(chosen)
    cache = os.environ.get("XDG_CACHE_HOME")
    return (Path(cache) if cache else Path.home() / ".cache") / "mera-edge" / "engines"


@dataclass(frozen=True, slots=True)
class Key:
    """All that decides whether an engine can run. Shapes are fixed in the ONNX file."""

    onnx: str
    """SHA-256 of the model that it is built from."""
    precision: str
    tensorrt: str
    gpu: str
    capability: str
    system: str
    """Release of the Jetson's system; empty elsewhere."""
    options: str
    """Of the builder."""

    def digest(self) -> str:
        """Return what the file's name has of it."""
        return hashlib.sha256(json.dumps(asdict(self)).encode()).hexdigest()[:16]

    def differences(self, other: Key) -> str:
        """Name the fields in which ``other`` differs."""
        return "; ".join(
            f"{field.name} was {getattr(other, field.name)!r}, is {getattr(self, field.name)!r}"
            for field in fields(self)
            if getattr(self, field.name) != getattr(other, field.name)
        )


class Tensor(BaseModel):
    """An input or output, in the order of the ONNX file."""

    name: str
    shape: tuple[int, ...]
    dtype: str


class Record(BaseModel):
    """What lies beside an engine."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    schema_: Literal["mera-edge/engine/1"] = Field(SCHEMA, alias="schema")
    key: Key
    sha256: str
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    metadata: dict[str, str]
    layers: dict[str, int]
    """How many layers run in which precision."""
    probed: bool = False
    """Whether it has run once, in a process of its own."""


def system_release(file: Path = _RELEASE) -> str:
    """Return the first line of the Jetson's release file, or nothing."""
    return file.read_text().splitlines()[0].strip() if file.is_file() else ""


def path_of(role: str, key: Key) -> Path:
    """Return where the engine of a role lies or would lie."""
    return directory() / f"{role}-{key.digest()}.engine"


def store(role: str, engine: bytes, record: Record) -> Path:
    """Keep an engine: it appears whole or not at all, its record last.

    Raises:
        OSError: there is no room, or no right to write.
    """
    path = path_of(role, record.key)
    write(path, engine)
    _note(path, record)
    return path


def probed(path: Path) -> None:
    """Note that an engine has run."""
    _note(path, read(path).model_copy(update={"probed": True}))


def read(path: Path) -> Record:
    """Read the record of an engine and check the engine against it.

    Raises:
        EngineError: one of the two is missing, altered or of another version.
    """
    beside = path.with_suffix(".json")
    try:
        record = Record.model_validate_json(beside.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, ValidationError) as error:
        raise EngineError(f"{beside} cannot be read", BUILD) from error
    if not path.is_file() or sha256(path) != record.sha256:
        raise EngineError(f"{path} is not the engine that was built", BUILD)
    return record


def find(role: str, key: Key) -> Path:
    """Return the engine for ``key``.

    Raises:
        EngineError: there is none; says what differs from the one that was built, if one was.
    """
    path = path_of(role, key)
    if path.with_suffix(".json").is_file():
        read(path)
        return path
    for beside in sorted(directory().glob(f"{role}-*.json")):
        try:
            other = read(beside.with_suffix(".engine")).key
        except EngineError:
            continue  # Whatever it is, it is not ours to explain.
        if other.onnx == key.onnx:
            raise EngineError(f"the engine was built for another: {key.differences(other)}", BUILD)
    raise EngineError("no engine has been built", BUILD)


def _note(path: Path, record: Record) -> None:
    write(path.with_suffix(".json"), record.model_dump_json(by_alias=True, indent=1).encode())


def write(path: Path, data: bytes) -> None:
    """Write a file that appears whole or not at all.

    Raises:
        OSError: there is no room, or no right to write.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
