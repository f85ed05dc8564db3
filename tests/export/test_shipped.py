"""The default bundle is what its checkpoints are exported to, to the byte."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from mera_edge.bundle import Bundle
from mera_export.bundle import export_bundle


def test_the_checkpoints_give_the_default_bundle(tmp_path: Path) -> None:
    shipped = Bundle.open()
    made_with = shipped.manifest.created_with["torch"]
    if torch.__version__ != made_with:
        pytest.skip(f"another torch writes another graph: the bundle was made with {made_with}")
    exported = export_bundle(Path("train/checkpoints"), tmp_path / "bundle")
    for role, entry in shipped.manifest.roles.items():
        again = exported.manifest.roles[role]
        assert again.files == entry.files, f"{role} is not what its checkpoint gives"
        assert again.card == entry.card
