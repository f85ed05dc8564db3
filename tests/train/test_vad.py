"""The speech detector: the same in pieces, at any level, and learnt from a teacher."""

from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from hypothesis import given
from hypothesis import strategies as st
from loudness_teacher import loudness_teacher

from mera_edge.bundle import Bundle, Manifest
from mera_edge.errors import InputError
from mera_edge.stages.vad import VoiceActivity
from mera_export import vad as exported
from mera_train.vad import sounds, teacher
from mera_train.vad.data import LIBRISPEECH
from mera_train.vad.model import Detector, ModelConfig
from mera_train.vad.train import Config, train


def detector() -> Detector:
    torch.manual_seed(0)
    return Detector(ModelConfig(channels=(2, 4), width=8, blocks=2)).eval()


def test_chunked_output_equals_whole_output() -> None:
    model, frames = detector(), torch.randn(2, 40, 80) * 3 + 8
    with torch.no_grad():
        whole, last = model(frames, model.empty(2))
        caches, parts = model.empty(2), []
        for chunk in frames.split(4, 1):
            part, caches = model(chunk, caches)
            parts.append(part)
    torch.testing.assert_close(torch.cat(parts, 1), whole)
    for mine, theirs in zip(caches, last, strict=True):
        torch.testing.assert_close(mine, theirs)


@given(st.floats(-14, 9))
def test_output_does_not_depend_on_the_level(gain: float) -> None:
    model, frames = detector(), torch.randn(1, 40, 80) * 2 + 10
    with torch.no_grad():
        here, there = (model(frames + g, model.empty())[0] for g in (0.0, gain))
    torch.testing.assert_close(here, there, atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize("kind", sounds.KINDS)
def test_a_made_sound_has_the_length_and_the_level_that_were_asked_for(kind: str) -> None:
    for seed in range(5):
        sound = sounds.make(kind, 2.0, np.random.default_rng(seed))
        assert sound.shape == (32_000,) and np.isfinite(sound).all()
        assert np.sqrt(np.mean(sound**2)) == pytest.approx(0.1, rel=1e-3)


def corpora(data: Path) -> None:
    """Two people whose loud moments are "speech", and two recordings of street noise."""
    generator = np.random.default_rng(0)
    for corpus, names in ((LIBRISPEECH, ("19", "26")), ("urbansound_noise", ("5-0", "7-0"))):
        (data / corpus).mkdir()
        lines = ["file,seconds,speaker,fold"]
        for name in names:
            loud = np.repeat(generator.random(8) > 0.5, 4000)
            sound = generator.normal(0, 0.3, 32_000) * np.where(loud, 1, 0.01)
            soundfile.write(data / corpus / f"{name}.wav", sound, 16_000)
            lines.append(f"{name}.wav,2,{name},1")
        (data / corpus / "manifest.csv").write_text("\n".join(lines) + "\n")


def test_a_trained_epoch_exports_and_runs_on_the_device(tmp_path: Path) -> None:
    corpora(tmp_path)
    config = Config.model_validate(
        {
            "model": {"channels": (2, 4), "width": 8, "blocks": 2},
            "scenes": {"frames": 128},
            "corpora": {LIBRISPEECH: 1.0},
            "synthetic_noises_per_kind": 2,
            "batch_size": 4,
            "batches_per_epoch": 3,
            "dev_batches": 1,
            "teacher": loudness_teacher(tmp_path / "teacher.onnx"),
            "loop": {"epochs": 1},
        }
    )
    metrics = train(config, tmp_path, tmp_path / "run", resume=True)
    assert {"loss", "recall", "false_alarms"} <= set(metrics["dev"])
    entry = exported.export(tmp_path / "run", tmp_path)
    manifest = Manifest(
        schema="mera-edge/bundle/1", name="test", created_with={}, roles={"vad": entry}
    )
    (tmp_path / "bundle.json").write_text(manifest.to_json())
    activity = VoiceActivity(Bundle.open(tmp_path))
    activity.accept(np.full((50, 80), 8, np.float32))
    assert activity.speaking in (True, False)


def test_missing_teacher_gives_a_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(InputError, match="pip install"):
        teacher.silero()
