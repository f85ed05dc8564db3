"""Shell completion of values: roles, providers, models, settings."""

from __future__ import annotations

from typing import get_args


def providers(incomplete: str) -> list[str]:
    """Complete ``ROLE=PROVIDER``."""
    from mera_edge.bundle.manifest import RoleName
    from mera_edge.engine.factory import Provider

    known = [f"{role}={name}" for role in get_args(RoleName) for name in get_args(Provider)]
    return [pair for pair in known if pair.startswith(incomplete)]


def evaluated(incomplete: str) -> list[str]:
    """Complete a role of `evaluate`."""
    known = ("asr", "voice", "face", "text", "vad", "face_detector", "fused")
    return [role for role in known if role.startswith(incomplete)]


def roles(incomplete: str) -> list[str]:
    """Complete a role of a bundle."""
    from mera_edge.bundle.manifest import RoleName

    return [role for role in get_args(RoleName) if role.startswith(incomplete)]


def published(incomplete: str) -> list[str]:
    """Complete the name of a published model."""
    from mera_edge.bundle.catalogue import catalogue

    return [name for name in catalogue() if name.startswith(incomplete)]


def replacements(incomplete: str) -> list[str]:
    """Complete ``ROLE=NAME`` of a published model that can replace the bundle's."""
    from mera_edge.bundle.catalogue import catalogue
    from mera_edge.bundle.manifest import PublishedRole

    roles = get_args(PublishedRole)
    pairs = [f"{model.role}={name}" for name, model in catalogue().items() if model.role in roles]
    return [pair for pair in pairs if pair.startswith(incomplete)]


def recognizers(incomplete: str) -> list[str]:
    """Complete ``sherpa:NAME``."""
    from mera_edge.bundle.catalogue import catalogue

    names = [f"sherpa:{name}" for name, model in catalogue().items() if model.kind == "sherpa"]
    return [name for name in names if name.startswith(incomplete)]


def settings(incomplete: str) -> list[str]:
    """Complete ``KEY=`` of the configuration."""
    from pydantic import BaseModel

    from mera_edge.config import Settings

    keys = []
    for key, field in Settings.model_fields.items():
        table = field.annotation
        if isinstance(table, type) and issubclass(table, BaseModel):
            keys += [f"{key}.{name}=" for name in table.model_fields]
        else:
            keys.append(f"{key}=")
    return [key for key in keys if key.startswith(incomplete)]
