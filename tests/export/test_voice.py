"""The exported voice encoder, run by the device's stage."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from mera_edge.bundle import Bundle, Manifest
from mera_edge.errors import BundleError
from mera_edge.features.fbank import SAMPLE_RATE, log_mel
from mera_edge.labels import project
from mera_edge.stages.voice import VoiceStage
from mera_export.voice import export
from mera_train import checkpoint
from mera_train.voice.data import LABELS
from mera_train.voice.ensemble import Ensemble, network
from mera_train.voice.model import ModelConfig, VoiceEncoder
from mera_train.voice.train import Config


def encoder(members: int) -> VoiceEncoder | Ensemble:
    torch.manual_seed(0)
    config = ModelConfig(
        channels=(4, 4, 8), width=16, blocks=2, embedding_dim=64, ensemble_size=members
    )
    model = network(config, torch.full((80,), 8.0), torch.full((80,), 0.25))
    model.temperature.fill_(0.7)
    return model.eval()


@pytest.fixture(scope="module", params=[1, 2], ids=["one encoder", "an ensemble"])
def members(request: pytest.FixtureRequest) -> int:
    return int(request.param)


@pytest.fixture(scope="module")
def bundle(members: int, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    directory = tmp_path_factory.mktemp("bundle")
    model = encoder(members)
    config = Config(model=model.config)
    checkpoint.save(directory / "run", model, config, {"temperature": 0.7}, "# Voice")
    manifest = Manifest(
        schema="mera-edge/bundle/1",
        name="test",
        created_with={},
        roles={"voice": export(directory / "run", directory)},
    )
    (directory / "bundle.json").write_text(manifest.to_json())
    return Bundle.open(directory)


def sound(seconds: float, seed: int = 0) -> NDArray[np.float32]:
    count = int(seconds * SAMPLE_RATE)
    return np.random.default_rng(seed).normal(0, 0.1, count).astype(np.float32)


def test_the_stage_says_what_training_computed_on_the_whole_recording(
    bundle: Bundle, members: int
) -> None:
    model, frames = encoder(members), log_mel(sound(1.6))
    evidence = VoiceStage(bundle).accept(frames, 1.6)
    assert evidence is not None
    with torch.no_grad():
        scores, valence, embedding, _ = model(torch.from_numpy(frames)[None], model.empty())
    expected = project(scores[0, -1].softmax(0).numpy(), LABELS)
    np.testing.assert_allclose(evidence.probabilities, expected, atol=1e-5)
    np.testing.assert_allclose(evidence.embedding, embedding[0, -1].numpy(), atol=1e-4)
    assert evidence.valence == pytest.approx(float(valence[0, -1]), abs=1e-4)
    assert evidence.captured_s == pytest.approx(1.6)


@given(cuts=st.lists(st.integers(1, 90), min_size=1, max_size=8))
@settings(max_examples=15)
def test_how_the_frames_are_cut_does_not_matter(bundle: Bundle, cuts: list[int]) -> None:
    frames = log_mel(sound(1.5))
    whole = VoiceStage(bundle).accept(frames, 1.5)
    stage, newest = VoiceStage(bundle), None
    ends = np.minimum(np.cumsum([*cuts, len(frames)]), len(frames))
    for start, end in zip([0, *ends], ends, strict=False):
        newest = stage.accept(frames[start:end], end / 100) or newest
    assert whole is not None and newest is not None
    np.testing.assert_array_equal(newest.probabilities, whole.probabilities)
    np.testing.assert_array_equal(newest.embedding, whole.embedding)
    assert newest.captured_s == pytest.approx(whole.captured_s)


def test_no_output_before_a_chunk_is_complete(bundle: Bundle) -> None:
    assert VoiceStage(bundle).accept(log_mel(sound(0.2)), 0.2) is None
    assert VoiceStage(bundle).accept(np.empty((0, 80), np.float32), 0.0) is None


@pytest.mark.parametrize(
    "samples",
    [
        pytest.param(np.zeros(SAMPLE_RATE, np.float32), id="silence"),
        pytest.param(np.sign(sound(1)), id="clipped"),
        pytest.param(sound(1) * 1e-5, id="nearly nothing"),
        pytest.param(np.full(SAMPLE_RATE, np.nan, np.float32), id="not finite numbers"),
    ],
)
def test_any_sound_gives_probabilities(bundle: Bundle, samples: NDArray[np.float32]) -> None:
    stage = VoiceStage(bundle)
    for frames in (log_mel(samples), log_mel(sound(1))):
        evidence = stage.accept(frames, 1.0)
        assert evidence is not None
        assert evidence.probabilities.sum() == pytest.approx(1, abs=1e-5)
        assert np.isfinite(evidence.embedding).all()
        assert -1 <= evidence.valence <= 1


def test_reset_equals_a_new_instance(bundle: Bundle) -> None:
    used = VoiceStage(bundle)
    used.accept(log_mel(sound(1.3, seed=1)), 1.3)
    used.reset()
    frames = log_mel(sound(1))
    one, two = used.accept(frames, 1.0), VoiceStage(bundle).accept(frames, 1.0)
    assert one is not None and two is not None
    np.testing.assert_array_equal(one.probabilities, two.probabilities)
    assert one.captured_s == two.captured_s


def test_a_model_for_other_features_is_refused(bundle: Bundle, tmp_path: Path) -> None:
    text = (bundle.directory / "bundle.json").read_text()
    for file in bundle.directory.glob("*.onnx"):
        (tmp_path / file.name).write_bytes(file.read_bytes())
    (tmp_path / "bundle.json").write_text(text.replace('"bins": 80', '"bins": 40'))
    with pytest.raises(BundleError, match="bins is 40 there, 80 here"):
        VoiceStage(Bundle.open(tmp_path))
