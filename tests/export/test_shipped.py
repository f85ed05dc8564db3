"""The default bundle is what its checkpoints are exported to, and TensorRT takes all of it."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from mera_edge.bundle import Bundle
from mera_export.bundle import export_bundle
from mera_export.tensorrt_rtx import installed, judge


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    out = tmp_path_factory.mktemp("shipped") / "bundle"
    return export_bundle(Path("train/checkpoints"), out)


def test_the_checkpoints_give_the_default_bundle(exported: Bundle) -> None:
    shipped = Bundle.open()
    made_with = shipped.manifest.created_with["torch"]
    if torch.__version__ != made_with:
        pytest.skip(f"another torch writes another graph: the bundle was made with {made_with}")
    for role, entry in shipped.manifest.roles.items():
        again = exported.manifest.roles[role]
        assert again.files == entry.files, f"{role} is not what its checkpoint gives"
        assert again.card == entry.card


@pytest.mark.skipif(not installed(), reason="TensorRT for RTX is not installed")
def test_nvidia_parses_and_builds_every_network(exported: Bundle) -> None:
    verdicts = judge([exported.role(role).path() for role in exported.manifest.roles])
    assert {v.path.name: v.complaint for v in verdicts if not v.accepted} == {}
