"""Comparison with other tools on the same input, on one thread each: parts of `live.py`.

Each part has a process of its own, so that none is measured beside what another one loads.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from typing import Any

import cv2
import numpy as np
import peers
from numpy.typing import NDArray
from sherpa import Transcribe, ours, theirs

from mera_edge.bundle import Bundle
from mera_edge.engine.onnx import open_session
from mera_edge.evaluation import labelled_csv
from mera_edge.features.fbank import SAMPLE_RATE
from mera_edge.sample import CLIP
from mera_edge.sources.media import MediaFile
from mera_edge.stages.face_detector import OnnxFaceDetector
from mera_edge.stages.face_encoder import BundleFaceEncoder
from mera_train.audio import read

Figures = Iterator[tuple[str, float]]
UTTERANCES, TIMES = 24, 60


def in_turn(calls: dict[str, Callable[[], object]], times: int) -> dict[str, float]:
    """Return the median time of each call, in ms."""
    took: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(times):
        for name, call in calls.items():
            began = time.perf_counter()
            call()
            took[name].append(1000 * (time.perf_counter() - began))
    return {name: median(several) for name, several in took.items()}


def figures() -> Figures:
    for name in PARTS:
        command = [sys.executable, __file__, name]
        said = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True).stdout
        yield from json.loads(said).items()


def spoken() -> list[NDArray[np.float32]]:
    manifest = Path(os.environ["MANIFEST"])
    rows = labelled_csv.read(manifest, "file", "text")
    rows = rows[:: max(1, len(rows) // UTTERANCES)][:UTTERANCES]
    return [read(manifest.parent, row.given) for row in rows]


def detector() -> Figures:
    cv2.setNumThreads(1)
    media = MediaFile(CLIP, audio=False)
    media.open()
    frame = media.poll(3.0).frame
    media.close()
    if frame is None:
        raise SystemExit("the sample has no picture")
    picture = cv2.resize(frame.image, (640, 480))
    ours = OnnxFaceDetector(Bundle.open())
    yunet = cv2.FaceDetectorYN.create(os.environ["YUNET"], "", (320, 256))
    session = open_session(Path(os.environ["YUNET"]))
    tensor = cv2.dnn.blobFromImage(cv2.resize(picture, (320, 320)))
    calls = {
        "detector, ours": lambda: ours.find(picture),
        "detector, YuNet": lambda: yunet.detect(cv2.resize(picture, (320, 256))),
        "detector, YuNet in ONNX Runtime": lambda: session.run(None, {"input": tensor}),
    }
    yield from in_turn(calls, TIMES).items()


def encoder() -> Figures:
    ours, crop = BundleFaceEncoder(Bundle.open()), np.full((48, 48), 127, np.float32)
    peer, face = mobile_face_net(), np.zeros((1, 3, 112, 112), np.float32)
    calls = {
        "encoder, ours": lambda: ours.read(crop),
        "encoder, MobileFaceNet": lambda: peer.run(None, {"face": face}),
    }
    yield from in_turn(calls, TIMES).items()


def mobile_face_net() -> Any:
    """Return a MobileFaceNet (Chen et al., 2018), 112 x 112, whose weights are random."""
    import torch
    from torch import nn

    def unit(i: int, o: int, k: int, s: int = 1, g: int = 1, act: bool = True) -> nn.Module:
        parts = [nn.Conv2d(i, o, k, s, k // 2, groups=g, bias=False), nn.BatchNorm2d(o)]
        return nn.Sequential(*parts, *([nn.PReLU(o)] if act else []))

    class Bottleneck(nn.Module):
        def __init__(self, i: int, o: int, s: int, t: int) -> None:
            super().__init__()
            wide = i * t
            self.body = nn.Sequential(
                unit(i, wide, 1), unit(wide, wide, 3, s, wide), unit(wide, o, 1, act=False)
            )
            self.same = s == 1 and i == o

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x + self.body(x) if self.same else self.body(x)

    layers: list[nn.Module] = [unit(3, 64, 3, 2), unit(64, 64, 3, 1, 64)]
    before = 64
    for t, o, n, s in (
        (2, 64, 5, 2),
        (4, 128, 1, 2),
        (2, 128, 6, 1),
        (4, 128, 1, 2),
        (2, 128, 2, 1),
    ):
        for index in range(n):
            layers.append(Bottleneck(before, o, s if index == 0 else 1, t))
            before = o
    layers += [unit(128, 512, 1), nn.Conv2d(512, 512, 7, groups=512), nn.Conv2d(512, 128, 1)]
    net = nn.Sequential(*layers, nn.Flatten()).eval()
    with tempfile.TemporaryDirectory() as place:
        path = Path(place) / "mobilefacenet.onnx"
        torch.onnx.export(
            net, (torch.zeros(1, 3, 112, 112),), path, input_names=["face"], dynamo=False
        )
        return open_session(path)


def streaming() -> Figures:
    bundle = Bundle.open()
    # What waits for a whole window is decoded by neither: a second of silence fills it.
    ended = [np.concatenate([sound, np.zeros(SAMPLE_RATE, np.float32)]) for sound in spoken()]
    yield from against("streaming", (ours(bundle), theirs(bundle)), ended)


def final() -> Figures:
    folder = Path(os.environ["MERA_EDGE_MODELS"]) / "moonshine-tiny-en"
    yield from against("final", (timed(peers.final(folder)), timed(peers.sherpa(folder))), spoken())


def timed(transcribe: peers.Transcribe) -> Transcribe:
    def one(samples: NDArray[np.float32]) -> tuple[str, float]:
        began = time.perf_counter()
        return transcribe(samples), time.perf_counter() - began

    return one


def against(name: str, both: tuple[Any, Any], sounds: list[NDArray[np.float32]]) -> Figures:
    for each in both:
        each(sounds[0])  # whatever is made at the first use
    took, equal = ([], []), 0
    for number, sound in enumerate(sounds):
        texts = ["", ""]
        for index in (0, 1) if number % 2 else (1, 0):
            texts[index], seconds = both[index](sound)
            took[index].append(seconds)
        equal += texts[0].split() == texts[1].split()
    length = sum(map(len, sounds)) / SAMPLE_RATE
    yield f"{name}, ours", sum(took[0]) / length
    yield f"{name}, sherpa-onnx", sum(took[1]) / length
    yield f"{name}, equal", 100 * equal / len(sounds)


PARTS = {part.__name__: part for part in (detector, encoder, streaming, final)}

if __name__ == "__main__":
    print(json.dumps(dict(PARTS[sys.argv[1]]())))
