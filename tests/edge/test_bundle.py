"""A bundle is opened whole and unaltered, or refused by name."""

import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from mera_edge.bundle import Bundle, Manifest, RoleEntry
from mera_edge.bundle.manifest import FileEntry
from mera_edge.errors import BundleError


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    directory = tmp_path / "bundle"
    directory.mkdir()
    (directory / "voice.onnx").write_bytes(b"a model")
    voice = RoleEntry(
        files={"model": FileEntry.of(directory / "voice.onnx")},
        precision="fp32",
        inputs=(),
        outputs=(),
        features={"kind": "log-mel", "bins": 80},
        licence="CC0",
        card="# Voice",
    )
    manifest = Manifest(
        schema="mera-edge/bundle/1", name="test", created_with={}, roles={"voice": voice}
    )
    (directory / "bundle.json").write_text(manifest.to_json())
    return directory


def edit(bundle: Path, change: Callable[[dict[str, Any]], None]) -> None:
    facts = json.loads((bundle / "bundle.json").read_text())
    change(facts)
    (bundle / "bundle.json").write_text(json.dumps(facts))


def test_a_whole_bundle_opens_as_directory_and_as_zip(bundle: Path, tmp_path: Path) -> None:
    archive = tmp_path / "bundle.zip"
    with zipfile.ZipFile(archive, "w") as file:
        for path in bundle.iterdir():
            file.write(path, path.name)
    for path in (bundle, archive):
        opened = Bundle.open(path)
        assert opened.role("voice").path().read_bytes() == b"a model"
        assert not opened.has("asr")


def test_a_missing_role_and_a_missing_file_of_a_role_are_named(bundle: Path) -> None:
    opened = Bundle.open(bundle)
    with pytest.raises(BundleError, match="has no asr: it has voice"):
        opened.role("asr")
    with pytest.raises(BundleError, match="voice has no file 'tokens'"):
        opened.role("voice").path("tokens")


def test_a_changed_byte_is_found(bundle: Path) -> None:
    (bundle / "voice.onnx").write_bytes(b"a modem")
    with pytest.raises(BundleError, match=r"voice\.onnx \(voice\) is not the file"):
        Bundle.open(bundle)


def test_a_missing_file_is_named(bundle: Path) -> None:
    (bundle / "voice.onnx").unlink()
    with pytest.raises(BundleError, match=r"voice\.onnx \(voice\) is missing"):
        Bundle.open(bundle)


def test_a_link_out_of_the_bundle_is_refused(bundle: Path, tmp_path: Path) -> None:
    (bundle / "voice.onnx").rename(tmp_path / "outside")
    (bundle / "voice.onnx").symlink_to(tmp_path / "outside")
    with pytest.raises(BundleError, match="leads out of the bundle"):
        Bundle.open(bundle)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda facts: facts.update(schema="mera-edge/bundle/9"), "bundle/9.*this version reads"),
        (lambda facts: facts.update(extra=1), "extra: Extra inputs"),
        (lambda facts: facts["roles"].update(nose=facts["roles"]["voice"]), "roles.nose"),
        (
            lambda facts: facts["roles"]["voice"]["files"]["model"].update(path="../voice.onnx"),
            "leaves the bundle",
        ),
    ],
)
def test_a_manifest_that_is_not_understood_is_refused(
    bundle: Path, change: Callable[[dict[str, Any]], None], message: str
) -> None:
    edit(bundle, change)
    with pytest.raises(BundleError, match=message):
        Bundle.open(bundle)


@pytest.mark.parametrize("text", ["", "{", "[]", "\xff"])
def test_a_manifest_that_is_no_json_object_is_refused(bundle: Path, text: str) -> None:
    (bundle / "bundle.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(BundleError, match=r"bundle\.json"):
        Bundle.open(bundle)


def test_a_zip_that_climbs_out_is_refused(bundle: Path, tmp_path: Path) -> None:
    archive = tmp_path / "evil.zip"
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("../evil", "x")
    with pytest.raises(BundleError, match="leaves the bundle"):
        Bundle.open(archive)
    assert not (tmp_path.parent / "evil").exists()


def test_nothing_and_something_else_are_no_bundle(tmp_path: Path) -> None:
    (tmp_path / "note.txt").write_text("hello")
    for path in (tmp_path / "absent", tmp_path, tmp_path / "note.txt"):
        with pytest.raises(BundleError, match="no bundle"):
            Bundle.open(path)


def test_a_file_that_several_need_is_read_once(bundle: Path) -> None:
    opened = Bundle.open(bundle)
    first, second = (opened.role("voice").read("model", Path.read_bytes) for _ in range(2))
    assert first is second
    assert first == opened.role("voice").path().read_bytes()


def test_other_features_are_refused_with_the_fields_that_differ(bundle: Path) -> None:
    role = Bundle.open(bundle).role("voice")
    role.require_features({"kind": "log-mel", "bins": 80})
    with pytest.raises(BundleError, match="bins is 80 there, 40 here"):
        role.require_features({"kind": "log-mel", "bins": 40})


@given(st.text(min_size=1, max_size=30))
def test_no_accepted_path_leaves_its_directory(path: str) -> None:
    try:
        entry = FileEntry(path=path, sha256="0" * 64, bytes=0)
    except ValidationError:
        return
    if "\0" not in path:
        assert (Path("/bundle") / entry.path).resolve().is_relative_to("/bundle")
