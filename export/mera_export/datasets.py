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
from mera_edge.evaluation.role_evaluators import ROLE_EVALUATORS
from mera_export import own_datasets


@dataclass(frozen=True)
class Corpora:
    """The datasets of all roles: corpora, or the user's own examples."""

    data: Path | None
    """Directory of the corpora, or examples of one role in any layout that training reads."""
    checkpoints: Path | None = None
    """Where a checkpoint has its own examples (`examples.csv`), they replace the corpora."""

    def for_roles(self, roles: Iterable[RoleName]) -> Corpora:
        """Check that ``data`` is suitable for these roles.

        Raises:
            InputError: it does not exist, or has examples of one role for several roles.
        """
        if self.data is None:
            return self
        if not self.data.exists():
            raise InputError(
                f"{self.data} does not exist",
                "give the directory with the corpora, or your own examples",
            )
        asked = [role for role in roles if role in ROLE_EVALUATORS]
        if own_datasets.are_examples(self.data) and len(asked) > 1:
            raise InputError(
                f"{self.data} has examples of one role, but several are exported: "
                f"{', '.join(asked)}",
                "name that role with --role ROLE; take the others with --base BUNDLE",
            )
        return self

    def has(self, role: RoleName) -> bool:
        """Whether a role has a dataset, complete or not."""
        return self.data is not None or self._own(role) is not None

    def __call__(self, role: RoleName, bundle: Bundle) -> Dataset:
        """List the examples of a role; nothing is decoded yet.

        Args:
            role: a role that can be quantized.
            bundle: the bundle whose model they are for.

        Raises:
            InputError: a corpus is missing, or examples are unusable.
        """
        if path := self._own(role):
            examples = own_datasets.read(path, role, self._checkpoint(role))
            return own_datasets.dataset(examples, role, bundle)
        module = _module(role)
        if self.data is None:
            raise InputError(f"corpora are missing: {', '.join(module.CORPORA)}", "give --data")
        found: Dataset = module.dataset(self.data, bundle)
        return found

    def missing(self, role: RoleName) -> list[str]:
        """Return the missing corpora of a role.

        Raises:
            InputError: own examples are unusable, or files are missing.
        """
        if path := self._own(role):
            own_datasets.read(path, role, self._checkpoint(role))
            return []
        corpora: tuple[str, ...] = _module(role).CORPORA
        return list(corpora) if self.data is None else absent(self.data, corpora)

    def _own(self, role: RoleName) -> Path | None:
        """Return the table of own examples: the given one, or the checkpoint's."""
        if self.data is not None and own_datasets.are_examples(self.data):
            return self.data
        return own_datasets.table(self._checkpoint(role))

    def _checkpoint(self, role: RoleName) -> Path | None:
        return None if self.checkpoints is None else self.checkpoints / role


def absent(data: Path, names: Iterable[str]) -> list[str]:
    """Return the corpora without a directory or zip in ``data``."""
    return [
        name for name in names if not (data / name).exists() and not (data / f"{name}.zip").exists()
    ]


def _module(role: RoleName) -> Any:
    """Return the module with ``CORPORA`` and ``dataset`` of a role."""
    return importlib.import_module(f"mera_export.{role}")
