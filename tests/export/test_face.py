"""The exported face encoder says what the trained one says, through the whole device path."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from mera_edge.features.face import crop
from mera_edge.stages.face import FaceStage
from mera_export.bundle import export_bundle
from mera_train import checkpoint
from mera_train.face.data import LABELS
from mera_train.face.model import FaceNet, ModelConfig
from mera_train.face.train import Config


def test_a_file_gets_the_answer_of_training(tmp_path: Path) -> None:
    torch.manual_seed(0)
    config = Config(model=ModelConfig(stem=8, channels=(8, 8, 16, 16), blocks=(1, 1, 1, 1)))
    model = FaceNet(config.model)
    model.temperature.fill_(1.7)
    checkpoint.save(tmp_path / "face", model, config, {}, "card")
    stage = FaceStage(export_bundle(tmp_path, tmp_path / "bundle", ["face"]))
    assert stage.labels == LABELS

    picture = np.random.default_rng(0).integers(0, 256, (90, 100, 3)).astype(np.uint8)
    cv2.imwrite(str(tmp_path / "face.png"), picture)
    reading = stage.classify_file(tmp_path / "face.png")
    with torch.inference_mode():
        face = torch.from_numpy(crop(picture, 48))[None, None]
        logits, _, valence, embedding = model.eval()(face)
    expected = torch.softmax(logits[0] / 1.7, 0).numpy()
    np.testing.assert_allclose(reading.probabilities, expected, atol=1e-4)
    np.testing.assert_allclose(reading.embedding, embedding[0].numpy(), atol=1e-4)
    assert reading.valence == pytest.approx(float(valence), abs=1e-4)
