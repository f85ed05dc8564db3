"""Which of a file's tracks are used."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from mera_edge.errors import InputError

Kind = Literal["audio", "video"]


@dataclass(frozen=True)
class Tracks:
    """Which tracks of a file are used, counted from 1 in their kind; unset: FFmpeg's choice."""

    audio: int | None = None
    video: int | None = None


@dataclass(frozen=True)
class Choice:
    """What came of choosing a track."""

    index: int | None
    """Of the stream; ``None``: there is none that can be used."""
    said: str = ""
    """What somebody should know about it."""


def choose_track(container: Any, kind: Kind, wanted: int | None) -> Choice:
    """Choose a track: the one that is asked for, or FFmpeg's best among those that decode.

    Raises:
        InputError: there is no such track, or it cannot be decoded.
    """
    tracks = [s for s in getattr(container.streams, kind) if not _is_cover(s)]
    usable = [stream for stream in tracks if _decodes(stream)]
    if wanted is not None:
        if not 1 <= wanted <= len(tracks):
            have = "\n".join(f"  {kind}:{n} {_look(s)}" for n, s in enumerate(tracks, 1))
            raise InputError(f"there is no track {kind}:{wanted}", f"tracks:\n{have or '  none'}")
        if tracks[wanted - 1] not in usable:
            raise InputError(f"track {kind}:{wanted} cannot be decoded", "choose another one")
        return Choice(tracks[wanted - 1].index)
    if not usable:
        return Choice(None, f"has {kind} that cannot be decoded" if tracks else "")
    best = container.streams.best(kind)
    chosen = best if best in usable else next((s for s in usable if _is_default(s)), usable[0])
    if len(tracks) == 1:
        return Choice(chosen.index)
    number = tracks.index(chosen) + 1
    return Choice(
        chosen.index,
        f"has {len(tracks)} {kind} tracks: {kind}:{number} ({_look(chosen)}) is used, "
        f"--track {kind}:N takes another",
    )


def _is_cover(stream: Any) -> bool:
    """Whether a video stream is only the picture on a record's sleeve."""
    from av.stream import Disposition

    return bool(stream.disposition & Disposition.attached_pic)


def _is_default(stream: Any) -> bool:
    from av.stream import Disposition

    return bool(stream.disposition & Disposition.default)


def _decodes(stream: Any) -> bool:
    import av

    if stream.codec_context is None:
        return False
    try:
        stream.codec_context.open(strict=False)
    except (av.FFmpegError, ValueError):
        return False
    return True


def _look(stream: Any) -> str:
    """Say what tells a track from the others."""
    codec = stream.codec_context
    facts = ["no decoder" if codec is None else codec.name]
    if codec is not None:
        size = f"{codec.width}x{codec.height}" if stream.type == "video" else codec.layout.name
        facts.append(size)
    facts += [text for text in (stream.language, stream.metadata.get("title")) if text]
    return ", ".join(facts + ["default"] * _is_default(stream))
