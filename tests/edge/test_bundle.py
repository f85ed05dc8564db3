"""A bundle is opened whole and unaltered, or refused by name."""

import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from mera_edge.bundle import Bundle, Manifest, RoleEntry, arrays
from mera_edge.bundle.load import DEFAULT
from mera_edge.bundle.manifest import FileEntry, sha256
from mera_edge.bundle.unpack import LIMIT, PREFIX
from mera_edge.errors import BundleError, EngineError


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
    with pytest.raises(BundleError, match="has no model for asr: it has voice"):
        opened.role("asr")
    with pytest.raises(BundleError, match="voice has no file 'tokens'"):
        opened.role("voice").path("tokens")


def test_altered_file_fails_its_hash(bundle: Path) -> None:
    (bundle / "voice.onnx").write_bytes(b"a modem")
    with pytest.raises(BundleError, match=r"voice\.onnx \(voice\) does not match"):
        Bundle.open(bundle)


def test_a_missing_file_is_named(bundle: Path) -> None:
    (bundle / "voice.onnx").unlink()
    with pytest.raises(BundleError, match=r"voice\.onnx \(voice\) is missing"):
        Bundle.open(bundle)


def test_symlink_out_of_the_bundle_is_refused(bundle: Path, tmp_path: Path) -> None:
    (bundle / "voice.onnx").rename(tmp_path / "outside")
    (bundle / "voice.onnx").symlink_to(tmp_path / "outside")
    with pytest.raises(BundleError, match="points outside the bundle"):
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
def test_invalid_manifest_is_refused(
    bundle: Path, change: Callable[[dict[str, Any]], None], message: str
) -> None:
    edit(bundle, change)
    with pytest.raises(BundleError, match=message):
        Bundle.open(bundle)


@pytest.mark.parametrize(
    "text",
    [
        "", "{", "[]", "\xff", "\0", "[" * 100_000, '{"a":' * 100_000, '{"schema": NaN}',
        '{"schema": ' + "9" * 5000 + "}", '{"schema": 1e999}', " " * 17_000_000,
    ],
    ids=range(11),
)  # fmt: skip
def test_a_manifest_that_is_no_json_object_is_refused(bundle: Path, text: str) -> None:
    (bundle / "bundle.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(BundleError, match=r"bundle\.json"):
        Bundle.open(bundle)


def test_zip_slip_is_refused(bundle: Path, tmp_path: Path) -> None:
    archive = tmp_path / "evil.zip"
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("../evil", "x")
    with pytest.raises(BundleError, match="leaves the bundle"):
        Bundle.open(archive)
    assert not (tmp_path.parent / "evil").exists()


def test_missing_or_foreign_path_is_not_a_bundle(tmp_path: Path) -> None:
    (tmp_path / "note.txt").write_text("hello")
    for path in (tmp_path / "absent", tmp_path, tmp_path / "note.txt"):
        with pytest.raises(BundleError, match="not a bundle"):
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


@pytest.fixture
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where temporary files lie, in this process and its children."""
    directory = tmp_path / "scratch"
    directory.mkdir()
    monkeypatch.setenv("TMPDIR", str(directory))
    monkeypatch.setattr(tempfile, "tempdir", str(directory))
    return directory


def zipped(bundle: Path, packing: int = zipfile.ZIP_DEFLATED) -> Path:
    archive = bundle.with_suffix(".zip")
    with zipfile.ZipFile(archive, "w", packing) as file:
        for path in bundle.iterdir():
            file.write(path, path.name)
    return archive


def test_a_zip_is_unpacked_no_further_than_its_manifest_says(bundle: Path, scratch: Path) -> None:
    (bundle / "voice.onnx").write_bytes(bytes(50_000_000))
    (bundle / "more").write_bytes(b"what nobody asked for")
    archive = zipped(bundle)
    with pytest.raises(BundleError, match=r"voice\.onnx is larger than the 7 bytes"):
        Bundle.open(archive)
    assert not list(scratch.iterdir())
    (bundle / "voice.onnx").write_bytes(b"a model")
    opened = Bundle.open(zipped(bundle))
    assert {path.name for path in opened.directory.iterdir()} == {"bundle.json", "voice.onnx"}


@pytest.mark.parametrize(("size", "message"), [(LIMIT + 1, "more than"), (10**30, "more than")])
def test_zip_bomb_is_refused(bundle: Path, scratch: Path, size: int, message: str) -> None:
    edit(bundle, lambda facts: facts["roles"]["voice"]["files"]["model"].update(bytes=size))
    with pytest.raises(BundleError, match=message):
        Bundle.open(zipped(bundle))
    assert not list(scratch.iterdir())


def test_zip_larger_than_free_disk_space_is_refused(
    bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    full = type("Usage", (), {"free": 6})
    monkeypatch.setattr("mera_edge.bundle.unpack.shutil.disk_usage", lambda path: full)
    with pytest.raises(BundleError, match="has room for 6: set TMPDIR"):
        Bundle.open(zipped(bundle))


@pytest.mark.parametrize(
    ("place", "value", "message"), [(8, b"\1\0", "encrypted"), (10, b"\x63\0", "compression")]
)
def test_a_zip_that_cannot_be_read_is_refused(
    bundle: Path, place: int, value: bytes, message: str
) -> None:
    first, *members = zipped(bundle).read_bytes().split(b"PK\1\2")
    altered = [member[: place - 4] + value + member[place - 2 :] for member in members]
    bundle.with_suffix(".zip").write_bytes(b"PK\1\2".join([first, *altered]))
    with pytest.raises(BundleError, match=message):
        Bundle.open(bundle.with_suffix(".zip"))


def test_a_zip_goes_with_its_bundle_and_after_a_kill_with_the_next(
    bundle: Path, scratch: Path
) -> None:
    archive = zipped(bundle)
    code = (
        "import os, sys, pathlib; from mera_edge.bundle import Bundle;"
        "opened = Bundle.open(pathlib.Path(sys.argv[1])); print(opened.directory, flush=True);"
        "sys.argv[2] == 'kill' and os.kill(os.getpid(), 9)"
    )

    def child(end: str) -> Path:
        ran = subprocess.run(
            [sys.executable, "-c", code, str(archive), end], capture_output=True, text=True
        )
        return Path(ran.stdout.strip())

    assert not child("return").exists()
    mine = Bundle.open(archive)
    left = child("kill")
    assert left.name.startswith(PREFIX)
    assert left.is_dir()
    other = Bundle.open(archive)
    assert not left.exists()
    assert mine.role("voice").path().is_file()
    assert other.directory != mine.directory
    del other, mine
    assert not list(scratch.iterdir())


@pytest.mark.parametrize("name", ["bundle.json", "voice.onnx"])
def test_named_pipe_in_a_bundle_is_rejected(bundle: Path, name: str) -> None:
    (bundle / name).unlink()
    os.mkfifo(bundle / name)
    with pytest.raises(BundleError, match="is missing"):
        Bundle.open(bundle)


@pytest.fixture
def shipped(tmp_path: Path) -> Callable[..., Path]:
    """Copy roles of the default bundle."""

    def make(*roles: str) -> Path:
        directory = tmp_path / "shipped"
        directory.mkdir()
        facts = json.loads((DEFAULT / "bundle.json").read_text(encoding="utf-8"))
        facts["roles"] = {role: facts["roles"][role] for role in roles}
        for role in facts["roles"].values():
            for file in role["files"].values():
                (directory / file["path"]).write_bytes((DEFAULT / file["path"]).read_bytes())
        (directory / "bundle.json").write_text(json.dumps(facts))
        return directory

    return make


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda role: role["inputs"][0].update(shape=[1, 99]), r"\[1, 99\] in the manifest"),
        (
            lambda role: role["inputs"][0].update(name="x"),
            r"x is float32 \[1, 192\] in",
        ),
        (lambda role: role["outputs"][0].update(dtype="int64"), "int64 .* in the manifest"),
        (lambda role: role["outputs"].clear(), "absent in the manifest, float32"),
    ],
)
def test_a_manifest_that_describes_another_model_is_refused(
    shipped: Callable[..., Path], change: Callable[[dict[str, Any]], None], message: str
) -> None:
    bundle = shipped("fusion")
    edit(bundle, lambda facts: change(facts["roles"]["fusion"]))
    with pytest.raises(BundleError, match=f"model fusion does not match the manifest: .*{message}"):
        Bundle.open(bundle).role("fusion").engine()


def test_a_model_in_another_ones_place_is_refused(shipped: Callable[..., Path]) -> None:
    bundle = shipped("face", "voice")

    def swap(facts: dict[str, Any]) -> None:
        roles = facts["roles"]
        roles["face"], roles["voice"] = roles["voice"], roles["face"]

    edit(bundle, swap)
    opened = Bundle.open(bundle)
    with pytest.raises(BundleError, match="the input frames must be float32"):
        opened.role("voice").stage_engine()


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("labels", ["happy"], "1 labels for 8 probabilities"),
        ("labels", ["happy"] * 7 + ["nose"], "'nose' is not an emotion label"),
        ("settings", {}, "chunk_frames is None"),
    ],
)
def test_facts_that_do_not_go_with_the_model_are_refused(
    shipped: Callable[..., Path], key: str, value: object, message: str
) -> None:
    bundle = shipped("voice")
    edit(bundle, lambda facts: facts["roles"]["voice"].update({key: value}))
    with pytest.raises(BundleError, match=message):
        Bundle.open(bundle).role("voice").stage_engine()


def test_a_fusion_of_other_encoders_is_refused(shipped: Callable[..., Path]) -> None:
    bundle = shipped("fusion", "face")

    def widen(facts: dict[str, Any]) -> None:
        tensors = facts["roles"]["face"]["outputs"]
        next(tensor for tensor in tensors if tensor["name"] == "embedding")["shape"] = [1, 128]

    edit(bundle, widen)
    with pytest.raises(BundleError, match=r"\(1, 96\) of face, which gives \(1, 128\)"):
        Bundle.open(bundle)


def test_a_damaged_model_is_refused_on_one_line(shipped: Callable[..., Path]) -> None:
    bundle = shipped("fusion")
    model = bundle / "fusion.onnx"
    model.write_bytes(b"\xff\n" * 1000)
    entry = {"sha256": sha256(model), "bytes": 2000}
    edit(bundle, lambda facts: facts["roles"]["fusion"]["files"]["model"].update(entry))
    with pytest.raises(EngineError, match="cannot be loaded") as refused:
        Bundle.open(bundle).role("fusion").engine()
    assert "\n" not in str(refused.value)


def test_reader_errors_name_the_file(bundle: Path) -> None:
    role = Bundle.open(bundle).role("voice")
    with pytest.raises(BundleError, match=r"voice\.onnx \(voice\) cannot be read \(BadZipFile"):
        role.read("model", lambda path: arrays.read_arrays(path, {}))


def test_npz_bomb_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    np.savez_compressed(tmp_path / "zeros.npz", zeros=np.zeros(1000))
    shapes = {"zeros": "N"}
    assert arrays.read_arrays(tmp_path / "zeros.npz", shapes)["zeros"].shape == (1000,)
    monkeypatch.setattr(arrays, "LIMIT", 1000)
    with pytest.raises(ValueError, match="more than 1000"):
        arrays.read_arrays(tmp_path / "zeros.npz", shapes)


@pytest.mark.parametrize(
    ("shapes", "message"),
    [
        ({"zeros": "NN"}, "zeros has shape"),
        ({"zeros": "N", "ones": "N"}, "ones has shape"),
        ({"text": ""}, "type <U1"),
        ({"absent": ""}, "absent"),
    ],
)
def test_arrays_of_other_shapes_are_refused(
    tmp_path: Path, shapes: dict[str, str], message: str
) -> None:
    np.savez(tmp_path / "a.npz", zeros=np.zeros(3), ones=np.ones(4), text=np.array("x"))
    with pytest.raises((ValueError, KeyError), match=message):
        arrays.read_arrays(tmp_path / "a.npz", shapes)


@pytest.mark.parametrize("offsets", [[], [0], [0, 5], [0, 3, 2, 5], [1, 2, 5], [0, 2, 6]])
def test_offsets_rise_to_the_end(offsets: list[int]) -> None:
    arrays.require_offsets("good", np.array([0, 2, 5]), 0, 5, 2)
    with pytest.raises(ValueError, match="does not rise"):
        arrays.require_offsets("bad", np.array(offsets), 0, 5, 2)


@pytest.fixture(scope="module")
def fuzz() -> ModuleType:
    """``benchmarks/fuzz_bundles.py``, which spoils bundles by number."""
    path = Path(__file__).parents[2] / "benchmarks" / "fuzz_bundles.py"
    spec = importlib.util.spec_from_file_location("fuzz_bundles", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["fuzz_bundles"] = module
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("size", [-1, 0, 10**12])
def test_a_model_without_a_size_is_refused(tmp_path: Path, size: int) -> None:
    shutil.copytree(DEFAULT, tmp_path / "bundle")
    manifest = tmp_path / "bundle" / "bundle.json"
    facts = json.loads(manifest.read_text())
    facts["roles"] = {"fusion": facts["roles"]["fusion"]}
    next(t for t in facts["roles"]["fusion"]["inputs"] if t["name"] == "face")["shape"][-1] = size
    manifest.write_text(json.dumps(facts))
    with pytest.raises(BundleError, match="shape"):
        Bundle.open(tmp_path / "bundle")


@settings(max_examples=25)
@given(st.integers(0, 10**9))
def test_a_corrupted_bundle_works_or_is_refused_clearly(fuzz: ModuleType, number: int) -> None:
    with tempfile.TemporaryDirectory() as directory:
        what, outcome, message = fuzz.case(number, Path(directory), small=True)
    assert outcome in ("worked", "refused"), (what, message)
