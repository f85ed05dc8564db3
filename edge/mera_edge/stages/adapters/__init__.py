"""Published models in the place of the bundle's: a file for each kind of the catalogue.

A file has ``open_model(directory, model)``, which gives what the role's stage asks for: a
`FaceDetector`, a `FaceEncoder`, a `SpeechDetector`, a `SentenceEncoder`. Nothing else knows it.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any, TypeVar

from mera_edge.bundle import Bundle
from mera_edge.bundle.catalogue import downloaded_for, published
from mera_edge.bundle.manifest import PublishedRole

Opened = TypeVar("Opened")
"""What a role's stage asks for."""


def chosen(role: PublishedRole, bundle: Bundle, own: Callable[[Bundle], Opened]) -> Opened:
    """Open what a bundle has run in a role: the pulled model that it names, or its ``own``."""
    name = bundle.published.get(role)
    if name is None:
        return own(bundle)
    pulled: Opened = adapter(role, name)
    return pulled


def adapter(role: str, name: str) -> Any:
    """Open a pulled model.

    Args:
        role: what it is needed for.
        name: of the catalogue.

    Raises:
        InputError: it has not been pulled, or is for another role.
        EngineError: it cannot be loaded.
    """
    path, model = downloaded_for(role, name), published(name)
    module = importlib.import_module(f"{__name__}.{model.kind.replace('-', '_')}")
    return module.open_model(path, model)
