"""Published models in the place of the bundle's: a file for each kind of the catalogue.

A file has ``open_model(directory, model)``, which gives what the role's stage asks for: a
`FaceDetector`, a `FaceEncoder`, a `SpeechDetector`, a `SentenceEncoder`. Nothing else knows it.
"""

from __future__ import annotations

import importlib
from typing import Any

from mera_edge.bundle.catalogue import published, pulled
from mera_edge.errors import InputError


def adapter(role: str, name: str) -> Any:
    """Open a pulled model.

    Args:
        role: what it is needed for.
        name: of the catalogue.

    Raises:
        InputError: it is not here, or for another role.
        EngineError: it cannot be loaded.
    """
    model = published(name)
    if model.role != role:
        raise InputError(
            f"{name} is for the role {model.role}, not {role}", "see: mera-edge models list"
        )
    path = pulled(name)
    if path is None:
        raise InputError(f"{name} is not here", f"run: mera-edge models pull {name}")
    module = importlib.import_module(f"{__name__}.{model.kind.replace('-', '_')}")
    return module.open_model(path, model)
