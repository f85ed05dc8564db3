"""From what a user writes after --camera and --mic to sources."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from mera_edge.errors import InputError
from mera_edge.redaction import redacted
from mera_edge.sources import address
from mera_edge.sources.base import Source
from mera_edge.sources.camera import Camera
from mera_edge.sources.connection import Connection
from mera_edge.sources.media import MediaFile
from mera_edge.sources.microphone import Microphone
from mera_edge.sources.shared import Devices

NONE = "none"


def select(camera: str, mic: str, room: str = "room_1") -> list[Source]:
    """Return the sources, the microphone last: it overruns while others still open.

    Args:
        camera: index, device, URL, GStreamer pipeline, file or ``none``.
        mic: ``default``, index, name, URL, file or ``none``.
        room: its id, with which the sources' ids begin.

    Raises:
        InputError: both are ``none``, one is a directory, or it is not clear what is meant.
    """
    if camera == mic == NONE:
        raise InputError("no camera and no microphone", "give --camera or --mic")
    for spec in (camera, mic):
        if address.is_directory(spec):
            raise InputError(f"{spec} is a directory", "give a device, a URL or a file")
    if camera == mic and address.kind(camera) == "file":
        return [MediaFile(_file(camera))]
    sources: list[Source] = []
    # Picture and sound of one stream come over one connection, with its time stamps.
    both = Connection(camera) if camera == mic and address.kind(camera) == "url" else None
    if camera != NONE:
        kind = address.kind(camera)
        if kind == "unknown":
            raise InputError(
                f"{redacted(camera)} is not a camera",
                "give an index (0), a device (/dev/video0), a URL (rtsp://...), a file, a "
                "GStreamer pipeline or none",
            )
        sources.append(
            MediaFile(_file(camera), audio=False)
            if kind == "file"
            else Camera(camera, f"{room}_camera", both)
        )
    if mic != NONE:
        sources.append(
            MediaFile(_file(mic), video=False)
            if address.kind(mic) == "file"
            else Microphone(mic, f"{room}_microphone", both)
        )
    return sources


def select_rooms(rooms: Sequence[tuple[str, str, str]], devices: Devices) -> list[list[Source]]:
    """Return the sources of several rooms; a device that several name is opened once.

    Args:
        rooms: id, camera and mic of each, as for `select`.
        devices: those of all rooms, of these and of others.

    Raises:
        InputError: both are ``none`` in a room.
    """
    return [
        [
            devices.subscribe((source.has_video, camera if source.has_video else mic), source)
            if source.is_live
            else source
            for source in select(camera, mic, room)
        ]
        for room, camera, mic in rooms
    ]


def _file(spec: str) -> Path:
    """Return the path of a file, unless an address without its scheme seems to be meant."""
    if redacted(spec) != spec and not Path(spec).is_file():
        raise InputError(f"{redacted(spec)} is not a file", "a URL begins with rtsp:// or http://")
    return Path(spec)
