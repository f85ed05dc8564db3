"""Published models arrive whole and verified, or not at all."""

from __future__ import annotations

import tarfile
from dataclasses import replace
from pathlib import Path

import pytest

from mera_edge.bundle import pull as pulling
from mera_edge.bundle.manifest import sha256
from mera_edge.errors import InputError


@pytest.fixture
def published(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A stand-in for what others publish, reachable by URL."""
    file = tmp_path / "published" / "model.onnx"
    file.parent.mkdir()
    file.write_bytes(b"weights")
    model = replace(pulling.CATALOGUE["yunet"], url=file.as_uri(), sha256=sha256(file))
    monkeypatch.setitem(pulling.CATALOGUE, "yunet", model)
    monkeypatch.setenv("MERA_EDGE_MODELS", str(tmp_path / "models"))
    return file


def test_it_is_fetched_once_and_found_again(published: Path) -> None:
    assert pulling.pulled("yunet") is None
    path = pulling.pull("yunet")
    assert pulling.pulled("yunet") == path
    assert path.read_bytes() == b"weights"


def test_a_file_brought_by_other_means_will_do(published: Path, tmp_path: Path) -> None:
    brought = published.rename(tmp_path / "stick.onnx")
    assert pulling.pull("yunet", brought).read_bytes() == b"weights"


def test_something_else_is_refused_and_what_was_there_stays(
    published: Path, tmp_path: Path
) -> None:
    path = pulling.pull("yunet")
    (tmp_path / "other").write_bytes(b"something else")
    for source in (tmp_path / "other", tmp_path / "absent"):
        with pytest.raises(InputError):
            pulling.pull("yunet", source)
    assert [file.name for file in path.parent.iterdir()] == [path.name]
    assert pulling.pulled("yunet") == path


def test_an_archive_is_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = pulling.CATALOGUE["zipformer-en"]
    folder = tmp_path / model.file
    folder.mkdir()
    (folder / "tokens.txt").write_text("<blk> 0\n")
    archive = tmp_path / f"{model.file}.tar.bz2"
    with tarfile.open(archive, "w:bz2") as file:
        file.add(folder, model.file)
    made_up = replace(model, url=archive.as_uri(), sha256=sha256(archive))
    monkeypatch.setitem(pulling.CATALOGUE, "zipformer-en", made_up)
    monkeypatch.setenv("MERA_EDGE_MODELS", str(tmp_path / "models"))
    assert pulling.pulled("zipformer-en") is None
    for _ in range(2):
        path = pulling.pull("zipformer-en")
        assert path == pulling.pulled("zipformer-en")
        assert [found.name for found in path.iterdir()] == ["tokens.txt"]
    assert [found.name for found in path.parent.iterdir()] == [path.name]


def test_no_network_says_how_to_do_without(published: Path) -> None:
    published.unlink()
    with pytest.raises(InputError, match="--from FILE"):
        pulling.pull("yunet")


def test_an_altered_model_is_not_used(published: Path) -> None:
    pulling.pull("yunet").write_bytes(b"weighty")
    with pytest.raises(InputError, match="was altered"):
        pulling.pulled("yunet")


def test_an_unknown_model_names_the_known(published: Path) -> None:
    with pytest.raises(InputError, match="known: yunet"):
        pulling.pull("yunett")
