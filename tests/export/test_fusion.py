"""Fusion as the device runs it: any subset of modalities, none of which is trusted blindly."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mera_edge.bundle import SCHEMA, Bundle, Manifest
from mera_edge.errors import InputError
from mera_edge.evidence import Evidence
from mera_edge.labels import EMOTIONS, MODALITIES
from mera_edge.stages.fusion import FusionStage
from mera_export.fusion import export
from mera_train import checkpoint
from mera_train.fusion.config import Config
from mera_train.fusion.model import ModelConfig, Mtme

WIDTHS = {"voice": 6, "face": 5, "text": 4}


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> FusionStage:
    """A small network with random weights, exported and loaded as on a device."""
    torch.manual_seed(0)
    directory = tmp_path_factory.mktemp("fusion")
    network = Mtme(ModelConfig(fusion_dim=16, unimodal_dim=8), WIDTHS)
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    network.temperature.fill_(1.3)
    config = Config(encoders=Path("encoders"), model=network.config)
    checkpoint.save(directory / "checkpoint", network, config, {}, "# Fusion")
    out = directory / "bundle"
    out.mkdir()
    role = export(directory / "checkpoint", out)
    manifest = Manifest(schema=SCHEMA, name="test", created_with={}, roles={"fusion": role})
    (out / "bundle.json").write_text(manifest.to_json())
    return FusionStage(Bundle.open(out))


def evidence(modality: str, seed: int, captured_s: float = 1.0) -> Evidence:
    random = np.random.default_rng([seed, MODALITIES.index(modality)])
    return Evidence(
        modality=modality,  # type: ignore[arg-type]
        captured_s=captured_s,
        probabilities=random.dirichlet(np.full(len(EMOTIONS), 0.5)).astype(np.float32),
        valence=0.0,
        embedding=random.normal(size=WIDTHS[modality]).astype(np.float32),
    )


@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    present=st.sets(st.sampled_from(MODALITIES), min_size=1),
    seed=st.integers(0, 2**31),
    ages=st.lists(st.floats(-5, 1e6), min_size=3, max_size=3),
)
def test_every_subset_at_any_age_gives_probabilities(
    stage: FusionStage, present: set[str], seed: int, ages: list[float]
) -> None:
    pieces = [evidence(name, seed, -age) for name, age in zip(sorted(present), ages, strict=False)]
    fused = stage.fuse(pieces, now_s=0.0)
    assert fused.probabilities.shape == (len(EMOTIONS),)
    assert fused.probabilities.min() >= 0
    assert fused.probabilities.sum() == pytest.approx(1, abs=1e-4)
    assert -1 <= fused.valence <= 1
    assert set(fused.weights) == present
    assert sum(fused.weights.values()) == pytest.approx(1, abs=1e-4)


@pytest.mark.parametrize("modality", MODALITIES)
def test_one_modality_alone_keeps_its_answer(stage: FusionStage, modality: str) -> None:
    piece = evidence(modality, 3)
    fused = stage.fuse([piece], now_s=2.0)
    floor = np.maximum(piece.probabilities, 1e-4)
    np.testing.assert_allclose(fused.probabilities, floor / floor.sum(), atol=1e-4)
    assert fused.weights == {modality: pytest.approx(1)}


@pytest.mark.parametrize("absent", MODALITIES)
def test_what_an_absent_modality_holds_cannot_change_the_answer(
    stage: FusionStage, absent: str
) -> None:
    engine = stage._engine
    feeds = {}
    for name, spec in engine.inputs.items():
        feeds[name] = np.random.default_rng(0).random(spec.shape).astype(spec.dtype)
    feeds["present"][:] = 1
    column = MODALITIES.index(absent)
    feeds["present"][0, column] = 0
    before = engine.run(feeds)
    for nonsense in (0.0, -1e9, np.nan, np.inf):
        feeds[absent][:] = nonsense
        feeds["unimodal_probabilities"][0, column] = nonsense
        feeds["age_s"][0, column] = nonsense
        after = engine.run(feeds)
        for name, value in before.items():
            np.testing.assert_array_equal(value, after[name])


def test_the_order_of_the_evidence_does_not_matter(stage: FusionStage) -> None:
    pieces = [evidence(name, 5) for name in MODALITIES]
    one, other = stage.fuse(pieces, 2.0), stage.fuse(pieces[::-1], 2.0)
    np.testing.assert_array_equal(one.probabilities, other.probabilities)
    assert one.weights == other.weights


@pytest.mark.parametrize("pieces", [[], ["voice", "voice"]])
def test_no_evidence_or_twice_the_same_is_an_error(stage: FusionStage, pieces: list[str]) -> None:
    with pytest.raises(InputError, match="one piece of evidence per modality"):
        stage.fuse([evidence(name, i) for i, name in enumerate(pieces)], 0.0)
