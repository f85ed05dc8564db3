"""The corpora as datasets: the train split for calibration, the dev split for the gate.

Test splits are never used: a choice made on them would invalidate their figures.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mera_calibration.request import Dataset
from mera_edge.bundle import Bundle, RoleName
from mera_edge.errors import InputError
from mera_export import own_datasets


@dataclass(frozen=True)
class Corpora:
    """The datasets of all roles: the corpora in a directory, and what checkpoints learnt from."""

    data: Path | None
    """Directory of the corpora."""
    checkpoints: Path | None = None
    """Where a role's checkpoint has its own examples (`examples.csv`), these are used."""

    def __call__(self, role: RoleName, bundle: Bundle) -> Dataset:
        """List the examples of a role; nothing is decoded yet.

        Args:
            role: a role that can be quantized.
            bundle: the bundle whose model they are for.

        Raises:
            InputError: a corpus is missing.
        """
        if path := own_datasets.table(self.checkpoints, role):
            return own_datasets.dataset(path, role, bundle)
        module = _module(role)
        if self.data is None:
            raise InputError(f"corpora are missing: {', '.join(module.CORPORA)}", "give --data")
        examples: Dataset = module.dataset(self.data, bundle)
        return examples

    def missing(self, role: RoleName) -> list[str]:
        """Return the missing corpora of a role, or the missing files of its own examples."""
        if path := own_datasets.table(self.checkpoints, role):
            return own_datasets.missing(path)
        corpora: tuple[str, ...] = _module(role).CORPORA
        return list(corpora) if self.data is None else absent(self.data, corpora)


def absent(data: Path, names: Iterable[str]) -> list[str]:
    """Return the corpora that are neither a directory nor a zip in ``data``."""
    return [
        name for name in names if not (data / name).exists() and not (data / f"{name}.zip").exists()
    ]


def _module(role: RoleName) -> Any:
    """Return what knows a role's corpora: their names in ``CORPORA``, and ``dataset``."""
    return importlib.import_module(f"mera_export.{role}")
