"""Evaluation of a face detector against the teacher: recall and false positives."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from mera_train.face_detector.data import SURE, Labelled

LEAST_OVERLAP = 0.5
"""Intersection over union from which a box is the teacher's."""

FALSE_RATE = 0.02
"""False faces a picture at which recall is told."""

_KEPT = 0.05
"""Confidence below which boxes are not looked at."""


def measure(model: nn.Module, pictures: list[Labelled]) -> dict[str, float]:
    """Return the recall of the teacher's confident faces at 0.02 false positives per picture.

    Also returns the confidence threshold for it, and the mean landmark distance from the teacher's,
    relative to the height of the face. A box on a face of which the teacher is unsure is ignored.
    """
    hits: list[float] = []
    false: list[float] = []
    away: list[float] = []
    known = 0
    model.eval()
    for picture in pictures:
        boxes, confidence, landmarks = detect(model, picture.pixels)
        known += int((picture.confidence >= SURE).sum())
        taken: set[int] = set()
        for box, sure, points in zip(boxes, confidence, landmarks, strict=True):
            shared = overlap(box, picture.boxes)
            best = int(shared.argmax()) if len(shared) else -1
            if best < 0 or shared[best] < LEAST_OVERLAP:
                false.append(float(sure))
            elif picture.confidence[best] >= SURE and best not in taken:
                taken.add(best)
                hits.append(float(sure))
                height = picture.boxes[best, 3] - picture.boxes[best, 1]
                apart = np.linalg.norm(points - picture.landmarks[best], axis=1)
                away.append(float(apart.mean() / height))
    allowed = int(FALSE_RATE * len(pictures))
    threshold = sorted(false, reverse=True)[allowed] if len(false) > allowed else _KEPT
    return {
        "recall": float((np.array(hits) > threshold).sum() / max(1, known)),
        "recall_at_half": float((np.array(hits) > 0.5).sum() / max(1, known)),
        "false_at_half": float((np.array(false) > 0.5).sum() / max(1, len(pictures))),
        "threshold": float(threshold),
        "landmarks": float(np.mean(away)) if away else float("inf"),
        "faces": float(known),
    }


def detect(
    model: nn.Module, pixels: NDArray[np.uint8]
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
    """Return boxes ``[n, 4]``, confidence ``[n]``, landmarks ``[n, 5, 2]``, by confidence."""
    import cv2

    height, width = (-(-side // 32) * 32 for side in pixels.shape)
    padded = np.zeros((height, width), np.float32)
    padded[: pixels.shape[0], : pixels.shape[1]] = pixels
    with torch.inference_mode():
        logits, found, marks = model(torch.from_numpy(padded)[None, None])
    confidence = logits[0].sigmoid().numpy()
    rows = np.flatnonzero(confidence > _KEPT)
    boxes = found[0].numpy()[rows]
    sizes = np.concatenate([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], 1)
    kept = cv2.dnn.NMSBoxes(sizes.tolist(), confidence[rows].tolist(), _KEPT, 0.4)
    order = np.array(kept, int).reshape(-1)
    return boxes[order], confidence[rows][order], marks[0].numpy()[rows][order].reshape(-1, 5, 2)


def overlap(box: NDArray[np.float32], boxes: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the intersection over union of one box with each of ``[n, 4]``."""
    low, high = np.maximum(box[:2], boxes[:, :2]), np.minimum(box[2:], boxes[:, 2:])
    both = np.clip(high - low, 0, None).prod(1)
    union = (box[2:] - box[:2]).prod() + (boxes[:, 2:] - boxes[:, :2]).prod(1) - both
    shared: NDArray[np.float32] = both / np.maximum(union, 1e-6)
    return shared
