"""Own clips are judged by people who were left out."""

import numpy as np
import torch

from mera_edge.labels import EMOTIONS, MODALITIES
from mera_train.fusion.clips import Clips
from mera_train.fusion.config import Config
from mera_train.fusion.from_features import OwnTask
from mera_train.fusion.left_out import left_out
from mera_train.fusion.model import ModelConfig, Mtme
from mera_train.task import LoopConfig

LOOP = LoopConfig(
    epochs=20, learning_rate=0.03, metric_for_best_model="valence_error", precision="fp32"
)


def clips(teach: bool, emotions: bool = True) -> Clips:
    """48 clips whose voice is right; face and words say the same, or always neutral."""
    random = np.random.default_rng(0)
    truth = np.arange(48) % len(EMOTIONS)
    said = np.full((48, 3, 7), 0.05, np.float32)
    said[np.arange(48), :, truth] = 0.7
    if teach:
        said[:, 1:] = 0.03
        said[:, 1:, 0] = 0.82
    embeddings = {
        name: torch.from_numpy(random.normal(size=(48, 4)).astype(np.float32))
        for name in MODALITIES
    }
    return Clips(
        embeddings,
        torch.from_numpy(said),
        torch.zeros(48, 3),
        torch.ones(48, 3),
        torch.from_numpy(np.linspace(-1, 1, 48, dtype=np.float32)),
        torch.from_numpy(truth if emotions else np.full(48, -1)),
        dict.fromkeys(MODALITIES, torch.full((48,), torch.nan)),
    )


def judged(teach: bool, people: list[str], emotions: bool = True):
    start = Mtme(ModelConfig(fusion_dim=16, unimodal_dim=8), dict.fromkeys(MODALITIES, 4)).eval()
    config = Config(loop=LOOP, batch_size=16)
    return left_out(
        lambda begun, learnt, chooses: OwnTask(config, begun, learnt, chooses),
        *(config, start, clips(teach, emotions), people),
    )


def test_helpful_and_useless_clips_are_distinguished() -> None:
    people = [f"person {number // 12}" for number in range(48)]
    helped, known = judged(True, people), judged(False, people)
    assert helped is not None and known is not None
    assert (helped.people, helped.clips) == (4, 48)
    assert helped.before < 0.2 < 0.5 < helped.after and helped.kept
    assert "your clips helped" in helped.sentence()
    assert known.before == 1.0 and not known.kept
    assert "what it began from is kept" in known.sentence()
    assert "your clips helped" not in known.sentence()


def test_clips_without_emotions_are_judged_by_sentiment() -> None:
    found = judged(True, [f"person {number // 12}" for number in range(48)], emotions=False)
    assert found is not None and found.clips == 48
    assert found.kept == (found.after < found.before)
    assert "sentiment off by" in found.sentence()


def test_two_people_are_too_few_to_leave_out() -> None:
    assert judged(True, ["a", "b"] * 24) is None
    assert judged(True, [""] * 48) is None
