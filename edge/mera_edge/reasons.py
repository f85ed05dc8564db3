"""Why a source or a modality gives nothing: a code for machines beside the sentence for people."""

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
    "no_time",
    "stage_failed",
]
"""A code keeps its meaning for ever; new ones may come."""


class Reason(NamedTuple):
    """Why something is missing."""

    code: ReasonCode | None
    """``None`` in recordings from before there were codes."""
    sentence: str


MEANINGS: Final[dict[ReasonCode, str]] = {
    "connecting": "the source has not given anything yet",
    "unauthorized": "the server wants another user and password (401)",
    "forbidden": "the server forbids this user the stream (403)",
    "not_found": "the server has no such stream (404), or does not understand the request",
    "server_error": "the server has an error of its own (5xx)",
    "refused": "the host refuses the connection",
    "unknown_host": "the host's name is not known, or the URL names none",
    "unreachable": "there is no way to the host",
    "timeout": "the host, or the stream, does not answer in time",
    "not_media": "the server answers, but not with video or audio: a web page, perhaps",
    "no_stream": "the stream has no video (a camera) or no audio (a microphone)",
    "no_device": "there is no such device",
    "no_permission": "the device belongs to a group that this user is not in",
    "busy": "another program uses the device",
    "no_gstreamer": "a pipeline needs an OpenCV with GStreamer",
    "cannot_open": "the source cannot be opened, and nothing more is known",
    "unsupported": "the protocol, or the format of the pictures, is not supported",
    "lost": "the source was live and gives no more",
    "stalled": "the source is open and gives nothing at the moment",
    "frozen": "the camera gives always the same picture",
    "muted": "the microphone gives nothing but zeros",
    "hung": "the driver does not answer; the process that captures is replaced",
    "crashed": "the process that captures ended, or does not start",
    "failed": "an unexpected error, which the sentence names",
    "paused": "the room is paused, and its devices are closed",
    "switched_off": "the camera or the microphone is switched off, and closed",
    "excluded": "the settings leave it out: `[privacy] modalities`",
    "no_picture": "no source gives pictures",
    "no_face": "no face in view",
    "no_sound": "no source gives sound",
    "no_speech": "nobody is speaking",
    "too_little_speech": "not enough speech yet",
    "no_words": "no words yet",
    "uncertain_words": "the recognizer is too unsure of the words",
    "no_time": "left out to stay within the budget",
    "stage_failed": "a stage fails; it is made again after a while",
}

OFF: Final[frozenset[str | None]] = frozenset({"paused", "switched_off", "excluded"})
"""Codes of what somebody switched off on purpose."""

_PLUGGED = (
    "check that it is plugged in; `ls /dev/v4l/by-id` lists cameras, `arecord -l` microphones"
)
REMEDIES: Final[dict[str | None, str]] = {
    "unauthorized": "check user and password, for example rtsp://USER@HOST/PATH with password_file",
    "forbidden": "allow this user the stream in the camera's settings",
    "not_found": "check the URL's path: the camera's manual names it",
    "server_error": "look into the camera's own log, or restart it",
    "refused": "check the port, and that the camera's RTSP or HTTP service is switched on",
    "unknown_host": "check the host name, or give the address in numbers",
    "unreachable": "check network, cable and address: `ping` the host",
    "timeout": "check address and firewall: nothing answers there in time",
    "not_media": "give the URL of the stream, not of the camera's web page; https needs TLS there",
    "no_stream": "choose another stream of the device",
    "no_device": _PLUGGED,
    "no_permission": "run: sudo usermod -aG GROUP $USER, and log in again "
    "(a service: SupplementaryGroups=GROUP)",
    "busy": "end the other program that uses it (`fuser -v DEVICE` names it)",
    "no_gstreamer": "use the board's own OpenCV with GStreamer instead of pip's",
    "cannot_open": _PLUGGED,
    "unsupported": "choose another format of the device",
    "muted": "turn it on, or its level up",
}
"""What to do about the codes of a source where something can be done."""
