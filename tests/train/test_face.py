"""FER+ is read as its authors meant, disturbed the same way twice, and learnt from."""

import csv
import io
import json
import zipfile
from pathlib import Path
from xml.etree import ElementTree

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mera_edge.errors import InputError
from mera_edge.labels import EMOTIONS
from mera_train import checkpoint
from mera_train.face.augment import AugmentConfig, disturb, mix
from mera_train.face.data import LABELS, load, majority, plurality, read_manifest, shares
from mera_train.face.disturbances import DISTURBANCES, disturbed
from mera_train.face.model import FaceNet, ModelConfig, standardise
from mera_train.face.train import Config, train
from mera_train.results.page import KEPT, files
from mera_train.task import LoopConfig

COLUMNS = ("neutral", "happiness", "surprise", "sadness", "anger", "disgust", "fear", "contempt")
VOTES = (*COLUMNS, "unknown", "NF")


def corpus(path: Path) -> Path:
    """Write a corpus of FER+'s layout in which bright upper halves are happy, lower ones sad."""
    generator = np.random.default_rng(0)
    table = io.StringIO()
    fields = [
        "file",
        "split",
        *(f"votes_{v}" for v in VOTES),
        "fer2013_label",
        "fer2013_match_rmse",
    ]
    writer = csv.DictWriter(table, fields, restval=0)
    writer.writeheader()
    with zipfile.ZipFile(path / "ferplus.zip", "w") as archive:
        for split, count in (("train", 60), ("valid", 20), ("test", 20)):
            for number in range(count):
                happy = number % 2 == 0
                face = generator.integers(0, 90, (48, 48)).astype(np.uint8)
                face[slice(0, 24) if happy else slice(24, 48)] += 120
                if number == 0:
                    face[:] = 33  # the same picture in all splits
                name = f"{split}/{number}.webp"
                data = cv2.imencode(".webp", face, [cv2.IMWRITE_WEBP_QUALITY, 101])[1]
                archive.writestr(name, data.tobytes())
                given = {"votes_happiness" if happy else "votes_sadness": 9, "votes_fear": 1}
                label = {"fer2013_label": "happy" if happy else "sad", "fer2013_match_rmse": 1.5}
                writer.writerow({"file": name, "split": split, **given, **label})
        archive.writestr("manifest.csv", table.getvalue())
    return path


def test_pictures_that_a_later_split_also_has_are_left_out(tmp_path: Path) -> None:
    parts = load(corpus(tmp_path))
    assert {name: len(faces) for name, faces in parts.items()} == {
        "train": 59, "valid": 19, "test": 20,
    }  # fmt: skip
    assert parts["train"].pictures.shape == (59, 48, 48)
    assert {LABELS[i] for i in majority(parts["test"].votes)} == {"happy", "sad"}
    assert {EMOTIONS[i] for i in parts["test"].fer2013} == {"happy", "sad"}


def test_a_missing_corpus_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"ferplus\.zip"):
        load(tmp_path)


def test_labels_follow_the_protocol_of_the_corpus() -> None:
    votes = np.zeros((5, 10), np.int64)
    votes[0, [0, 1]] = 6, 4  # most and more than half
    votes[1, [0, 1, 2]] = 4, 3, 3  # most, but not more than half
    votes[2, [0, 1, 2, 3, 4]] = 4, 3, 1, 1, 1  # more than half once single votes are gone
    votes[3, [0, 8]] = 4, 6  # unknown
    votes[4, [1, 9]] = 2, 8  # not a face
    assert majority(votes).tolist() == [0, -1, 0, -1, -1]
    assert plurality(votes).tolist() == [0, 0, 0, -1, -1]
    np.testing.assert_allclose(shares(votes)[2, :5], [4 / 7, 3 / 7, 0, 0, 0])


@given(st.lists(st.integers(0, 10), min_size=10, max_size=10))
def test_shares_are_a_distribution_or_nothing(row: list[int]) -> None:
    found = shares(np.array([row]))[0]
    assert found.min() >= 0
    assert found.sum() == pytest.approx(1 if any(row[:8]) else 0, abs=1e-6)


def test_disturbing_is_bounded_and_repeats() -> None:
    pictures = torch.rand(16, 1, 48, 48) * 255

    def once(size: int) -> torch.Tensor:
        generator = torch.Generator().manual_seed(3)
        return disturb(pictures, size, AugmentConfig(), generator)

    assert once(32).shape == (16, 1, 32, 32)
    assert once(48).min() >= 0 and once(48).max() <= 255
    assert torch.equal(once(48), once(48))


def test_mixing_keeps_distributions() -> None:
    targets = torch.eye(8).repeat(4, 1)
    pictures = torch.arange(32.0).reshape(32, 1, 1, 1).expand(32, 1, 4, 4)
    generator = torch.Generator().manual_seed(0)
    faces, mixed = mix([pictures, targets], AugmentConfig(mixup_alpha=0.4), generator)
    torch.testing.assert_close(mixed.sum(1), torch.ones(32))
    assert (mixed.max(1).values >= 0.5).all()
    assert faces.std((1, 2, 3)).max() == 0


def test_light_and_contrast_drop_out() -> None:
    faces = torch.rand(4, 1, 48, 48) * 200
    torch.testing.assert_close(standardise(faces * 0.5 + 60), standardise(faces), atol=0.02, rtol=0)
    assert standardise(torch.full((1, 1, 48, 48), 90.0)).abs().max() < 1e-3


def test_a_mirrored_face_has_the_same_expression() -> None:
    torch.manual_seed(0)
    model = FaceNet(ModelConfig()).eval()
    face = torch.rand(3, 1, 48, 48) * 255
    for one, other in zip(model(face), model(face.flip(3)), strict=True):
        assert torch.allclose(one, other, atol=1e-5)


def test_disturbed_test_sets_differ_and_repeat(tmp_path: Path) -> None:
    faces = load(corpus(tmp_path))["test"]
    for name in DISTURBANCES:
        once, again = disturbed(faces, name), disturbed(faces, name)
        np.testing.assert_array_equal(once.pictures, again.pictures)
        assert once.pictures.dtype == np.uint8 and once.pictures.shape == faces.pictures.shape
        assert (once.pictures != faces.pictures).any()


def test_training_learns_and_writes_a_checkpoint(tmp_path: Path) -> None:
    config = Config(
        model=ModelConfig(stem_channels=8, channels=(8, 16), blocks=(1, 1)),
        augment=AugmentConfig(max_shift=0, max_shading=0, mixup_alpha=0, erasing_prob=0),
        loop=LoopConfig(
            epochs=10,
            learning_rate=0.01,
            precision="fp32",
            metric_for_best_model="accuracy",
            greater_is_better=True,
        ),
        batch_size=8,
        low_resolution_ratio=0.2,
    )
    metrics = train(config, corpus(tmp_path), tmp_path / "out", resume=False)
    assert metrics["test"]["plurality"]["accuracy"] > 0.8
    assert set(metrics["disturbed"]) == set(DISTURBANCES)
    loaded = checkpoint.load(tmp_path / "out")
    assert loaded.metrics.pop("history")
    assert loaded.metrics == json.loads(json.dumps(metrics))
    assert loaded.settings(Config) == config
    assert float(loaded.weights["temperature"]) == pytest.approx(metrics["temperature"])
    assert "FER2013" in loaded.card
    page = tmp_path / "results" / "face.md"
    page.parent.mkdir()
    page.write_text(f"of before\n{KEPT}By hand.\n")
    made = files(checkpoint.load(tmp_path / "out"), "face", page)
    results = made.pop(page)
    assert results.endswith(f"{KEPT}By hand.\n") and "of before" not in results
    assert "| 95 % interval |" in results and "mera-edge train face" in results
    for picture, drawn in made.items():
        assert f"](../images/{picture.name})" in results
        ElementTree.fromstring(drawn)
    assert {p.name for p in made} == {"face_reliability.svg", "face_learning.svg"}


def further(path: Path) -> Path:
    """Write a corpus of single labels: frightened faces are striped, angry ones checked."""
    rows = ["file,label,split"]
    for number in range(24):
        face = np.zeros((60, 60), np.uint8)
        face[::4] = 200
        if number % 2:
            face[:, ::4] = 200
        name = f"{number}.png"
        cv2.imwrite(str(path / name), face)
        label = "anger" if number % 2 else "fear"
        rows.append(f"{name},{label},{'valid' if number < 8 else 'train'}")
    manifest = path / "further.csv"
    manifest.write_text("\n".join(rows))
    return manifest


def test_further_faces_of_any_size_are_learnt_from_and_chosen_by(tmp_path: Path) -> None:
    manifest = further(tmp_path)
    parts = read_manifest(manifest)
    assert {name: len(faces) for name, faces in parts.items()} == {
        "train": 16, "valid": 8, "test": 0,
    }  # fmt: skip
    assert {LABELS[i] for i in plurality(parts["train"].votes)} == {"fear", "angry"}
    config = Config(
        model=ModelConfig(stem_channels=8, channels=(8, 8), blocks=(1, 1), embedding_dim=64),
        loop=LoopConfig(epochs=1, metric_for_best_model="balanced", greater_is_better=True),
        extra_data=(manifest,),
        batch_size=16,
    )
    out = tmp_path / "run"
    train(config, corpus(tmp_path), out, resume=False)
    log = json.loads((out / "log.jsonl").read_text().splitlines()[0])
    assert log["balanced"] == pytest.approx((log["majority_accuracy"] + log["further_uar"]) / 2)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("file,label\nx.png,happy\n", "no column 'split'"),
        ("file,label,split\nx.png,happy,train\n", r"line 2: .*x\.png does not exist"),
        ("file,label,split\nx.png,happy,dev\n", "line 2: unknown split 'dev'"),
    ],
)
def test_a_row_of_further_faces_that_cannot_be_used_is_named(
    tmp_path: Path, content: str, message: str
) -> None:
    manifest = tmp_path / "faces.csv"
    manifest.write_text(content)
    with pytest.raises(InputError, match=message):
        read_manifest(manifest)
