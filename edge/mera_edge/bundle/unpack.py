"""A bundle's zip, unpacked: never more than its manifest says, and nothing stays behind."""

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
"""Bytes that a bundle may have in all when it is unpacked."""

PREFIX: Final = "mera-edge-bundle-"
_AGAIN = "copy or export the bundle again"
_SPOILED = (
    EOFError, KeyError, OSError, RuntimeError, ValueError, lzma.LZMAError, struct.error,
    zipfile.BadZipFile, zlib.error,
)  # fmt: skip
"""What Python raises for archives that are damaged, encrypted or packed in an unknown way."""


class Unpacked:
    """The files of a bundle's zip that its manifest names, in a directory of their own.

    The directory goes with this object or the process. Where a process was killed it goes when
    the next bundle is unpacked: whoever lives holds a lock on theirs.

    Attributes:
        path: the directory.

    Raises:
        BundleError: the zip is no bundle, is damaged, encrypted or larger than its manifest says.
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
            if file.path in members:  # where one is missing, who verifies says so
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
    """Make a temporary directory and lock it; remove those of processes that were killed."""
    _sweep(Path(tempfile.gettempdir()))
    while True:
        path = Path(tempfile.mkdtemp(prefix=PREFIX)).resolve()
        with contextlib.suppress(BlockingIOError, FileNotFoundError):
            lock = _lock(path)
            # Between its making and its locking somebody else may have taken it for abandoned.
            if path.is_dir():
                return path, lock
            os.close(lock)


def _sweep(directory: Path) -> None:
    for path in directory.glob(f"{PREFIX}*"):
        # Somebody's who lives, of another user, or gone already.
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
