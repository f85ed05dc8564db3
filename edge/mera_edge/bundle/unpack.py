"""Unpacks the zip file of a bundle to a temporary directory, within the sizes in its manifest."""

from __future__ import annotations

import contextlib
import fcntl
import lzma
import os
import shutil
import struct
import tempfile
import weakref
import zipfile
import zlib
from pathlib import Path
from typing import IO, Final

from mera_edge.bundle.manifest import MANIFEST, MANIFEST_LIMIT, Manifest, read
from mera_edge.errors import BundleError

LIMIT: Final = 2 * 1000**3
"""Maximum unpacked size of a bundle in bytes."""

PREFIX: Final = "mera-edge-bundle-"
_AGAIN = "copy or export the bundle again"
_SPOILED = (
    EOFError, KeyError, OSError, RuntimeError, ValueError, lzma.LZMAError, struct.error,
    zipfile.BadZipFile, zlib.error,
)  # fmt: skip
"""Exceptions of Python for archives that are damaged, encrypted or use an unknown compression."""


class Unpacked:
    """The files in a bundle's manifest, unpacked to a temporary directory.

    The directory is removed with this object or at the end of the process. Directories of killed
    processes, which hold no lock any more, are removed when the next bundle is unpacked.

    Attributes:
        path: the directory.

    Raises:
        BundleError: the zip is not a bundle, damaged, encrypted or larger than in its manifest.
    """

    def __init__(self, archive: Path) -> None:
        try:
            self.path, lock = _locked_directory()
        except OSError as error:
            raise BundleError(
                f"{archive} cannot be unpacked ({error})",
                "set TMPDIR to a directory with enough space",
            ) from error
        self._finalizer = weakref.finalize(self, _remove, self.path, lock)
        try:
            self.manifest = _unpack(archive, self.path)
        except _SPOILED as error:
            self._finalizer()
            raise BundleError(f"{archive} cannot be unpacked ({error})", _AGAIN) from error
        except BundleError:
            self._finalizer()
            raise


def _unpack(path: Path, directory: Path) -> Manifest:
    with zipfile.ZipFile(path) as archive:
        members = set(archive.namelist())
        for member in members:
            if not (directory / member).resolve().is_relative_to(directory):
                raise BundleError(f"{path}: {member!r} leaves the bundle", _AGAIN)
        if MANIFEST not in members:
            raise BundleError(
                f"{path} is not a bundle: {MANIFEST} is missing",
                "zip the contents of the bundle's directory, not the directory itself",
            )
        _copy(archive, MANIFEST, directory, MANIFEST_LIMIT)
        manifest = read(directory / MANIFEST)
        files = {
            file.path: file for role in manifest.roles.values() for file in role.files.values()
        }
        size = sum(file.bytes for file in files.values())
        free = shutil.disk_usage(directory).free
        if size > LIMIT:
            raise BundleError(f"{path} holds {size} bytes, more than {LIMIT}", _AGAIN)
        if size > free:
            raise BundleError(
                f"{path} holds {size} bytes, but {directory.parent} has room for {free}",
                "set TMPDIR to a directory with enough space",
            )
        for file in files.values():
            if file.path in members:  # a missing file is reported by the verification
                _copy(archive, file.path, directory, file.bytes)
    return manifest


def _copy(archive: zipfile.ZipFile, member: str, directory: Path, limit: int) -> None:
    """Unpack one member.

    Raises:
        BundleError: it has more bytes than ``limit``.
    """
    target = directory / member
    target.parent.mkdir(parents=True, exist_ok=True)
    with archive.open(member) as packed, target.open("wb") as file:
        left = _copy_at_most(packed, file, limit)
    if left:
        raise BundleError(
            f"{archive.filename}: {member} is larger than the {limit} bytes in the manifest", _AGAIN
        )


def _copy_at_most(source: IO[bytes], target: IO[bytes], limit: int) -> bool:
    """Copy up to ``limit`` bytes and return whether there were more."""
    while block := source.read(min(1 << 20, limit + 1)):
        if len(block) > limit:
            return True
        target.write(block)
        limit -= len(block)
    return False


def _locked_directory() -> tuple[Path, int]:
    """Create and lock a temporary directory; remove those of killed processes."""
    _sweep(Path(tempfile.gettempdir()))
    while True:
        path = Path(tempfile.mkdtemp(prefix=PREFIX)).resolve()
        with contextlib.suppress(BlockingIOError, FileNotFoundError):
            lock = _lock(path)
            # Before it was locked, another process may have removed it as abandoned.
            if path.is_dir():
                return path, lock
            os.close(lock)


def _sweep(directory: Path) -> None:
    for path in directory.glob(f"{PREFIX}*"):
        # Errors mean: locked by a running process, owned by another user, or already removed.
        with contextlib.suppress(OSError):
            lock = _lock(path)
            if os.fstat(lock).st_uid == os.geteuid():
                _remove(path, lock)
            else:
                os.close(lock)


def _lock(path: Path) -> int:
    directory = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        fcntl.flock(directory, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(directory)
        raise
    return directory


def _remove(path: Path, lock: int) -> None:
    shutil.rmtree(path, ignore_errors=True)
    os.close(lock)
