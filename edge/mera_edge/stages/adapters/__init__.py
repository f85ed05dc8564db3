"""Adapters for published models that replace the bundle's, one module per ``kind``.

Each module defines ``open_model(directory, model)``, which returns the protocol of its role: a
`FaceDetector`, `FaceEncoder`, `SpeechDetector`, `VoiceEncoder` or `SentenceEncoder`.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any, TypeVar

from mera_edge.bundle import Bundle
from mera_edge.bundle.catalogue import downloaded_for, published
from mera_edge.bundle.manifest import PublishedRole

Opened = TypeVar("Opened")
"""The protocol of a role."""


def chosen(role: PublishedRole, bundle: Bundle, own: Callable[[Bundle], Opened]) -> Opened:
    """Open the downloaded model selected for a role, or else the bundle's ``own``."""
    name = bundle.published.get(role)
    if name is None:
        return own(bundle)
    pulled: Opened = adapter(role, name)
    return pulled


def adapter(role: str, name: str) -> Any:
    """Open a downloaded model.

    Args:
        role: the role it is needed for.
        name: its name in the catalogue.

    Raises:
        InputError: it has not been downloaded, or is for another role.
        EngineError: it cannot be loaded.
    """
    path, model = downloaded_for(role, name), published(name)
    module = importlib.import_module(f"{__name__}.{model.kind.replace('-', '_')}")
    return module.open_model(path, model)
