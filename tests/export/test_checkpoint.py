"""A checkpoint that does not fit itself is refused by name, whatever role it is of."""

import contextlib
from pathlib import Path

import pytest

from mera_edge.errors import MeraError
from mera_export.face import export
from mera_train import checkpoint
from mera_train.face.model import FaceNet, ModelConfig
from mera_train.face.train import Config


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    shape = ModelConfig(stem_channels=8, channels=(8, 16), blocks=(1, 1))
    checkpoint.save(tmp_path / "face", FaceNet(shape), Config(model=shape), {}, "# Face")
    return tmp_path / "face"


@pytest.mark.parametrize(
    ("old", "new", "named"),
    [
        ("stem_channels: 8", "stem_channels: 16", r"do not fit config\.yaml: .*stem"),
        ("stem_channels: 8", "stem_chanels: 8", r"stem_chanels.*did you mean 'stem_channels'"),
        ("stem_channels: 8", "stem_channels: many", "stem_channels: Input should be a valid int"),
    ],
)
def test_a_configuration_of_another_model_is_refused(
    directory: Path, tmp_path: Path, old: str, new: str, named: str
) -> None:
    path = directory / "config.yaml"
    path.write_text(path.read_text().replace(old, new))
    out = tmp_path / "out"
    out.mkdir()
    with pytest.raises(MeraError, match=f"(?s){named}"):
        export(directory, out)
    assert not any(out.iterdir())


@pytest.mark.parametrize("name", checkpoint.FILES)
@pytest.mark.parametrize("content", [b"", b"\xff\xfe", b"[" * 5000, b"[1]"])
def test_corrupt_file_gives_one_error(directory: Path, name: str, content: bytes) -> None:
    (directory / name).write_bytes(content)
    with contextlib.suppress(MeraError):  # Whatever text is a card.
        loaded = checkpoint.load(directory)
        assert loaded.licence == "unknown"
        assert name == "card.md" or not content


def test_a_missing_file_is_named(directory: Path, tmp_path: Path) -> None:
    (directory / "card.md").unlink()
    with pytest.raises(MeraError, match=r"card\.md is missing"):
        export(directory, tmp_path)
