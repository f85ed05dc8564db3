"""Repeat the tests of a checkpoint."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mera_train.checkpoint import Checkpoint


def _asr(loaded: Checkpoint, data: Path) -> dict[str, Any]:
    from mera_train.asr.measure import measured

    return measured(loaded, data)


def _face(loaded: Checkpoint, data: Path) -> dict[str, Any]:
    from mera_train.face import data as faces
    from mera_train.face.measure import measured
    from mera_train.face.model import FaceNet
    from mera_train.face.train import Config

    config = loaded.settings(Config)
    places = [path if path.exists() else data / path for path in config.extra_data]
    parts = [faces.read_manifest(path)["valid"] for path in places if path.exists()]
    if len(parts) < len(places):
        print(
            "Not measured again: the additional faces, because their CSV is not in DIR.",
            file=sys.stderr,
        )
    further = faces.joined(parts) if parts and len(parts) == len(places) else None
    return measured(loaded.fill(FaceNet(config.model)), faces.load(data), further)


def _voice(loaded: Checkpoint, data: Path) -> dict[str, Any]:
    from mera_train.voice.train import measured

    return measured(loaded, data)


def _text(loaded: Checkpoint, data: Path) -> dict[str, Any]:
    from mera_train.text.train import measured

    return measured(loaded, data)


def _fusion(loaded: Checkpoint, data: Path) -> dict[str, Any]:
    from mera_train.fusion.train import measured

    return measured(loaded, data)


def _vad(loaded: Checkpoint, data: Path) -> dict[str, Any]:
    from mera_edge.bundle import Bundle
    from mera_train.vad import teacher
    from mera_train.vad.measure import measure

    return {"test": measure(data, Bundle.open(), teacher.silero(), 50)}


MEASURES: dict[str, Callable[[Checkpoint, Path], dict[str, Any]]] = {
    "asr": _asr,
    "face": _face,
    "voice": _voice,
    "text": _text,
    "fusion": _fusion,
    "vad": _vad,
}
"""Measuring functions by role; each returns the measured part of ``metrics.json``."""
