"""Export of the checkpoints of all roles to one bundle, atomically."""

from __future__ import annotations

import importlib
import shutil
import tempfile
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import get_args

from mera_edge.bundle import SCHEMA, Bundle, Manifest, RoleEntry, RoleName
from mera_edge.bundle.manifest import MANIFEST
from mera_edge.errors import InputError
from mera_train.disk import room_for

ROLES: tuple[RoleName, ...] = tuple(role for role in get_args(RoleName) if role != "asr_final")
"""The roles with a model of ours; each has a module of its name with a function ``export``."""

_MADE_WITH = ("mera-edge", "torch", "onnx")

Refine = Callable[[Bundle], Bundle]
"""Replaces models of a bundle in full precision, in its directory, and returns the new bundle."""


def export_bundle(
    checkpoints: Path,
    out: Path,
    roles: Sequence[RoleName] = ROLES,
    name: str | None = None,
    progress: Callable[[str], None] = lambda role: None,
    refine: Refine | None = None,
    base: Bundle | None = None,
    chunk: int | None = None,
) -> Bundle:
    """Export checkpoints to a bundle.

    Args:
        checkpoints: a directory with one checkpoint per role (``checkpoints/voice`` ...).
        out: directory of the bundle. An existing bundle is replaced by rename at the end.
        roles: the roles to export.
        name: name of the bundle; ``None``: that of its directory.
        progress: receives the role that is being exported.
        refine: replaces exported models (by smaller ones) before the bundle is moved into place.
        base: a bundle from which the other roles are copied.
        chunk: chunk size of the recognizer in encoder frames; ``None``: the checkpoint's.

    Raises:
        InputError: a checkpoint is missing or unreadable, ``out`` holds something else, or the disk
            is full.
        CheckFailed: outputs of torch and ONNX Runtime differ.
    """
    for role in roles:
        if role not in ROLES:
            raise InputError(f"no model is trained for {role!r}", f"one of {', '.join(ROLES)}")
    if out.exists() and any(out.iterdir()) and not (out / MANIFEST).is_file():
        raise InputError(
            f"{out} is not empty and does not hold a bundle", "choose another directory"
        )
    out.parent.mkdir(parents=True, exist_ok=True)
    beside = tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}-")
    remedy = (
        "free some space there, or choose another directory; an existing bundle was not changed"
    )
    with room_for(out, remedy), beside as scratch:
        new = Path(scratch) / "new"
        new.mkdir()
        entries = _copied(base, roles, new) if base is not None else {}
        for role in sorted(roles, key=get_args(RoleName).index):
            progress(role)
            module = importlib.import_module(f"mera_export.{role}")
            how = {"chunk": chunk} if role == "asr" else {}
            entries[role] = module.export(checkpoints / role, new, **how)
        # The order does not depend on which roles are from the base.
        entries = {role: entries[role] for role in get_args(RoleName) if role in entries}
        manifest = Manifest(
            schema=SCHEMA,
            name=name or out.resolve().name,
            created_with={package: version(package) for package in _MADE_WITH},
            roles=entries,
        )
        (new / MANIFEST).write_text(manifest.to_json())
        exported = Bundle.open(new)
        if refine is not None:
            (new / MANIFEST).write_text(refine(exported).manifest.to_json())
            Bundle.open(new)
        if out.exists():
            shutil.move(out, Path(scratch) / "old")
        new.rename(out)
    return Bundle.open(out)


def _copied(base: Bundle, roles: Sequence[RoleName], new: Path) -> dict[RoleName, RoleEntry]:
    """Copy all other roles of ``base`` to ``new``."""
    entries = {name: entry for name, entry in base.manifest.roles.items() if name not in roles}
    for name, entry in entries.items():
        for key in entry.files:
            shutil.copy2(base.role(name).path(key), new)
    return entries
