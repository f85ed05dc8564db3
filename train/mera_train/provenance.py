"""Licence of the weights, as stated by the user, and the checkpoint they started from."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import Field

from mera_edge.errors import MeraError
from mera_train import checkpoint
from mera_train.checkpoint import UNKNOWN

Licence = Annotated[
    str, Field(description="of the weights, as you state it: for the card and the bundle")
]
"""The type of a role's setting."""


def licence_text(licence: str) -> str:
    """Return the licence sentence of a model card."""
    if licence == UNKNOWN:
        return (
            "not stated (`licence` in the configuration). Weights are not freer than the data they "
            "were learnt from"
        )
    return licence


def origin_text(initial: Path | None) -> str:
    """Return what training started from, for a sentence of the model card."""
    if initial is None:
        return "trained from nothing"
    try:
        licence = checkpoint.load(initial).licence
    except MeraError:
        licence = UNKNOWN  # The checkpoint has been moved since.
    return f"begun from the weights in `{initial.name}` (their licence: {licence})"
