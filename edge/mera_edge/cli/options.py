"""Options shared by several verbs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mera_edge.cli import complete
from mera_edge.errors import InputError

if TYPE_CHECKING:
    from mera_edge.sources.choice import Tracks

Bundle = Annotated[
    Path | None,
    typer.Option(
        "--bundle", help="Bundle: a directory or a zip file. Default: the one in the package."
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON to stdout, one object per line.")]
Report = Annotated[
    Path | None, typer.Option("--report", help="Write a self-contained HTML report to this file.")
]
Record = Annotated[
    Path | None,
    typer.Option(
        "--record",
        help="Record the evidence to this file, for `replay`: words, but no audio or video. An "
        "existing file is overwritten.",
    ),
]
Camera = Annotated[
    list[str] | None,
    typer.Option(
        "--camera",
        help="Camera: index, device, URL, file, GStreamer pipeline, or `none`. "
        "Repeat for more rooms.",
    ),
]
Mic = Annotated[
    list[str] | None,
    typer.Option(
        "--mic",
        help="Microphone: `default`, index, name, URL, audio file, or `none`. One "
        "for all rooms, or "
        "one per room.",
    ),
]
Provider = Annotated[
    list[str] | None,
    typer.Option(
        "--provider",
        help="ROLE=auto, cpu, cuda, onnx-tensorrt, openvino, tensorrt, tensorrt-rtx or webgpu; "
        "repeatable.",
        autocompletion=complete.providers,
    ),
]
Published = Annotated[
    list[str] | None,
    typer.Option(
        "--published",
        help="ROLE=NAME: a pulled model in place of the bundle's (vad, voice, face_detector, face, "
        "text); repeatable.",
        autocompletion=complete.replacements,
    ),
]
Asr = Annotated[
    str | None,
    typer.Option(
        "--asr",
        help="Speech recognizer: `sherpa:DIR`, or `sherpa:NAME` for a pulled model.",
        autocompletion=complete.recognizers,
    ),
]
Track = Annotated[
    list[str] | None,
    typer.Option(
        "--track",
        help="Track to use: `audio:N` or `video:N`, counted from 1. Default: FFmpeg's choice.",
    ),
]
Config = Annotated[Path | None, typer.Option("--config", help="TOML configuration file.")]
Assigned = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        help="KEY=VALUE: any key of the configuration, such as `recognition.final=off`; "
        "repeatable.",
        autocompletion=complete.settings,
    ),
]


def pairs(given: list[str] | None) -> dict[str, str] | None:
    """Parse ``ROLE=VALUE`` options into a mapping."""
    return dict(pair.partition("=")[::2] for pair in given) if given else None


def tracks(given: list[str] | None) -> Tracks:
    """Parse ``--track`` options.

    Raises:
        InputError: one is malformed.
    """
    from mera_edge.sources.choice import Tracks

    chosen = {}
    for spec in given or ():
        kind, _, number = spec.partition(":")
        if kind not in ("audio", "video") or not (number.isascii() and number.isdigit()):
            raise InputError(
                f"--track {spec} is not valid", "write audio:N or video:N, for example audio:2"
            )
        chosen[kind] = int(number)
    return Tracks(**chosen)
