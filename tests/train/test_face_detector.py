"""The face detector learns a teacher's boxes from composed scenes."""

import csv
import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mera_edge.errors import InputError
from mera_train import checkpoint
from mera_train.face_detector.data import SURE, Composer, Labelled, load
from mera_train.face_detector.label import COLUMNS
from mera_train.face_detector.measure import measure
from mera_train.face_detector.model import FaceDetectorNet, ModelConfig
from mera_train.face_detector.train import Config, overlaps, train
from mera_train.task import LoopConfig


def drawn(path: Path, faces: int = 12, scenes: int = 6) -> Path:
    """Write pictures with one drawn "face" each, some without, and the lists of a teacher."""
    rng = np.random.default_rng(0)
    for name, count in (("portraits", faces), ("scenes", scenes)):
        with (path / f"{name}.csv").open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(COLUMNS)
            for number in range(count):
                image = rng.integers(60, 90, (120, 100)).astype(np.uint8)
                split = "valid" if number % 4 == 0 else "train"
                row = [f"{name}{number}.png", split, 0, *[0] * 14]
                if name == "portraits":
                    cv2.ellipse(image, (50, 60), (20, 28), 0, 0, 360, 210, -1)
                    points = [43, 52, 57, 52, 50, 60, 44, 70, 56, 70]
                    for x, y in zip(points[::2], points[1::2], strict=True):
                        cv2.circle(image, (x, y), 3, 20, -1)
                    row[2:] = [0.9, 30, 32, 40, 56, *points]
                cv2.imwrite(str(path / row[0]), image)
                writer.writerow(row)
    return path


def composer(path: Path) -> Composer:
    pictures = [p for name in ("portraits", "scenes") for p in load(path / f"{name}.csv")["train"]]
    return Composer(pictures, 96)


def test_scenes_are_the_same_for_the_same_seed_and_hold_their_faces(tmp_path: Path) -> None:
    scenes = composer(drawn(tmp_path))
    for seed in range(30):
        pixels, boxes, landmarks, confidence = scenes.scene(np.random.default_rng(seed))
        again = scenes.scene(np.random.default_rng(seed))
        assert all(np.array_equal(a, b) for a, b in zip((pixels, boxes), again[:2], strict=True))
        assert pixels.shape == (96, 96)
        assert len(boxes) == len(landmarks) == len(confidence)
        # Landmarks turn and mirror with their face: the right eye stays left of the left one.
        upright = np.abs(landmarks[:, 1, 1] - landmarks[:, 0, 1]) < 2
        assert (landmarks[upright, 0, 0] <= landmarks[upright, 1, 0] + 1e-3).all()
        middle = landmarks.mean(1)
        assert ((middle > boxes[:, :2]) & (middle < boxes[:, 2:])).all()


def test_pictures_without_the_other_kind_are_refused(tmp_path: Path) -> None:
    faces = load(drawn(tmp_path) / "portraits.csv")["train"]
    with pytest.raises(InputError, match="with and without faces are needed"):
        Composer(faces, 96)


@pytest.mark.parametrize("name", ["none.csv", "other.csv"])
def test_a_list_that_cannot_be_used_is_named(tmp_path: Path, name: str) -> None:
    (tmp_path / "other.csv").write_text("file,label\n")
    with pytest.raises(InputError, match=name):
        load(tmp_path / name)


@given(st.lists(st.floats(0, 50), min_size=8, max_size=8))
def test_overlaps_are_within_their_bounds(numbers: list[float]) -> None:
    corners = torch.tensor(numbers).reshape(2, 4)
    boxes = torch.cat([corners[:, :2], corners[:, :2] + corners[:, 2:] + 1], 1)
    shared, generalized = overlaps(boxes[:1], boxes[1:])
    assert 0 <= float(shared) <= 1 + 1e-6
    assert -1 <= float(generalized) <= float(shared) + 1e-6
    same, _ = overlaps(boxes[:1], boxes[:1])
    assert float(same) == pytest.approx(1)


class Oracle(torch.nn.Module):
    """Answers with given boxes and landmarks, whatever the picture."""

    def __init__(self, boxes: list[list[float]], sure: float) -> None:
        super().__init__()
        self.boxes, self.sure = torch.tensor(boxes), sure

    def forward(self, picture: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        n = len(self.boxes)
        logits = torch.full((1, n), float(np.log(self.sure / (1 - self.sure))))
        return logits, self.boxes[None], torch.zeros(1, n, 10)


def test_recall_and_false_detections_are_counted() -> None:
    def picture(confidence: float) -> Labelled:
        box = np.array([[10, 10, 30, 40]], np.float32)
        sure = np.array([confidence], np.float32)
        return Labelled(
            "x", np.zeros((64, 64), np.uint8), box, np.zeros((1, 5, 2), np.float32), sure
        )

    found = measure(Oracle([[10, 10, 30, 40]], 0.9), [picture(0.9)])
    assert found["recall"] == found["recall_at_half"] == 1
    assert found["false_at_half"] == 0
    made_up = measure(Oracle([[40, 40, 60, 60]], 0.9), [picture(0.9)])
    assert made_up["recall_at_half"] == 0
    assert made_up["false_at_half"] == 1
    unsure = measure(Oracle([[10, 10, 30, 40]], 0.9), [picture(SURE - 0.1)])
    assert unsure["faces"] == unsure["false_at_half"] == 0


def test_training_on_drawn_faces_learns_and_leaves_a_checkpoint(tmp_path: Path) -> None:
    config = Config(
        model=ModelConfig(channels=(8, 8, 16, 16, 16), head_channels=16),
        loop=LoopConfig(
            epochs=4, learning_rate=0.01,
            metric_for_best_model="recall", greater_is_better=True,
        ),
        scene_size=96, scenes_per_epoch=160, batch_size=16,
    )  # fmt: skip
    metrics = train(config, drawn(tmp_path), tmp_path / "run", resume=False)
    losses = [
        json.loads(line)["train_loss"]
        for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()
    ]
    assert losses[-1] < 0.75 * losses[0]
    assert metrics["valid"]["landmarks"] < 0.3
    saved = checkpoint.load(tmp_path / "run")
    saved.fill(FaceDetectorNet(saved.settings(Config).model))
    assert "YuNet" in saved.card
