"""A bundle is assembled whole: it replaces the old one only when everything is well."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from mera_edge.bundle import Bundle
from mera_edge.errors import InputError
from mera_edge.labels import MODALITIES
from mera_export.bundle import export_bundle
from mera_train import checkpoint
from mera_train.fusion.model import ModelConfig, Mtme
from mera_train.fusion.train import Config


@pytest.fixture
def checkpoints(tmp_path: Path) -> Path:
    """A checkpoint of one role, small and random."""
    torch.manual_seed(0)
    network = Mtme(ModelConfig(fused=8, unimodal=4), dict.fromkeys(MODALITIES, 4))
    config = Config(encoders=Path("bundle"), model=network.config)
    checkpoint.save(tmp_path / "checkpoints" / "fusion", network, config, {}, "# Fusion")
    return tmp_path / "checkpoints"


def files(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in directory.iterdir()}


def test_the_same_checkpoint_gives_the_same_bytes(checkpoints: Path, tmp_path: Path) -> None:
    for name in ("one", "two"):
        bundle = export_bundle(checkpoints, tmp_path / name, ["fusion"])
        assert bundle.role("fusion").engine().inputs["present"].shape == (1, 3)
    assert files(tmp_path / "one") == files(tmp_path / "two")


def test_an_export_that_fails_leaves_the_old_bundle_whole(
    checkpoints: Path, tmp_path: Path
) -> None:
    out = tmp_path / "bundle"
    export_bundle(checkpoints, out, ["fusion"])
    before = files(out)
    (checkpoints / "fusion" / "card.md").unlink()
    with pytest.raises(InputError, match=r"card\.md is missing"):
        export_bundle(checkpoints, out, ["fusion"])
    assert files(out) == before
    assert Bundle.open(out).has("fusion")
    assert {path.name for path in tmp_path.iterdir()} == {"checkpoints", "bundle"}


def test_what_is_no_bundle_is_not_replaced(checkpoints: Path, tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "letter.txt").write_text("dear")
    with pytest.raises(InputError, match="holds no bundle"):
        export_bundle(checkpoints, tmp_path / "home", ["fusion"])
    assert (tmp_path / "home" / "letter.txt").exists()


def test_an_unknown_role_and_a_missing_checkpoint_are_named(
    checkpoints: Path, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match="'nose'"):
        export_bundle(checkpoints, tmp_path / "out", ["nose"])  # type: ignore[list-item]
    with pytest.raises(InputError, match="voice is not a checkpoint"):
        export_bundle(checkpoints, tmp_path / "out", ["voice"])
    assert not (tmp_path / "out").exists()


def test_weights_that_are_no_weights_are_named(checkpoints: Path, tmp_path: Path) -> None:
    (checkpoints / "fusion" / "model.safetensors").write_bytes(b"\x80\x04pickled")
    with pytest.raises(InputError, match="fusion cannot be read"):
        export_bundle(checkpoints, tmp_path / "out", ["fusion"])
