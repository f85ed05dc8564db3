"""`mera-edge export --int8`: what it exits with, what it leaves behind."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from mera_edge.bundle import Bundle
from mera_edge.cli import main
from mera_edge.labels import MODALITIES
from mera_export import own_datasets
from mera_export.bundle import export_bundle
from mera_train import checkpoint
from mera_train.face import model as face_model
from mera_train.face import train as face_train
from mera_train.face.data import LABELS
from mera_train.fusion.config import Config
from mera_train.fusion.model import ModelConfig, Mtme


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint of the one role that has no INT8."""
    directory = tmp_path_factory.mktemp("checkpoints")
    torch.manual_seed(0)
    network = Mtme(ModelConfig(fusion_dim=8, unimodal_dim=4), dict.fromkeys(MODALITIES, 4))
    config = Config(encoders=Path("bundle"), model=network.config)
    checkpoint.save(directory / "fusion", network, config, {}, "# Fusion")
    return directory


def run(*arguments: str | Path, verb: str = "export") -> int:
    try:
        main([verb, *map(str, arguments)])
    except SystemExit as left:
        return int(left.code or 0)
    return 0


def test_a_role_that_must_be_int8_and_is_not_fails_the_command(
    checkpoints: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, report = tmp_path / "bundle", tmp_path / "report"
    arguments = ["--int8", "--checkpoints", checkpoints, "--out", out, "--data", tmp_path]
    assert run(*arguments, "--role", "fusion", "--report", report) == 1
    printed = capsys.readouterr()
    assert "no INT8 for fusion on cpu" in printed.err
    assert "FP32" in printed.out
    assert Bundle.open(out).role("fusion").entry.precision == "fp32", "it falls back"
    facts = json.loads((report / "export.json").read_text())
    assert "too small" in facts["roles"]["fusion"]["reason"]
    assert "FP32: the model is too small" in (report / "export.md").read_text()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "give their directory as --data"),
        (["--no-gate"], "mera-edge calibrate"),
        (["--data", "nowhere"], "nowhere does not exist"),
        (["--data", ".", "--ranges", "guess"], "'guess'"),
        (["--data", ".", "--prefer", "beauty"], "'beauty'"),
        (["--data", ".", "--samples", "0"], "at least one"),
    ],
)
def test_bad_usage_is_reported_before_any_export(
    checkpoints: Path,
    tmp_path: Path,
    arguments: list[str],
    message: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    out = tmp_path / "bundle"
    given = ["--int8", "--checkpoints", checkpoints, "--role", "fusion", "--out", out]
    assert run(*given, *arguments) == 2
    assert message in capsys.readouterr().err.replace("\n", " ")
    assert not out.exists()


def test_a_full_disk_leaves_the_old_bundle_whole(checkpoints: Path, tmp_path: Path) -> None:
    out = tmp_path / "bundle"
    export_bundle(checkpoints, out, ["fusion"])
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    limited = (
        "import resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (500, 500));"
        "from mera_edge.cli import main; main(sys.argv[1:])"
    )
    given = ["export", "--checkpoints", checkpoints, "--role", "fusion", "--out", out]
    done = subprocess.run(
        [sys.executable, "-B", "-c", limited, *map(str, given)], capture_output=True, text=True
    )
    assert done.returncode == 2, done.stderr
    assert "there is no space left for" in done.stderr and "Traceback" not in done.stderr
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before
    assert {path.name for path in tmp_path.iterdir()} == {"bundle"}


def test_an_interrupted_refinement_leaves_the_old_bundle_whole(
    checkpoints: Path, tmp_path: Path
) -> None:
    out = tmp_path / "bundle"
    export_bundle(checkpoints, out, ["fusion"])
    before = {path.name: path.read_bytes() for path in out.iterdir()}

    def interrupted(bundle: Bundle) -> dict[str, object]:
        (bundle.directory / "fusion.onnx").write_bytes(b"half")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        export_bundle(checkpoints, out, ["fusion"], refine=interrupted)  # type: ignore[arg-type]
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before
    assert {path.name for path in tmp_path.iterdir()} == {"bundle"}


def test_a_checkpoint_is_judged_on_the_examples_that_it_learnt_from(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    runs, out, report = tmp_path / "runs", tmp_path / "bundle", tmp_path / "report"
    torch.manual_seed(0)
    shape = face_model.ModelConfig(
        crop_size=32, stem_channels=8, channels=(32, 48, 48, 64), blocks=(1, 1, 1, 1)
    )
    network = face_model.FaceNet(shape).eval()
    generator = np.random.default_rng(0)
    pictures = generator.integers(0, 255, (80, 32, 32)).astype(np.uint8)
    with torch.inference_mode():
        answers = network(torch.from_numpy(pictures)[:, None].float())[0]
        network.emotion.bias -= answers.mean(0)
        # What it answers is right, so that it has something to lose.
        answers = network(torch.from_numpy(pictures)[:, None].float())[0].argmax(1).tolist()
    checkpoint.save(runs / "face", network, face_train.Config(model=shape), {}, "# Face")
    lines = ["file,label,split"]
    for n, (picture, answer) in enumerate(zip(pictures, answers, strict=True)):
        cv2.imwrite(str(tmp_path / f"{n}.png"), picture)
        split = "train" if n < 60 else "valid"
        lines.append(f"{tmp_path / f'{n}.png'},{LABELS[answer]},{split}")
    (runs / "face" / "examples.csv").write_text("\n".join(lines) + "\n")
    given = ["--int8", "--role", "face", "--checkpoints", runs, "--out", out]
    lenient = ["--prefer", "size", "--max-drop", "100", "--max-class-drop", "100", "--max-ece", "1"]
    assert run(*given, *lenient, "--report", report) == 0
    assert Bundle.open(out).role("face").entry.precision == "int8"
    facts = json.loads((report / "export.json").read_text())
    assert facts["roles"]["face"]["n"] == 20
    # The table that training took: what it left out is left out, and splits are as they were.
    table = tmp_path / "own.csv"
    rows = [f"{n}.png,{LABELS[answer]}" for n, answer in enumerate(answers)]
    table.write_text("\n".join(["file,label", *rows, "own.csv,happy"]) + "\n")
    assert run(*given, "--data", table, *lenient, "--report", report) == 0
    again = json.loads((report / "export.json").read_text())
    assert again["roles"]["face"]["n"] == 20
    assert run("verify", out, "--checkpoints", runs, "--data", table, *lenient[2:]) == 0
    assert "FP32 = INT8" in capsys.readouterr().out
    assert run("verify", out, "--checkpoints", runs, "--max-drop", "-100") == 1
    assert "the task metric drops by" in " ".join(capsys.readouterr().out.split())
    ranges = tmp_path / "ranges"
    of_own = ["--role", "face", "--checkpoints", runs, "--out", ranges]
    assert run(*of_own, verb="calibrate") == 0
    assert json.loads((ranges / "face.json").read_text())
    (tmp_path / "3.png").unlink()
    for data in ([], ["--data", table]):
        assert run(*given, *data, *lenient) == 2
        assert "3.png" in capsys.readouterr().err.replace("\n", "")


@pytest.mark.parametrize(
    ("table", "role", "message"),
    [
        ("file,label\na.png,happy\n", [], "name that role with --role ROLE"),
        ("text,label\nfine,happy\n", ["face"], "has no column 'file'"),
        ("file,label\na.png,happy\n", ["face"], "a.png does not exist"),
        ("text,label\nfine,Freude\n", ["text"], "'Freude' (1 rows, line 2 first): rename it"),
        ("file,text\nown.csv,\n", ["asr"], "line 2: text is empty"),
    ],
)
def test_own_examples_are_looked_through_before_anything_is_exported(
    tmp_path: Path,
    table: str,
    role: list[str],
    message: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "own.csv").write_text(table)
    given = ["--int8", "--checkpoints", tmp_path / "runs", "--data", tmp_path / "own.csv"]
    chosen = [word for name in role for word in ("--role", name)]
    assert run(*given, *chosen, "--out", tmp_path / "bundle") == 2
    assert message in " ".join(capsys.readouterr().err.split())
    assert not (tmp_path / "bundle").exists()


def test_pictures_without_a_face_are_left_out_and_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = ["file,label,split"]
    # In a picture of 128 pixels and more, a device looks for a face.
    generator = np.random.default_rng(0)
    for n, size in enumerate((48, 200, 48, 200, 200)):
        cv2.imwrite(str(tmp_path / f"{n}.png"), generator.integers(0, 255, (size, size)))
        lines.append(f"{n}.png,happy,{('train', 'valid', 'test')[n // 2]}")
    (tmp_path / "own.csv").write_text("\n".join(lines) + "\n")
    examples = own_datasets.read(tmp_path / "own.csv", "face", None)
    # As it is exported with `--role face`: the detector is then the package's.
    alone = shutil.copytree(Bundle.open().directory, tmp_path / "alone")
    manifest = json.loads((alone / "bundle.json").read_text())
    manifest["roles"] = {"face": manifest["roles"]["face"]}
    (alone / "bundle.json").write_text(json.dumps(manifest))
    for bundle in (Bundle.open(), Bundle.open(alone)):
        found = own_datasets.dataset(examples, "face", bundle)
        assert [e.name for part in (found.train, found.dev) for e in part] == ["0.png", "2.png"]
        said = "left out: no face was found in 2 pictures; the first: "
        assert said in (told := capsys.readouterr().err) and "1.png" in told
