"""A bundle is what its checkpoints give, or the check that says no is named."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from numpy.typing import NDArray

from mera_calibration.calibration_set import Example
from mera_calibration.fp16 import to_fp16
from mera_calibration.qdq import write
from mera_calibration.request import Dataset
from mera_edge.bundle import Bundle
from mera_edge.bundle.manifest import FileEntry
from mera_edge.cli import main
from mera_edge.errors import BundleError
from mera_export.bundle import export_bundle
from mera_export.verify import Check, verify
from mera_train import checkpoint
from mera_train.face.data import LABELS
from mera_train.face.model import FaceNet, ModelConfig
from mera_train.face.train import Config

SHAPE = ModelConfig(crop_size=32, stem_channels=8, channels=(8, 16), blocks=(1, 1))


def picture(seed: int) -> NDArray[np.float32]:
    return np.random.default_rng(seed).uniform(0, 255, (32, 32)).astype(np.float32)


DATASET = Dataset([], [Example(str(i), LABELS[i % 8], "", partial(picture, i)) for i in range(9)])


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("checkpoints")
    torch.manual_seed(0)
    checkpoint.save(directory / "face", FaceNet(SHAPE), Config(model=SHAPE), {}, "# Face")
    return directory


@pytest.fixture
def bundle(checkpoints: Path, tmp_path: Path) -> Bundle:
    return export_bundle(checkpoints, tmp_path / "bundle", ["face"])


def changed(bundle: Bundle, model: onnx.ModelProto, key: str, **facts: object) -> None:
    """Put another model into the bundle, with a manifest that fits."""
    path = bundle.directory / f"face-{key}.onnx"
    write(model, path)
    entry = bundle.role("face").entry
    files = {**entry.files, key: FileEntry.of(path)}
    roles = {"face": entry.model_copy(update={"files": files, **facts})}
    manifest = bundle.manifest.model_copy(update={"roles": roles})
    (bundle.directory / "bundle.json").write_text(manifest.to_json())


def failed(bundle: Bundle, checkpoints: Path) -> list[Check]:
    checks = verify(bundle.directory, checkpoints, Path("corpora"), datasets=lambda *given: DATASET)
    assert {check.what for check in checks} >= {"hashes", "torch = ONNX"}
    return [check for check in checks if not check.passed]


def test_a_fresh_bundle_passes(bundle: Bundle, checkpoints: Path) -> None:
    assert failed(bundle, checkpoints) == []


def test_other_weights_are_noticed(bundle: Bundle, checkpoints: Path) -> None:
    model = onnx.load(bundle.role("face").path())
    bias = next(t for t in model.graph.initializer if t.name == "model.emotion.bias")
    bias.raw_data = np.ones(8, np.float32).tobytes()[:16] + bytes(16)
    changed(bundle, model, "model")
    assert [check.what for check in failed(bundle, checkpoints)] == ["FP32 = FP32"]


def test_half_precision_for_tensorrt_is_looked_through(bundle: Bundle, checkpoints: Path) -> None:
    model = to_fp16(onnx.load(bundle.role("face").path()))
    changed(bundle, model, "tensorrt", tensorrt="fp16")
    assert failed(bundle, checkpoints) == []
    model.graph.node[3].domain = "com.example"
    changed(bundle, model, "tensorrt", tensorrt="fp16")
    with pytest.raises(Exception, match=r"com\.example"):
        failed(bundle, checkpoints)


def test_an_altered_file_is_refused(bundle: Bundle, checkpoints: Path) -> None:
    (bundle.directory / "face.onnx").write_bytes(b"altered")
    with pytest.raises(BundleError, match="does not match its hash"):
        failed(bundle, checkpoints)


def test_export_verify_exit_code_tells_whether_the_bundle_matches(
    bundle: Bundle, checkpoints: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = ["export", "verify", str(bundle.directory), "--checkpoints", str(checkpoints)]
    with pytest.raises(SystemExit) as left:
        main(given)
    assert left.value.code == 0
    assert "torch = ONNX" in capsys.readouterr().out
    model = to_fp16(onnx.load(bundle.role("face").path()))
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_param = "batch"
    changed(bundle, model, "tensorrt", tensorrt="fp16")
    with pytest.raises(SystemExit) as left:
        main(given)
    assert left.value.code == 2
    assert "shape" in capsys.readouterr().err


def test_engines_are_for_a_bundle_with_models_for_tensorrt(
    bundle: Bundle, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as left:
        main(["export", "engines", str(bundle.directory)])
    assert left.value.code == 2
    assert "no model for TensorRT" in capsys.readouterr().err.replace("\n", " ")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--data", "nowhere"], "nowhere does not exist"),
        (["--data", ".", "--ranges", "guess"], "'guess'"),
        (["--data", ".", "--role", "fusion"], "'fusion' is not quantized"),
        (["--data", ".", "--role", "face"], "ferplus.zip"),
    ],
)
def test_calibrate_names_what_it_cannot_use(
    checkpoints: Path,
    tmp_path: Path,
    arguments: list[str],
    message: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as left:
        main(["calibrate", "--checkpoints", str(checkpoints), *arguments])
    assert left.value.code == 2
    assert message in capsys.readouterr().err.replace("\n", " ")
    assert not (tmp_path / "ranges").exists()
