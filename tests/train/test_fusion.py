"""Composed examples, and a fusion trained on encoders whose errors are known."""

from pathlib import Path

import numpy as np
import pytest
import torch

from mera_edge.labels import EMOTIONS, MODALITIES
from mera_train.fusion.compose import CLEAN, Composition, compose
from mera_train.fusion.evidence import Pool
from mera_train.fusion.model import ModelConfig, Mtme
from mera_train.fusion.train import (
    SUBSETS,
    Config,
    FusionTask,
    answers,
    compare,
    halves,
    measure,
)
from mera_train.loop import fit
from mera_train.task import LoopConfig

HOW = Composition(examples=1400, correlated_error_rate=0)


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
        epochs=6,
        learning_rate=3e-3,
        precision="fp32",
        metric_for_best_model="macro_f1",
        greater_is_better=True,
    )
    config = Config(
        encoders=Path("encoders"),
        model=ModelConfig(fusion_dim=32, unimodal_dim=16),
        loop=loop,
        batch_size=128,
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
    how = Composition(
        examples=7000,
        conflict_rate=0.2,
        degraded_rate=0.5,
        correlated_error_rate=0,
        mean_age_s=ages,
    )
    examples = compose(pools, how, 0)
    wrong = (examples.shown != examples.emotions[:, None]).mean(axis=0)
    np.testing.assert_allclose(wrong, [0.2, 0.2, 0.6], atol=0.03)
    assert examples.embeddings["face"][:, -1].mean() == pytest.approx(0.5, abs=0.03)
    again = compose(pools, how, 0)
    np.testing.assert_array_equal(examples.probabilities, again.probabilities)


def test_correlated_errors_give_all_modalities_the_same_wrong_emotion(
    pools: dict[str, Pool],
) -> None:
    how = CLEAN.model_copy(update={"examples": 2100, "correlated_error_rate": 1.0})
    examples = compose(pools, how, 0)
    assert (examples.shown == examples.emotions[:, None]).all()
    answers = examples.probabilities.argmax(2)
    assert (answers != examples.emotions[:, None]).mean() > 0.8
    agree = (answers == answers[:, :1]).all(1).mean()
    apart = compose(
        pools, how.model_copy(update={"correlated_error_rate": 0.0}), 0
    ).probabilities.argmax(2)
    wrong = (apart != examples.emotions[:, None]).all(1)
    assert agree > 0.5 > (apart[wrong] == apart[wrong][:, :1]).all(1).mean()


def test_training_on_correlated_errors_improves_calibration(
    task: FusionTask, pools: dict[str, Pool], tmp_path: Path
) -> None:
    """A network trained on correlated errors is better calibrated on them."""
    fitting, choosing = halves(pools, 1)
    how = HOW.model_copy(update={"correlated_error_rate": 0.5})
    model = task.config.model.model_copy(update={"max_correction_nats": 0.7})
    config = task.config.model_copy(update={"model": model})
    warned = FusionTask(config, compose(fitting, how, 1), compose(choosing, how, 2))
    fit(warned, config.loop, tmp_path, {})
    together = compose(pools, how, 9)
    naive_ece, warned_ece = (
        measure(together, answers(t.model.network, together, SUBSETS[0])[0])["ece"]
        for t in (task, warned)
    )
    assert warned_ece < naive_ece - 0.05


def test_the_correction_alone_cannot_overrule_the_modalities(pools: dict[str, Pool]) -> None:
    network = Mtme(
        ModelConfig(fusion_dim=8, unimodal_dim=8, max_correction_nats=0.5),
        dict.fromkeys(MODALITIES, 8),
    )
    torch.nn.init.normal_(network.correction.bias, std=50)
    examples = compose(pools, CLEAN.model_copy(update={"examples": 700}), 3)
    probabilities = answers(network, examples, SUBSETS[0])[0]
    plain = np.log(examples.probabilities).sum(1)
    shift = np.log(probabilities) - plain
    assert (np.ptp(shift, axis=1) <= 2 * 0.5 + 1e-3).all()


def test_clean_and_disturbed_copies_stay_in_the_same_split(pools: dict[str, Pool]) -> None:
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


def test_interrupted_run_resumes_to_the_same_weights(
    pools: dict[str, Pool], tmp_path: Path
) -> None:
    def run(out: Path, epochs: list[int]) -> torch.Tensor:
        for last in epochs:
            config = Config(
                encoders=Path("encoders"),
                model=ModelConfig(fusion_dim=16, unimodal_dim=8),
                loop=LoopConfig(epochs=3, precision="fp32", metric_for_best_model="macro_f1"),
                batch_size=100,
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
