"""Options that several verbs share."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mera_edge.errors import InputError

if TYPE_CHECKING:
    from mera_edge.sources.choice import Tracks

Bundle = Annotated[
    Path | None,
    typer.Option("--bundle", help="Bundle directory or zip; the one in the package by default."),
]
Json = Annotated[bool, typer.Option("--json", help="JSON on stdout, one object a line.")]
Report = Annotated[
    Path | None, typer.Option("--report", help="Write a self-contained HTML page here.")
]
Record = Annotated[
    Path | None,
    typer.Option(
        "--record",
        help="Write the evidence here, for `replay`: words, but no sound or picture. It is of one "
        "run: an earlier recording is replaced.",
    ),
]
Camera = Annotated[
    list[str] | None,
    typer.Option(
        "--camera",
        help="Index, device, URL, file, GStreamer pipeline, or `none`; again for more rooms.",
    ),
]
Mic = Annotated[
    list[str] | None,
    typer.Option(
        "--mic",
        help="`default`, index, name, URL, sound file, or `none`; one for all rooms, or for each.",
    ),
]
Provider = Annotated[
    list[str] | None,
    typer.Option(
        "--provider",
        help="ROLE=auto, cpu, cuda, onnx-tensorrt, openvino, tensorrt, tensorrt-rtx or webgpu; "
        "may be given again.",
    ),
]
Asr = Annotated[
    str | None,
    typer.Option(
        "--asr", help="`sherpa:DIR` (or a name of `models list`): a published model's words."
    ),
]
Track = Annotated[
    list[str] | None,
    typer.Option(
        "--track",
        help="`audio:N` or `video:N`, counted from 1: the track that is used; FFmpeg's choice "
        "by default.",
    ),
]
Config = Annotated[Path | None, typer.Option("--config", help="TOML file of settings.")]


def pairs(given: list[str] | None) -> dict[str, str] | None:
    """Return ``ROLE=provider`` options as a mapping."""
    return dict(pair.partition("=")[::2] for pair in given) if given else None


def tracks(given: list[str] | None) -> Tracks:
    """Return ``--track`` options as the tracks that are used.

    Raises:
        InputError: one is of another form.
    """
    from mera_edge.sources.choice import Tracks

    chosen = {}
    for spec in given or ():
        kind, _, number = spec.partition(":")
        if kind not in ("audio", "video") or not (number.isascii() and number.isdigit()):
            raise InputError(f"--track {spec} is no track", "give audio:2 or video:1, for example")
        chosen[kind] = int(number)
    return Tracks(**chosen)
