"""The catalogue of published models, and those that have been downloaded."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, field_validator

from mera_edge.bundle.manifest import RoleName, sha256
from mera_edge.bundle.places import place
from mera_edge.errors import InputError
from mera_edge.labels import OUTSIDE, to_emotion

COMPLETE = "complete"
"""Marker file in the directory of a model that was unpacked from a verified archive."""


class Published(BaseModel):
    """An entry of ``catalogue.toml``: a model published by others."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    role: RoleName
    kind: str
    """Selects the adapter."""
    licence: str
    what: str
    sources: tuple[str, ...]
    languages: tuple[str, ...] = ()
    """ISO 639-1 codes, for models of speech or text."""
    files: dict[str, str] = {}
    """SHA-256 of each file, by name."""
    labels: tuple[str, ...] = ()
    """Labels of its outputs, in order."""
    preprocess: dict[str, Any] = {}
    """Parameters of its adapter."""
    archive_sha256: str | None = None
    """SHA-256 of an archive to unpack, instead of ``files``."""

    @field_validator("labels")
    @classmethod
    def _known(cls, labels: tuple[str, ...]) -> tuple[str, ...]:
        """Reject labels that do not map to an emotion."""
        try:
            for label in set(labels) - OUTSIDE:
                to_emotion(label)
        except InputError as error:
            raise ValueError(str(error)) from error
        return labels


@cache
def catalogue() -> dict[str, Published]:
    """Return all published models by name."""
    import sys

    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib

    text = Path(__file__).with_name("catalogue.toml").read_text(encoding="utf-8")
    return {name: Published(**entry) for name, entry in tomllib.loads(text).items()}


def published(name: str) -> Published:
    """Return the published model ``name``.

    Raises:
        InputError: there is no model of that name.
    """
    known = catalogue()
    if name not in known:
        raise InputError(
            f"there is no published model named {name!r}", f"known: {', '.join(known)}"
        )
    return known[name]


def directory() -> Path:
    """Return the directory of downloaded models: ``MERA_EDGE_MODELS``, else in the user's data."""
    return place("MERA_EDGE_MODELS", "XDG_DATA_HOME", ".local/share", "models")


def pulled(name: str) -> Path | None:
    """Return the directory of a published model, or ``None`` if it has not been downloaded.

    Raises:
        InputError: there is no such model, or one of its files is missing or altered. (Files from
            an archive are verified only when it is unpacked.)
    """
    model, path = published(name), directory() / name
    if not path.is_dir():
        return None
    remedy = f"run: mera-edge models pull {name}"
    if model.archive_sha256 is not None:
        if not (path / COMPLETE).is_file():
            raise InputError(f"{path} is incomplete", remedy)
        return path
    for file, digest in model.files.items():
        if not (path / file).is_file():
            raise InputError(f"{path / file} is missing", remedy)
        if sha256(path / file) != digest:
            raise InputError(f"{path / file} was altered", remedy)
    return path


def downloaded(name: str) -> Path:
    """Return the directory of a published model that must be there.

    Raises:
        InputError: as for `pulled`, or it has not been downloaded.
    """
    path = pulled(name)
    if path is None:
        raise InputError(f"{name} has not been downloaded", f"run: mera-edge models pull {name}")
    return path


def downloaded_for(role: str, name: str) -> Path:
    """Return the directory of a published model for a role.

    Raises:
        InputError: as for `downloaded`, or it is for another role.
    """
    theirs = published(name).role
    if theirs != role:
        raise InputError(
            f"{name} is for the role {theirs}, not {role}", "see: mera-edge models list"
        )
    return downloaded(name)


def is_whole(name: str) -> bool:
    """Whether a published model has been downloaded and is intact."""
    try:
        return pulled(name) is not None
    except InputError:
        return False
