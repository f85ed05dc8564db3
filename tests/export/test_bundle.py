"""A bundle is assembled whole: it replaces the old one only when everything is well."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from mera_edge.bundle import Bundle
from mera_edge.cli import main
from mera_edge.errors import InputError
from mera_edge.labels import MODALITIES
from mera_export.bundle import export_bundle
from mera_train import checkpoint
from mera_train.fusion.config import Config
from mera_train.fusion.model import ModelConfig, Mtme


@pytest.fixture
def checkpoints(tmp_path: Path) -> Path:
    """A checkpoint of one role, small and random."""
    torch.manual_seed(0)
    network = Mtme(ModelConfig(fusion_dim=8, unimodal_dim=4), dict.fromkeys(MODALITIES, 4))
    config = Config(encoders=Path("bundle"), model=network.config)
    checkpoint.save(tmp_path / "checkpoints" / "fusion", network, config, {}, "# Fusion")
    return tmp_path / "checkpoints"


def files(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in directory.iterdir()}


def test_the_same_checkpoint_gives_the_same_bytes(checkpoints: Path, tmp_path: Path) -> None:
    for name in ("one", "two"):
        bundle = export_bundle(checkpoints, tmp_path / name, ["fusion"], name="toy")
        assert bundle.role("fusion").engine().inputs["present"].shape == (1, 3)
    assert files(tmp_path / "one") == files(tmp_path / "two")


def test_a_bundle_has_its_own_name_and_the_licence_that_was_stated(
    checkpoints: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["export", "--checkpoints", str(checkpoints), "--role", "fusion", "--out"]
    with pytest.raises(SystemExit) as left:
        main([*arguments, str(tmp_path / "kitchen")])
    assert not left.value.code
    own = Bundle.open(tmp_path / "kitchen").manifest
    assert (own.name, own.roles["fusion"].licence) == ("kitchen", "unknown")
    assert "nobody has stated the licence of fusion" in capsys.readouterr().out
    settings = checkpoints / "fusion" / "config.yaml"
    settings.write_text(settings.read_text().replace("licence: unknown", "licence: MIT"))
    with pytest.raises(SystemExit):
        main([*arguments, str(tmp_path / "kitchen"), "--name", "hall"])
    own = Bundle.open(tmp_path / "kitchen").manifest
    assert (own.name, own.roles["fusion"].licence) == ("hall", "MIT")


def test_the_default_bundle_states_the_licences_of_its_checkpoints() -> None:
    shipped = Bundle.open().manifest
    assert shipped.name == "default"
    for role in ("asr", "voice", "face", "text", "fusion"):
        stated = checkpoint.load(Path("train/checkpoints") / role).licence
        assert stated != "unknown" and shipped.roles[role].licence == stated


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


def test_export_does_not_overwrite_a_non_bundle(checkpoints: Path, tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "letter.txt").write_text("dear")
    with pytest.raises(InputError, match="not hold a bundle"):
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
