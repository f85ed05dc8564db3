"""Opening a bundle: everything is verified before anything is used."""

from __future__ import annotations

import json
import tempfile
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar

from pydantic import ValidationError

from mera_edge.bundle.manifest import SCHEMA, Manifest, RoleEntry, RoleName, sha256
from mera_edge.engine import Engine
from mera_edge.engine.choose import Provider, choose
from mera_edge.errors import BundleError

DEFAULT = Path(__file__).parent / "default"
"""The bundle that ships inside the package."""

Read = TypeVar("Read")
Providers = Mapping[RoleName, Provider]

MANIFEST = "bundle.json"
_AGAIN = "copy or export the bundle again"


@dataclass(frozen=True)
class Role:
    """One role of an opened bundle."""

    name: RoleName
    directory: Path
    entry: RoleEntry
    provider: Provider
    """What `engine` is asked for."""
    fallbacks: dict[RoleName, str]
    """Of the bundle: where `engine` writes down why it is something else."""
    engines: dict[RoleName, Engine]
    """Of the bundle: those that are loaded."""
    shared: dict[Path, Any]
    """Of the bundle: what else was read from files."""

    def path(self, file: str = "model") -> Path:
        """Return where one of the role's files lies.

        Raises:
            BundleError: the role has no such file.
        """
        if file not in self.entry.files:
            raise BundleError(f"the bundle's {self.name} has no file {file!r}", _AGAIN)
        return self.directory / self.entry.files[file].path

    def engine(self) -> Engine:
        """Load the role's model on what was asked for, else on the CPU, with the reason kept.

        It is loaded once: an engine has no memory of its own, so all who need it share it.

        Raises:
            EngineError: not even ONNX Runtime on the CPU can load it.
        """
        if self.name not in self.engines:
            self.engines[self.name], reason = choose(self, self.provider)
            if reason is not None:
                self.fallbacks[self.name] = reason
        return self.engines[self.name]

    def read(self, file: str, how: Callable[[Path], Read]) -> Read:
        """Read one of the role's files, once: all who need what is in it share it.

        Raises:
            BundleError: the role has no such file.
        """
        path = self.path(file)
        if path not in self.shared:
            self.shared[path] = how(path)
        found: Read = self.shared[path]
        return found

    def require_features(self, spec: dict[str, Any]) -> None:
        """Refuse a model that was trained on other features than ``spec``.

        Raises:
            BundleError: names the fields that differ.
        """
        theirs = self.entry.features
        differ = [
            f"{field} is {theirs.get(field)!r} there, {spec.get(field)!r} here"
            for field in sorted(spec.keys() | theirs.keys())
            if theirs.get(field) != spec.get(field)
        ]
        if differ:
            raise BundleError(
                f"the bundle's {self.name} wants other features: {'; '.join(differ)}",
                "export it with this version of mera-edge",
            )


class Bundle:
    """A verified bundle. Make one with `Bundle.open`.

    Attributes:
        fallbacks: why a role runs on the CPU and not on what was asked for, once it was loaded.
    """

    def __init__(
        self, directory: Path, manifest: Manifest, providers: Providers = MappingProxyType({})
    ) -> None:
        self.directory = directory
        self.manifest = manifest
        self.fallbacks: dict[RoleName, str] = {}
        self._engines: dict[RoleName, Engine] = {}
        self._shared: dict[Path, Any] = {}
        self._providers = providers
        self._unpacked: tempfile.TemporaryDirectory[str] | None = None

    @classmethod
    def open(cls, path: Path | None = None, providers: Providers = MappingProxyType({})) -> Bundle:
        """Open and verify a bundle.

        Args:
            path: its directory, or a zip of it; the one inside the package when ``None``.
            providers: what a role's model shall run on; ``auto`` for those not named.

        Raises:
            BundleError: a file is missing or altered, the schema is unknown, a path leaves the
                bundle; the message names the file, what is wrong and the remedy.
        """
        path = DEFAULT if path is None else path
        if path.is_file() and zipfile.is_zipfile(path):
            unpacked = tempfile.TemporaryDirectory(prefix="mera-edge-")
            _unzip(path, Path(unpacked.name))
            bundle = cls._open_directory(Path(unpacked.name), providers)
            bundle._unpacked = unpacked
            return bundle
        if not path.is_dir():
            raise BundleError(f"{path} is no bundle", "give a bundle's directory or its zip")
        return cls._open_directory(path, providers)

    @classmethod
    def _open_directory(cls, directory: Path, providers: Providers) -> Bundle:
        manifest = _read(directory / MANIFEST)
        for name, role in manifest.roles.items():
            for file in role.files.values():
                path = directory / file.path
                if not path.is_file():
                    raise BundleError(f"{path} ({name}) is missing", _AGAIN)
                if not path.resolve().is_relative_to(directory.resolve()):
                    raise BundleError(f"{path} ({name}) leads out of the bundle", _AGAIN)
                if path.stat().st_size != file.bytes or sha256(path) != file.sha256:
                    raise BundleError(
                        f"{path} ({name}) is not the file that {MANIFEST} describes", _AGAIN
                    )
        return cls(directory, manifest, providers)

    def has(self, role: str) -> bool:
        """Whether the bundle has a model for a role."""
        return role in self.manifest.roles

    def forget(self, role: str) -> None:
        """Have a role's model, if it has one, loaded anew for whoever asks next."""
        for name in [name for name in self._engines if name == role]:
            del self._engines[name]

    def role(self, name: str) -> Role:
        """Return one role.

        Raises:
            BundleError: the bundle has no model for it.
        """
        for known, entry in self.manifest.roles.items():
            if known == name:
                provider = self._providers.get(known, "auto")
                loaded = self.fallbacks, self._engines, self._shared
                return Role(known, self.directory, entry, provider, *loaded)
        raise BundleError(
            f"the bundle {self.manifest.name} has no {name}",
            f"it has {', '.join(self.manifest.roles)}: export one with the role you need",
        )


def _read(path: Path) -> Manifest:
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise BundleError(f"{path.parent} is no bundle: {MANIFEST} is missing", _AGAIN) from error
    except (OSError, UnicodeDecodeError) as error:
        raise BundleError(f"{path} cannot be read ({error})", _AGAIN) from error
    try:
        facts = json.loads(text)
    except json.JSONDecodeError as error:
        raise BundleError(f"{path} is not JSON ({error})", _AGAIN) from error
    schema = facts.get("schema") if isinstance(facts, dict) else None
    if schema != SCHEMA:
        raise BundleError(
            f"{path} has schema {schema!r}, this version reads {SCHEMA!r}",
            "export the bundle with this version, or install the version that made it",
        )
    try:
        return Manifest.model_validate(facts)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise BundleError(f"{path}: {where}: {first['msg']}", _AGAIN) from error


def _unzip(path: Path, directory: Path) -> None:
    try:
        with zipfile.ZipFile(path) as archive:
            for member in archive.namelist():
                target = (directory / member).resolve()
                if not target.is_relative_to(directory.resolve()):
                    raise BundleError(f"{path}: {member!r} leaves the bundle", _AGAIN)
            archive.extractall(directory)
    except (zipfile.BadZipFile, OSError) as error:
        raise BundleError(f"{path} cannot be unpacked ({error})", _AGAIN) from error
