"""The last resort: a network that eight bits spoil learns to bear them."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from mera_calibration.calibration import calibrate
from mera_calibration.calibration_set import Example
from mera_calibration.precision_search import PrecisionSearch
from mera_calibration.qdq import preset_for, quantize, write
from mera_calibration.quality_gate import AcceptanceLimits
from mera_calibration.request import Dataset, PrecisionRequest
from mera_calibration.sensitivity import divergence
from mera_edge.bundle import Bundle
from mera_edge.engine.onnx import OnnxEngine
from mera_export.bundle import export_bundle
from mera_export.qat import QuantizationAwareTraining
from mera_train import checkpoint
from mera_train.face.data import LABELS
from mera_train.face.model import FaceNet, ModelConfig
from mera_train.face.train import Config

SHAPE = ModelConfig(crop_size=32, stem_channels=8, channels=(8, 16), blocks=(1, 1), dropout=0)
GAIN = 40.0


def picture(seed: int) -> NDArray[np.float32]:
    """Stripes whose direction and width are those of a class, in noise."""
    random, kind = np.random.default_rng(seed), seed % 8
    x, y = np.meshgrid(np.arange(SHAPE.crop_size), np.arange(SHAPE.crop_size))
    wave = np.sin((1 + kind // 2) * (x if kind % 2 else y) / 2.5 + random.uniform(0, 6))
    noise = random.normal(0, 30, wave.shape)
    return np.clip(128 + 50 * wave + noise, 0, 255).astype(np.float32)


def examples(count: int, first: int) -> list[Example]:
    return [
        Example(str(i), LABELS[i % 8], "", partial(picture, i)) for i in range(first, first + count)
    ]


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network that tells stripes apart, with a channel that is far larger than the others."""
    torch.manual_seed(0)
    network = FaceNet(SHAPE)
    given = torch.from_numpy(np.stack([picture(i) for i in range(512)]))[:, None]
    truth = torch.arange(512) % 8
    optimizer = torch.optim.Adam(network.parameters(), 5e-3)
    for _ in range(60):
        rows = torch.randint(0, 512, (64,))
        loss = nn.functional.cross_entropy(network(given[rows])[0], truth[rows])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    network.eval()
    with torch.no_grad():
        # The same function: what the next layers read of the channel is as much smaller.
        network.stem[0][1].weight[0] *= GAIN
        network.stem[0][1].bias[0] *= GAIN
        network.stages[0].first[0].weight[:, 0] /= GAIN
        network.stages[0].around[1][0].weight[:, 0] /= GAIN
    directory = tmp_path_factory.mktemp("checkpoints")
    checkpoint.save(directory / "face", network, Config(model=SHAPE), {}, "# Face")
    return directory


def spoilt(bundle: Bundle, full: Bundle, tmp_path: Path) -> float:
    """Return the divergence of the 8-bit answers from full precision, in nats."""
    ranges = calibrate(bundle, "face", examples(400, 1000), count=128)
    model = onnx.load(bundle.role("face").path())
    write(quantize(model, ranges.ranges, preset_for("face")), tmp_path / "small.onnx")
    small, large = OnnxEngine(tmp_path / "small.onnx"), full.role("face").engine()
    feeds = [{"face": example.load()[None, None]} for example in examples(200, 5000)]
    return float(np.mean([divergence(large.run(fed), small.run(fed)) for fed in feeds]))


def test_quantization_aware_training_repairs_a_degraded_network(
    checkpoints: Path, tmp_path: Path
) -> None:
    full = export_bundle(checkpoints, tmp_path / "full", ["face"])
    feeds = [{"face": example.load()[None, None]} for example in examples(128, 1000)]
    tuned = QuantizationAwareTraining(checkpoints, 60)("face", full, feeds, tmp_path)
    before, after = spoilt(full, full, tmp_path), spoilt(tuned, full, tmp_path)
    assert after < before / 2
    assert "Fine-tuned for INT8 in 60 steps" in tuned.role("face").entry.card


def test_a_role_that_is_refused_is_fine_tuned_when_asked(checkpoints: Path, tmp_path: Path) -> None:
    bundle = export_bundle(checkpoints, tmp_path / "bundle", ["face"])
    dataset = Dataset(examples(200, 1000), examples(100, 5000))
    request = PrecisionRequest(
        limits=AcceptanceLimits(max_drop=-50.0, prefer="size"),
        samples=64,
        datasets=lambda role, full: dataset,
        fine_tune=QuantizationAwareTraining(checkpoints, 2),
    )
    found = PrecisionSearch(request).run(bundle)
    assert found.bundle.role("face").entry.precision == "fp32"
    attempts = found.report.outcomes[0].candidates
    assert [(a.fine_tuned, a.accepted) for a in attempts] == [(False, False), (True, False)]
