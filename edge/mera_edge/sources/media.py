"""A media file: sound and picture with their timestamps, read only as far as asked for."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import IO

from mera_edge.errors import InputError
from mera_edge.redaction import redacted
from mera_edge.sources import pipe
from mera_edge.sources.address import is_address
from mera_edge.sources.base import LIVE, Captured
from mera_edge.sources.choice import Choice, Kind, Tracks, choose_track
from mera_edge.sources.packets import Frames, StreamTimeline, open_container
from mera_edge.sources.tracks import AudioTrack, VideoTrack

_REMEDY = "give a video or audio file that a media player can play"
_MISSING_S = 1.0
"""At the end of a file that is worth a word."""
_DAMAGE = 0.01
"""Share of packets that cannot be decoded which is worth a word."""


class MediaFile:
    """A file with sound, picture or both; stream time 0 is where its first stream begins.

    Sound and picture are read through two handles, so that neither waits for the other and memory
    stays flat however the file interleaves them.

    Args:
        path: anything that FFmpeg reads; a pipe, or ``-`` for stdin, is read to its end first.
        audio, video: whether to use them, where the file has them.
        tracks: which ones, where it has several.
        stop: ends the reading of a pipe early.

    Attributes:
        notices: what somebody should know who relies on the answers, a sentence each: which of
            several tracks was chosen; once it is closed also what could not be decoded, where its
            clock jumped, and whether its end is missing.
    """

    is_live = False
    id = "file"
    condition = LIVE

    def __init__(
        self,
        path: Path,
        audio: bool = True,
        video: bool = True,
        tracks: Tracks | None = None,
        stop: threading.Event | None = None,
    ) -> None:
        self.name = str(path)
        self.notices: list[str] = []
        self._path = pipe.STDIN if self.name == "-" else path
        wanted: dict[Kind, bool] = {"audio": audio, "video": video}
        self._kinds = [kind for kind, is_wanted in wanted.items() if is_wanted]
        self._tracks = tracks or Tracks()
        self._stop = stop
        self._spooled: IO[bytes] | None = None
        self._sound: AudioTrack | None = None
        self._pictures: VideoTrack | None = None
        self._named_s = 0.0

    @property
    def has_audio(self) -> bool:
        """Whether there is a sound track that is used; known once open."""
        return self._sound is not None

    @property
    def has_video(self) -> bool:
        """Whether there is a picture track that is used; known once open."""
        return self._pictures is not None

    def open(self) -> None:
        """Open the file.

        Raises:
            InputError: no such file or track, or nothing in it that can be decoded.
        """
        import av

        self.close()
        path = self._readable()
        try:
            choices = self._open(path)
        except (av.FFmpegError, OSError, ValueError, ArithmeticError) as error:
            why = _why(path, error)
            self.close()
            raise InputError(f"{self.name} {why}", _REMEDY) from error
        except InputError as error:
            self.close()
            raise InputError(f"{self.name}: {error.what}", error.remedy) from error
        self.notices = [f"{self.name} {c.said}" for c in choices.values() if c.said]
        self._leave_out_what_is_empty()

    def poll(self, until_s: float, needs_frame: bool = True) -> Captured:
        """Return sound and, if it is looked at, the newest picture up to ``until_s``."""
        captured = Captured()
        if self._sound is not None:
            piece = self._sound.read(until_s)
            if len(piece.samples):
                captured.audio.append(piece)
        if self._pictures is not None:
            captured.frame = self._pictures.read(until_s, needs_frame)
        return captured

    @property
    def ended(self) -> bool:
        """Whether everything has been returned."""
        return all(track is None or track.ended for track in (self._sound, self._pictures))

    def close(self) -> None:
        """Close the file. What `has_audio` and `has_video` said is forgotten."""
        tracks = [track for track in (self._sound, self._pictures) if track is not None]
        if tracks:
            self.notices += [f"{self.name} {line}" for line in self._told()]
        for track in tracks:
            track.timeline.container.close()
        self._sound = self._pictures = None
        if self._spooled is not None:
            self._spooled.close()
            self._spooled = None

    def _readable(self) -> Path:
        """Return a path that can be opened twice and read from anywhere."""
        if pipe.is_pipe(self._path):
            self._spooled = pipe.spool(self._path, self.name, self._stop)
            return Path(f"/proc/{os.getpid()}/fd/{self._spooled.fileno()}")
        try:
            is_file = self._path.is_file()
        except OSError as error:
            raise InputError(f"{self.name} cannot be read ({error.strerror})", _REMEDY) from error
        if not is_file and is_address(self.name):
            raise InputError(
                f"{redacted(self.name)} is a URL, not a file",
                "for a camera or a stream use: mera-edge run --camera URL --mic URL",
            )
        if not is_file:
            raise InputError(f"{self.name} is not a file", _REMEDY)
        return self._path

    def _open(self, path: Path) -> dict[Kind, Choice]:
        import av

        with open_container(path) as container:
            if not (container.streams.audio or container.streams.video):
                raise InputError("it has neither audio nor video", _REMEDY)
            choices = {k: choose_track(container, k, getattr(self._tracks, k)) for k in self._kinds}
            begins_s = (container.start_time or 0) / av.time_base
            self._named_s = _length_s((container.duration or 0) / av.time_base, begins_s)
        used = [choice.index for choice in choices.values() if choice.index is not None]

        def timeline() -> StreamTimeline:
            container = open_container(path)
            return StreamTimeline(container, [container.streams[index] for index in used], begins_s)

        for kind, choice in choices.items():
            if choice.index is not None and kind == "audio":
                self._sound = AudioTrack(timeline(), choice.index)
            elif choice.index is not None:
                self._pictures = VideoTrack(timeline(), choice.index)
        return choices

    def _leave_out_what_is_empty(self) -> None:
        """Go on with what there is.

        Raises:
            InputError: there is nothing.
        """
        empty = []
        if self._sound is not None and self._sound.is_empty:
            empty.append(_nothing(self._sound.frames, "sound"))
            self._sound.timeline.container.close()
            self._sound = None
        if self._pictures is not None and self._pictures.is_empty:
            empty.append(_nothing(self._pictures.frames, "picture"))
            self._pictures.timeline.container.close()
            self._pictures = None
        self.notices += [f"{self.name} {line}" for line in empty]
        if self.notices and not (self.has_audio or self.has_video):
            said, self.notices = self.notices, []
            self.close()
            raise InputError("; ".join(said), _REMEDY)

    def _told(self) -> list[str]:
        """Return what is known once the file has been read."""
        said = []
        for noun, track in (("sound", self._sound), ("picture", self._pictures)):
            if track is not None and track.frames.failed > _DAMAGE * track.frames.packets:
                counts = f"{track.frames.failed} of {track.frames.packets} packets"
                said.append(f"is damaged: {counts} of its {noun} could not be decoded")
        tracks = [track for track in (self._sound, self._pictures) if track is not None]
        jumped = max((track.timeline for track in tracks), key=lambda line: line.jumps)
        if jumped.first_jump is not None:
            at_s, to_s = jumped.first_jump
            times = "once" if jumped.jumps == 1 else f"{jumped.jumps} times"
            said.append(
                f"has time stamps that jump {times}, first from {at_s:.1f} s to {to_s:.1f} s: "
                "the jumps are left out"
            )
        elif self.ended and self._named_s - max(t.until_s for t in tracks) > _MISSING_S:
            missing_s = self._named_s - max(track.until_s for track in tracks)
            said.append(f"ends {missing_s:.1f} s before the time that it names: is it whole?")
        return said


def _length_s(named_s: float, begins_s: float) -> float:
    """Return the length that a file names: some name their last time stamp instead."""
    return named_s - begins_s if named_s > begins_s > 0 else named_s


def _nothing(frames: Frames, noun: str) -> str:
    if not frames.packets:
        return f"holds no {noun}"
    if noun == "picture" and not frames.keys:
        return "has no key frame, with which its pictures could begin"
    counts = f"{frames.failed} of {frames.packets} packets failed"
    why = f", {frames.why}" if frames.why else ""
    return f"has a {noun} track of which nothing could be decoded ({counts}{why})"


def _why(path: Path, error: Exception) -> str:
    """Say why a file cannot be opened."""
    try:
        if not path.stat().st_size:
            return "is empty"
        if _lacks_index(path):
            return "was cut off before its index (moov), or is still being written"
    except OSError as unreadable:
        return f"cannot be read ({unreadable.strerror})"
    return f"cannot be decoded ({getattr(error, 'strerror', None) or error})"


def _lacks_index(path: Path) -> bool:
    """Whether it is an MP4 (ISO/IEC 14496-12) whose boxes end before there is a ``moov``."""
    with path.open("rb") as file:
        length = file.seek(0, os.SEEK_END)
        at = 0
        kinds: list[bytes] = []
        while at + 8 <= length and len(kinds) < 1_000:
            file.seek(at)
            head = file.read(16)
            size = int.from_bytes(head[:4], "big")
            kinds.append(head[4:8])
            if size == 1:
                size = int.from_bytes(head[8:16], "big")
            at = at + size if size >= 8 else length
    return kinds[:1] == [b"ftyp"] and b"moov" not in kinds
