"""A camera of this machine: its node, and why it cannot be opened."""

from __future__ import annotations

import errno
import grp
import os
from pathlib import Path

from mera_edge.errors import SourceError


def node(spec: str) -> Path:
    """Return ``/dev/video0`` for ``0``; a path, such as one of ``/dev/v4l/by-id``, stays."""
    return Path(f"/dev/video{int(spec)}" if spec.isdecimal() else spec)


def diagnosis(path: Path) -> SourceError:
    """Return why a device, which could not be opened as a camera, does not work."""
    try:
        os.close(os.open(path, os.O_RDWR | os.O_NONBLOCK))
    except PermissionError:
        return SourceError("no_permission", f"no permission for {path}: {_group(path)}")
    except OSError as error:
        if error.errno == errno.EBUSY:
            return SourceError("busy", f"{path} is in use by another program")
        if error.errno in (errno.ENOENT, errno.ENODEV, errno.ENXIO, errno.ENOTDIR):
            return SourceError("no_device", f"no such device: {path}")
        return SourceError("cannot_open", f"{path} cannot be opened ({error.strerror})")
    if not path.is_char_device():
        return SourceError("no_device", f"{path} is not a device")
    user = _user(path)
    if user is not None:
        return SourceError("busy", f"{path} is in use by {user}")
    what = f"{path} delivers no frames: it is in use elsewhere, or not a capture device"
    return SourceError("cannot_open", what)


def _user(path: Path) -> str | None:
    """Return who else has a device open, as far as this user may see that.

    Video4Linux lets several programs open a camera, and one of them stream.
    """
    for process in Path("/proc").iterdir():
        if not process.name.isdecimal() or int(process.name) == os.getpid():
            continue
        try:
            if any(descriptor.samefile(path) for descriptor in (process / "fd").iterdir()):
                name = (process / "comm").read_text(encoding="utf-8", errors="replace").strip()
                return f"{name} (process {process.name})"
        except OSError:  # it has ended, or belongs to somebody else
            continue
    return None


def _group(path: Path) -> str:
    try:
        number = path.stat().st_gid
    except OSError:
        return "its folder is closed to this user"
    try:
        name = grp.getgrgid(number).gr_name
    except KeyError:
        name = str(number)
    return f"it belongs to the group {name}"
