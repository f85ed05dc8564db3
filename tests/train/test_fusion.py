"""Composed examples, and a fusion trained on encoders whose errors are known."""

from pathlib import Path

import numpy as np
import pytest
import torch

from mera_edge.labels import EMOTIONS, MODALITIES
from mera_train.fusion.compose import CLEAN, Composition, compose
from mera_train.fusion.evidence import Pool
from mera_train.fusion.model import ModelConfig
from mera_train.fusion.train import SUBSETS, Config, FusionTask, answers, compare, halves
from mera_train.loop import fit
from mera_train.task import LoopConfig

HOW = Composition(examples=1400)


@pytest.fixture(scope="module")
def pools() -> dict[str, Pool]:
    """Three encoders of different quality, worse still where their input is disturbed."""
    random = np.random.default_rng(0)
    made = {}
    for name, quality in zip(MODALITIES, (1.0, 2.0, 1.5), strict=True):
        items = np.repeat(np.arange(700), 2)
        emotions = items % len(EMOTIONS)
        disturbed = np.tile([False, True], 700)
        scores = random.normal(size=(1400, len(EMOTIONS)))
        scores[np.arange(1400), emotions] += np.where(disturbed, 0.4, 1.0) * quality
        shares = np.exp(scores) / np.exp(scores).sum(1, keepdims=True)
        made[name] = Pool(
            embeddings=np.hstack([scores, disturbed[:, None]]).astype(np.float32),
            probabilities=shares.astype(np.float32),
            emotions=emotions,
            disturbed=disturbed,
            items=items,
        )
    return made


@pytest.fixture(scope="module")
def task(pools: dict[str, Pool], tmp_path_factory: pytest.TempPathFactory) -> FusionTask:
    loop = LoopConfig(
        epochs=6, learning_rate=3e-3, precision="fp32", select="macro_f1", higher_is_better=True
    )
    config = Config(
        encoders=Path("encoders"), model=ModelConfig(fused=32, unimodal=16), loop=loop, batch=128
    )
    fitting, choosing = halves(pools, 1)
    task = FusionTask(config, compose(fitting, HOW, 1), compose(choosing, HOW, 2))
    fit(task, config.loop, tmp_path_factory.mktemp("run"), {})
    return task


def test_composed_examples_show_the_emotion_they_are_labelled_with(pools: dict[str, Pool]) -> None:
    examples = compose(pools, CLEAN.model_copy(update={"examples": 210}), 0)
    assert (np.bincount(examples.emotions) == 30).all()
    assert (examples.shown == examples.emotions[:, None]).all()
    assert (examples.age_s == 0).all()
    for name in MODALITIES:
        assert (examples.embeddings[name][:, -1] == 0).all()


def test_old_and_contrary_evidence_shows_other_emotions(pools: dict[str, Pool]) -> None:
    ages = {"voice": 0.0, "face": 0.0, "text": 1e6}
    how = Composition(examples=7000, contrary=0.2, disturbed=0.5, age_s=ages)
    examples = compose(pools, how, 0)
    wrong = (examples.shown != examples.emotions[:, None]).mean(axis=0)
    np.testing.assert_allclose(wrong, [0.2, 0.2, 0.6], atol=0.03)
    assert examples.embeddings["face"][:, -1].mean() == pytest.approx(0.5, abs=0.03)
    again = compose(pools, how, 0)
    np.testing.assert_array_equal(examples.probabilities, again.probabilities)


def test_a_clean_item_and_its_twin_go_the_same_way(pools: dict[str, Pool]) -> None:
    train, dev = halves(pools, 3)
    for name in MODALITIES:
        assert not set(train[name].items) & set(dev[name].items)
        assert len(train[name].items) + len(dev[name].items) == len(pools[name].items)


def test_fusion_beats_the_best_single_modality_and_loses_nothing(
    task: FusionTask, pools: dict[str, Pool]
) -> None:
    table = compare(task.model.network, compose(pools, HOW, 9))
    assert [row["modalities"] for row in table[:1]] == [list(MODALITIES)]
    assert len(table) == len(SUBSETS) == 7
    assert table[0]["fused"] >= table[0]["best_single"] + 0.05
    for row in table:
        assert row["fused"] >= row["best_single"] - 0.01
        if len(row["modalities"]) == 1:
            assert row["fused"] == row["best_single"]


def test_fresh_evidence_counts_more_than_old(task: FusionTask, pools: dict[str, Pool]) -> None:
    examples = compose(pools, CLEAN.model_copy(update={"examples": 700}), 9)
    fresh = answers(task.model.network, examples, SUBSETS[0])[2][:, 2].mean()
    examples.age_s[:, 2] = 30
    assert answers(task.model.network, examples, SUBSETS[0])[2][:, 2].mean() < fresh


def test_an_interrupted_run_ends_with_the_same_weights(
    pools: dict[str, Pool], tmp_path: Path
) -> None:
    def run(out: Path, epochs: list[int]) -> torch.Tensor:
        for last in epochs:
            config = Config(
                encoders=Path("encoders"),
                model=ModelConfig(fused=16, unimodal=8),
                loop=LoopConfig(epochs=3, precision="fp32", select="macro_f1"),
                batch=100,
            )
            small = HOW.model_copy(update={"examples": 210})
            task = FusionTask(config, compose(pools, small, 1), compose(pools, small, 2))
            if last < 3:
                stop = task.plan

                def plan(epoch: int, stop=stop, last=last):  # type: ignore[no-untyped-def]
                    if epoch >= last:
                        raise KeyboardInterrupt
                    return stop(epoch)

                task.plan = plan  # type: ignore[method-assign]
                with pytest.raises(KeyboardInterrupt):
                    fit(task, config.loop, out, {})
            else:
                fit(task, config.loop, out, {})
        return task.model.labels.label("voice")

    whole, resumed = run(tmp_path / "a", [3]), run(tmp_path / "b", [2, 3])
    torch.testing.assert_close(whole, resumed)
