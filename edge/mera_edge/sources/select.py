"""From what a user writes after --camera and --mic to sources."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from mera_edge.errors import InputError
from mera_edge.sources.base import Source
from mera_edge.sources.camera import Camera
from mera_edge.sources.media import MediaFile
from mera_edge.sources.microphone import Microphone
from mera_edge.sources.shared import Shared

NONE = "none"


def select(camera: str, mic: str) -> list[Source]:
    """Return the sources, the microphone last: it overruns while others still open.

    Args:
        camera: index, URL, GStreamer pipeline, file or ``none``.
        mic: ``default``, index, name, URL, file or ``none``.

    Raises:
        InputError: both are ``none``, or one is a directory.
    """
    if camera == mic == NONE:
        raise InputError("there is neither camera nor microphone", "give --camera or --mic")
    for spec in (camera, mic):
        if "://" not in spec and Path(spec).is_dir():
            raise InputError(f"{spec} is a directory", "give a device, a URL or a file")
    if camera == mic and _is_file(camera):
        return [MediaFile(Path(camera))]
    sources: list[Source] = []
    if camera != NONE:
        file = _is_file(camera)
        sources.append(MediaFile(Path(camera), sound=False) if file else Camera(camera))
    if mic != NONE:
        file = _is_file(mic)
        sources.append(MediaFile(Path(mic), picture=False) if file else Microphone(mic))
    return sources


def select_rooms(rooms: Sequence[tuple[str, str]]) -> list[list[Source]]:
    """Return the sources of several rooms; a device that several name is opened once.

    Args:
        rooms: camera and mic of each, as for `select`.

    Raises:
        InputError: both are ``none`` in a room.
    """
    chosen = [select(camera, mic) for camera, mic in rooms]
    names = Counter(source.name for sources in chosen for source in sources if source.is_live)
    shared: dict[str, Shared] = {}
    for sources in chosen:
        for index, source in enumerate(sources):
            if names[source.name] > 1:
                sources[index] = shared.setdefault(source.name, Shared(source)).tap()
    return chosen


def _is_file(spec: str) -> bool:
    """Whether a file is meant, be it there or not: ``clip.mp4``, but no URL and no pipeline."""
    return "://" not in spec and "!" not in spec and bool(Path(spec).suffix or Path(spec).is_file())
