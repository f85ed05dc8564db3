"""The exported face encoder says what the trained one says, through the whole device path."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from mera_edge.bundle import Bundle
from mera_edge.errors import InputError
from mera_edge.evaluation.evaluate import evaluate
from mera_edge.features.face import crop
from mera_edge.stages.face import FaceStage
from mera_export.bundle import export_bundle
from mera_train import checkpoint
from mera_train.face.data import LABELS
from mera_train.face.model import FaceNet, ModelConfig
from mera_train.face.train import Config


@pytest.fixture(scope="module")
def model() -> FaceNet:
    torch.manual_seed(0)
    model = FaceNet(ModelConfig(stem_channels=8, channels=(8, 8, 16, 16), blocks=(1, 1, 1, 1)))
    model.temperature.fill_(1.7)
    return model.eval()


@pytest.fixture(scope="module")
def bundle(model: FaceNet, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    directory = tmp_path_factory.mktemp("face")
    checkpoint.save(directory / "face", model, Config(model=model.config), {}, "card")
    return export_bundle(directory, directory / "bundle", ["face"])


def test_device_and_training_give_the_same_answer(model: FaceNet, bundle: Bundle) -> None:
    stage = FaceStage(bundle)
    assert stage.labels == LABELS

    picture = np.random.default_rng(0).integers(0, 256, (90, 100, 3)).astype(np.uint8)
    alone = stage.cut_out(picture)
    assert alone is not None
    reading = stage.read(alone)
    with torch.inference_mode():
        face = torch.from_numpy(crop(picture, 48))[None, None]
        logits, _, valence, embedding = model(face)
    expected = torch.softmax(logits[0] / 1.7, 0).numpy()
    np.testing.assert_allclose(reading.probabilities, expected, atol=1e-4)
    np.testing.assert_allclose(reading.embedding, embedding[0].numpy(), atol=1e-4)
    assert reading.valence == pytest.approx(float(valence), abs=1e-4)


def manifest(directory: Path, labels: list[str]) -> Path:
    """A CSV of noise pictures with the given labels."""
    generator = np.random.default_rng(1)
    lines = ["file,label"]
    for number, label in enumerate(labels):
        face = generator.integers(0, 256, (48, 48)).astype(np.uint8)
        cv2.imwrite(str(directory / f"{number}.png"), face)
        lines.append(f"{number}.png,{label}")
    (directory / "faces.csv").write_text("\n".join(lines))
    return directory / "faces.csv"


def test_evaluation_knows_contempt_and_leaves_it_out_where_it_does_not_occur(
    bundle: Bundle, tmp_path: Path
) -> None:
    eight = evaluate("face", manifest(tmp_path, ["happiness", "Contempt", "sad"]), bundle)
    assert eight["n"] == 3
    assert list(eight["per_class"]) == ["happy", "sad", "contempt"]
    two = evaluate("face", manifest(tmp_path, ["happiness", "sad"]), bundle)
    assert list(two["per_class"]) == ["happy", "sad"]


def test_a_picture_without_a_face_gets_no_answer(tmp_path: Path) -> None:
    faces = manifest(tmp_path, ["happiness", "sad"])
    cv2.imwrite(str(tmp_path / "wall.png"), np.full((240, 320, 3), 90, np.uint8))
    faces.write_text(f"{faces.read_text()}\nwall.png,sad\n")
    found = evaluate("face", faces, Bundle.open())
    assert (found["n"], found["unanswered"]) == (3, 1)


def test_a_row_with_an_unknown_label_is_named(bundle: Bundle, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"line 3: .*'bored'.*contempt"):
        evaluate("face", manifest(tmp_path, ["sad", "bored"]), bundle)
