"""`mera-edge export --licence commercial`: refuse weights without a licence for commercial use."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from mera_edge.bundle import Bundle, RoleName
from mera_edge.bundle.licence import Use, use
from mera_edge.errors import CheckFailed, InputError
from mera_train import checkpoint


def require(wanted: str, checkpoints: Path, roles: Sequence[RoleName], base: Bundle | None) -> None:
    """Refuse an export with weights of another licence class.

    Args:
        wanted: the licence class; only ``commercial`` is supported.
        checkpoints: a directory with one checkpoint per role.
        roles: the roles that are exported.
        base: the bundle with the other roles.

    Raises:
        InputError: ``wanted`` is unknown, or a checkpoint cannot be read.
        CheckFailed: names every role whose weights do not permit it, with their licence.
    """
    if wanted != "commercial":
        raise InputError(f"unknown licence class {wanted!r}", "give --licence commercial")
    licences: dict[RoleName, str] = {
        role: entry.licence
        for role, entry in (base.manifest.roles if base is not None else {}).items()
    }
    licences |= {role: checkpoint.load(checkpoints / role).licence for role in roles}
    refused: dict[RoleName, tuple[str, Use]] = {
        role: (licence, use(licence))
        for role, licence in licences.items()
        if use(licence) != "commercial"
    }
    if refused:
        words = "; ".join(f"{role} ({kind}: {text})" for role, (text, kind) in refused.items())
        raise CheckFailed(
            f"these weights may not be used commercially: {words}",
            "train them on data that allows it and state `licence:` as an SPDX identifier, or "
            "export the other roles with --role",
        )
