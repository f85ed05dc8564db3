"""Opens bundles; all files are verified before any is used."""

from __future__ import annotations

import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar

from mera_edge.bundle.interface import disagreements, mismatched_encoders, obstacles
from mera_edge.bundle.manifest import (
    MANIFEST,
    FileEntry,
    Manifest,
    PublishedRole,
    RoleEntry,
    RoleName,
    read,
    sha256,
)
from mera_edge.bundle.processor import unsuited
from mera_edge.bundle.unpack import Unpacked
from mera_edge.engine import Engine
from mera_edge.engine.factory import Provider, load_engine
from mera_edge.errors import BundleError, MeraError

DEFAULT = Path(__file__).parent / "default"
"""The bundle that ships inside the package."""

Read = TypeVar("Read")
Providers = Mapping[RoleName, Provider]

_AGAIN = "copy or export the bundle again"
_LONGEST_REASON = 500
SPOILED = (
    ArithmeticError, AttributeError, EOFError, LookupError, MemoryError, OSError, RuntimeError,
    TypeError, ValueError, struct.error, zipfile.BadZipFile, zlib.error,
)  # fmt: skip
"""Exceptions of Python and NumPy for malformed files."""


@dataclass(frozen=True)
class Role:
    """One role of an opened bundle."""

    name: RoleName
    directory: Path
    entry: RoleEntry
    provider: Provider
    """The requested provider."""
    fallbacks: dict[RoleName, str]
    """Shared within the bundle: reasons for fallbacks to the CPU, set by `engine`."""
    engines: dict[RoleName, Engine]
    """Shared within the bundle: loaded engines."""
    shared: dict[Path, Any]
    """Shared within the bundle: contents of files, set by `read`."""

    def path(self, file: str = "model") -> Path:
        """Return the path of one of the role's files.

        Raises:
            BundleError: the role has no such file.
        """
        if file not in self.entry.files:
            raise BundleError(f"the bundle's {self.name} has no file {file!r}", _AGAIN)
        return self.directory / self.entry.files[file].path

    def engine(self) -> Engine:
        """Load the role's model on the requested provider, or else on the CPU.

        It is loaded once and shared: engines are stateless.

        Raises:
            EngineError: ONNX Runtime cannot load it on the CPU either.
            BundleError: its inputs or outputs do not match the manifest.
        """
        if self.name not in self.engines:
            engine, reason = load_engine(self, self.provider)
            self._refuse(disagreements(self.entry, engine))
            if engine.provider == "CPUExecutionProvider":
                self._refuse(unsuited(self.entry))
            if reason is not None:
                self.fallbacks[self.name] = reason
            self.engines[self.name] = engine
        return self.engines[self.name]

    def stage_engine(self) -> Engine:
        """Load the role's model, like `engine`, and check that the role's stage can use it.

        Raises:
            EngineError: ONNX Runtime cannot load it on the CPU either.
            BundleError: the stage cannot use its inputs, outputs, labels or settings.
        """
        engine = self.engine()
        self._refuse(obstacles(self.name, self.entry, engine))
        return engine

    def _refuse(self, reasons: Iterator[str]) -> None:
        reason = next(reasons, None)
        if reason is not None:
            raise BundleError(
                f"the bundle's model {self.name} does not match the manifest: "
                f"{reason[:_LONGEST_REASON]}",
                _AGAIN,
            )

    def read(self, file: str, how: Callable[[Path], Read]) -> Read:
        """Read one of the role's files with ``how``; the result is cached and shared.

        Raises:
            BundleError: the role has no such file, or ``how`` cannot read it.
        """
        path = self.path(file)
        if path not in self.shared:
            try:
                self.shared[path] = how(path)
            except MeraError:
                raise
            except SPOILED as error:
                said = f"{type(error).__name__}: {error}"[:_LONGEST_REASON]
                raise BundleError(
                    f"{path} ({self.name}) cannot be read ({said})", _AGAIN
                ) from error
        found: Read = self.shared[path]
        return found

    def require_features(self, spec: dict[str, Any]) -> None:
        """Check that the model was trained on the features ``spec``.

        Raises:
            BundleError: it was not; the message names the fields that differ.
        """
        theirs = self.entry.features
        differ = [
            f"{field} is {theirs.get(field)!r} there, {spec.get(field)!r} here"
            for field in sorted(spec.keys() | theirs.keys())
            if theirs.get(field) != spec.get(field)
        ]
        if differ:
            raise BundleError(
                f"the bundle's {self.name} expects different features: {'; '.join(differ)}",
                "export it with this version of mera-edge",
            )


class Bundle:
    """A verified bundle. Create one with `Bundle.open`.

    Attributes:
        published: names of downloaded models that replace its own, by role.
        fallbacks: reasons why loaded roles run on the CPU instead of the requested provider.
    """

    def __init__(
        self,
        directory: Path,
        manifest: Manifest,
        providers: Providers = MappingProxyType({}),
        published: Mapping[PublishedRole, str] = MappingProxyType({}),
    ) -> None:
        self.directory = directory
        self.manifest = manifest
        self.published = published
        self.fallbacks: dict[RoleName, str] = {}
        self._engines: dict[RoleName, Engine] = {}
        self._shared: dict[Path, Any] = {}
        self._providers = providers
        self._unpacked: Unpacked | None = None

    @classmethod
    def open(
        cls,
        path: Path | None = None,
        providers: Providers = MappingProxyType({}),
        published: Mapping[PublishedRole, str] = MappingProxyType({}),
    ) -> Bundle:
        """Open and verify a bundle.

        Args:
            path: its directory, or a zip of it; the one inside the package when ``None``.
            providers: execution provider by role; ``auto`` for the others.
            published: names of downloaded models that replace its own, by role.

        Raises:
            BundleError: a file is missing or altered, the schema is unknown, or a path points
                outside the bundle.
        """
        path = DEFAULT if path is None else path
        if path.is_file() and zipfile.is_zipfile(path):
            unpacked = Unpacked(path)
            bundle = cls._verified(unpacked.path, unpacked.manifest, providers, published)
            bundle._unpacked = unpacked
            return bundle
        if not path.is_dir():
            raise BundleError(
                f"{path} is not a bundle", "give the directory or the zip file of a bundle"
            )
        return cls._verified(path, read(path / MANIFEST), providers, published)

    @classmethod
    def _verified(
        cls,
        directory: Path,
        manifest: Manifest,
        providers: Providers,
        published: Mapping[PublishedRole, str],
    ) -> Bundle:
        for name, role in manifest.roles.items():
            if "model" not in role.files:
                raise BundleError(f"{directory / MANIFEST}: {name} has no model", _AGAIN)
            for file in role.files.values():
                path = directory / file.path
                try:
                    _verify(path, directory, file)
                except OSError as error:
                    raise BundleError(
                        f"{path} ({name}) cannot be read ({error})", _AGAIN
                    ) from error
                except BundleError as error:
                    raise BundleError(f"{path} ({name}) {error.what}", _AGAIN) from error
        for reason in mismatched_encoders(manifest.roles):
            raise BundleError(
                f"{directory}: {reason}", "export the fusion and its encoders together"
            )
        return cls(directory, manifest, providers, published)

    def has(self, role: str) -> bool:
        """Whether the bundle has a model for a role."""
        return role in self.manifest.roles

    def forget(self, role: str) -> None:
        """Unload a role's model; the next caller loads it again."""
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
            f"the bundle {self.manifest.name} has no model for {name}",
            f"it has {', '.join(self.manifest.roles)}: export one with the role you need",
        )


def _verify(path: Path, directory: Path, said: FileEntry) -> None:
    if not path.is_file():
        raise BundleError("is missing")
    if not path.resolve().is_relative_to(directory.resolve()):
        raise BundleError("points outside the bundle")
    if path.stat().st_size != said.bytes or sha256(path) != said.sha256:
        raise BundleError(f"does not match its hash in {MANIFEST}")
