"""Reasons why a source or a modality gives nothing: codes for programs, sentences for people."""

from __future__ import annotations

from typing import Final, Literal, NamedTuple

ReasonCode = Literal[
    # sources
    "connecting",
    "unauthorized",
    "forbidden",
    "not_found",
    "server_error",
    "refused",
    "unknown_host",
    "unreachable",
    "timeout",
    "not_media",
    "no_stream",
    "no_device",
    "no_permission",
    "busy",
    "no_gstreamer",
    "cannot_open",
    "unsupported",
    "lost",
    "stalled",
    "frozen",
    "muted",
    "hung",
    "crashed",
    "failed",
    "paused",
    "switched_off",
    "excluded",
    # modalities
    "no_picture",
    "no_face",
    "no_sound",
    "no_speech",
    "too_little_speech",
    "no_words",
    "uncertain_words",
    "too_dark",
    "motionless_face",
    "several_faces",
    "clipped",
    "too_quiet",
    "no_time",
    "stage_failed",
]
"""Codes never change their meaning; new ones may be added."""


class Reason(NamedTuple):
    """Why something is missing."""

    code: ReasonCode | None
    """``None`` in recordings from before there were codes."""
    sentence: str

    @classmethod
    def of(cls, code: ReasonCode) -> Reason:
        """Return a reason with the standard sentence of its code."""
        return cls(code, MEANINGS[code])


MEANINGS: Final[dict[ReasonCode, str]] = {
    "connecting": "the source has not delivered anything yet",
    "unauthorized": "wrong user or password (401)",
    "forbidden": "the user may not access the stream (403)",
    "not_found": "no such stream (404), or the server rejects the request",
    "server_error": "server error (5xx)",
    "refused": "connection refused",
    "unknown_host": "unknown host name, or no host in the URL",
    "unreachable": "the host is unreachable",
    "timeout": "no answer in time from the host or the stream",
    "not_media": "the server answers with something other than video or audio, such as a web page",
    "no_stream": "the stream has no video (a camera) or no audio (a microphone)",
    "no_device": "no such device",
    "no_permission": "the user is not in the group that owns the device",
    "busy": "the device is in use by another program",
    "no_gstreamer": "OpenCV was built without GStreamer, which a pipeline needs",
    "cannot_open": "the source cannot be opened for an unknown reason",
    "unsupported": "unsupported protocol or image format",
    "lost": "the source was live and stopped delivering",
    "stalled": "the source is open but delivers nothing at the moment",
    "frozen": "the camera image does not change",
    "muted": "the microphone delivers only digital silence",
    "hung": "the driver does not respond; the capture process is being replaced",
    "crashed": "the capture process died, or does not start",
    "failed": "an unexpected error, named in the reason",
    "paused": "the room is paused; its devices are closed",
    "switched_off": "the camera or microphone is switched off and closed",
    "excluded": "excluded by the setting `[privacy] modalities`",
    "no_picture": "no source has video",
    "no_face": "no face in view",
    "no_sound": "no source has audio",
    "no_speech": "nobody is speaking",
    "too_little_speech": "not enough speech yet",
    "no_words": "no words yet",
    "uncertain_words": "the transcript is too uncertain",
    "too_dark": "the picture is too dark to see a face",
    "motionless_face": "the face keeps as still as a photograph",
    "several_faces": "several faces are in view; the answer is about one of them",
    "clipped": "the sound is clipped, so the voice is less certain",
    "too_quiet": "the speech is very quiet, so the voice is less certain",
    "no_time": "skipped to stay within the latency budget",
    "stage_failed": "a stage failed; it is retried later",
}

OFF: Final[frozenset[str | None]] = frozenset({"paused", "switched_off", "excluded"})
"""Codes of what was switched off on purpose."""

_PLUGGED = (
    "check that it is plugged in; `ls /dev/v4l/by-id` lists cameras, `arecord -l` microphones"
)
REMEDIES: Final[dict[str | None, str]] = {
    "unauthorized": "check user and password, for example rtsp://USER@HOST/PATH with password_file",
    "forbidden": "give this user access to the stream in the camera's settings",
    "not_found": "check the path of the URL; see the camera's manual",
    "server_error": "check the camera's log, or restart it",
    "refused": "check the port, and that RTSP or HTTP is enabled on the camera",
    "unknown_host": "check the host name, or use the IP address",
    "unreachable": "check network, cable and address; `ping` the host",
    "timeout": "check address and firewall",
    "not_media": "use the URL of the stream, not of the camera's web page; https "
    "needs TLS on the camera",
    "no_stream": "choose another stream of the device",
    "no_device": _PLUGGED,
    "no_permission": "run: sudo usermod -aG GROUP $USER, and log in again "
    "(a service: SupplementaryGroups=GROUP)",
    "busy": "stop the other program (`fuser -v DEVICE` shows it)",
    "no_gstreamer": "use the board's own OpenCV with GStreamer instead of pip's",
    "cannot_open": _PLUGGED,
    "unsupported": "choose another format of the device",
    "muted": "unmute it, or raise its level",
}
"""Remedies for the codes of a source, if there are any."""
