"""The cache of TensorRT engines built on this device.

An engine runs only on the TensorRT version and the GPU that built it. Next to each engine is a
record with its key, so that a lookup that fails can report what differs.
"""

from __future__ import annotations

import hashlib
import re
import tempfile
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from mera_edge.bundle.manifest import FileEntry
from mera_edge.bundle.places import place
from mera_edge.errors import EngineError

if TYPE_CHECKING:
    from mera_edge.bundle.manifest import RoleEntry
    from mera_edge.engine.cuda import Device

BUILD = "build it here: mera-edge export engines DIR"
"""Remedy if no engine matches."""

_RELEASE = Path("/etc/nv_tegra_release")


class _FrozenModel(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Key(_FrozenModel):
    """Everything that decides whether an engine can be used here."""

    onnx: str = Field(description="SHA-256 of the model that it was built from")
    precision: str
    shapes: dict[str, tuple[int, ...]] = Field(description="of the inputs")
    tensorrt: str = Field(description="version")
    gpu: str
    capability: str = Field(description="compute capability")
    l4t: str | None = Field(description="release of Jetson Linux")
    options: dict[str, int | str] = Field({}, description="how it was built")

    @classmethod
    def of(
        cls,
        entry: RoleEntry,
        version: str,
        device: Device,
        options: Mapping[str, int | str] = MappingProxyType({}),
        release: Path = _RELEASE,
    ) -> Key:
        """Return the key of an engine for a role on this device."""
        return cls(
            onnx=entry.files["tensorrt"].sha256,
            precision=str(entry.tensorrt),
            shapes={tensor.name: tensor.shape for tensor in entry.inputs},
            tensorrt=version,
            gpu=device.name,
            capability=device.capability,
            l4t=_l4t(release),
            options=dict(options),
        )

    def differences(self, other: Key) -> list[str]:
        """Describe how ``other``, the key of an engine, differs; options are ignored."""
        names = {
            "tensorrt": "TensorRT", "gpu": "GPU", "capability": "compute capability",
            "l4t": "Jetson Linux", "precision": "precision", "shapes": "input shapes",
        }  # fmt: skip
        return [
            f"built for {name} {getattr(other, part)}, this is {getattr(self, part)}"
            for part, name in names.items()
            if getattr(self, part) != getattr(other, part)
        ]


class Record(_FrozenModel):
    """The record of an engine, a JSON file next to it."""

    key: Key
    engine: FileEntry
    metadata: dict[str, str] = Field(description="of the model that it was built from")
    layers: dict[str, int] = Field(description="how many layers run in which precision")
    probed: bool = Field(False, description="whether a child process has run it here")

    @classmethod
    def beside(cls, engine: Path) -> Record:
        """Read the record of an engine.

        Raises:
            EngineError: there is none, or it cannot be read.
        """
        path = engine.with_suffix(".json")
        try:
            return cls.model_validate_json(path.read_bytes())
        except (OSError, ValidationError) as error:
            raise EngineError(f"{path} cannot be read ({error})", BUILD) from error

    def write(self, directory: Path) -> None:
        """Write the record next to its engine."""
        path = directory / Path(self.engine.path).with_suffix(".json")
        write(path, self.model_dump_json(indent=1).encode())


def directory() -> Path:
    """Directory of the engines: ``MERA_EDGE_ENGINES``, else in the user's cache directory."""
    return place("MERA_EDGE_ENGINES", "XDG_CACHE_HOME", ".cache", "engines")


def write(path: Path, data: bytes) -> None:
    """Write a file of the cache atomically.

    Raises:
        EngineError: it cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=path.parent) as scratch:
            arrived = Path(scratch) / path.name
            arrived.write_bytes(data)
            arrived.replace(path)
    except OSError as error:
        raise EngineError(f"{path} cannot be written ({error})", "free some space there") from error


def store(key: Key, data: bytes, metadata: Mapping[str, str], layers: Mapping[str, int]) -> Path:
    """Store an engine. The record is written last, so that an engine with a record is complete.

    Raises:
        EngineError: it cannot be written.
    """
    digest = hashlib.sha256(key.model_dump_json().encode()).hexdigest()
    path = directory() / f"{digest[:32]}.engine"
    write(path, data)
    record = Record(
        key=key, engine=FileEntry.of(path), metadata=dict(metadata), layers=dict(layers)
    )
    record.write(path.parent)
    return path


def remove(engine: Path) -> None:
    """Delete an engine and its record."""
    engine.with_suffix(".json").unlink(missing_ok=True)
    engine.unlink(missing_ok=True)


def built_from(onnx: str) -> list[tuple[Path, Record]]:
    """Return all engines of a model, the newest first, including those for other devices."""
    found = []
    for path in directory().glob("*.engine"):
        try:
            record = Record.beside(path)
        except EngineError:
            # Incomplete, or written by another version of mera-edge.
            continue
        if record.key.onnx == onnx:
            found.append((path, record))
    return sorted(found, key=lambda one: one[0].stat().st_mtime, reverse=True)


def find(wanted: Key) -> tuple[Path, Record]:
    """Return the newest engine with a matching key, whatever its build options.

    Raises:
        EngineError: there is none, or it was altered; the message gives the reason.
    """
    candidates = built_from(wanted.onnx)
    if not candidates:
        raise EngineError("no engine has been built for this model", BUILD)
    path, record = min(candidates, key=lambda one: len(wanted.differences(one[1].key)))
    if differences := wanted.differences(record.key):
        raise EngineError(f"its engine does not match: {'; '.join(differences)}", BUILD)
    if FileEntry.of(path) != record.engine:
        raise EngineError(f"{path} is not the engine that was built", BUILD)
    return path, record


def _l4t(path: Path) -> str | None:
    """Return the release of Jetson Linux, for example ``36.4.3``; ``None`` on other machines."""
    if not path.is_file():
        return None
    found = re.search(r"R(\d+).*?REVISION: *([\d.]+)", path.read_text(encoding="utf-8"))
    return f"{found[1]}.{found[2]}" if found else None
