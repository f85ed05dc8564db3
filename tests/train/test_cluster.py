"""Features and tuning on a cluster whose workers are lost."""

import os
import pickle
import signal
import threading
import time
import wave
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from mera_edge.errors import InputError, MeraError
from mera_train.features import FeatureExtraction, store
from mera_train.loop import fit
from mera_train.msa import get_config, mmsa
from mera_train.msa.config import Config, parse
from mera_train.msa.task import SentimentTask

distributed = pytest.importorskip("distributed")

CLIPS = 6


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory, spoken: NDArray[np.float32]) -> Path:
    """A little speech, each clip at another level, and one that is not there."""
    folder = tmp_path_factory.mktemp("clips")
    lines = ["file,label"]
    for n in range(CLIPS):
        with wave.open(str(folder / f"{n}.wav"), "wb") as file:
            file.setparams((1, 2, 16_000, 0, "NONE", "none"))
            file.writeframes((spoken * 20_000 / (n + 1)).astype("<i2").tobytes())
        lines.append(f"{n}.wav,happy")
    (folder / "label.csv").write_text("\n".join([*lines, "gone.wav,sad"]) + "\n")
    return folder


@pytest.fixture(scope="module")
def cluster() -> Iterator[object]:
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None
    ) as made:
        yield made


def test_a_worker_that_is_killed_costs_nothing_and_an_interrupted_run_resumes(
    clips: Path, cluster: object, tmp_path: Path
) -> None:
    extraction, out = FeatureExtraction({"max_failed": 0.2}), tmp_path / "cluster.npz"
    address = cluster.scheduler_address  # type: ignore[attr-defined]

    def kill_then_interrupt(done: int, of: int) -> None:
        if done == 1:
            with distributed.Client(address, set_as_default=False) as client:
                os.kill(next(iter(client.run(os.getpid).values())), signal.SIGKILL)
        if done == CLIPS - 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        extraction.run_dataset(clips, out, progress=kill_then_interrupt, scheduler=address)
    counts: list[int] = []
    statuses = extraction.run_dataset(
        clips, out, progress=lambda done, of: counts.append(done), scheduler=address
    )
    assert counts[0] >= CLIPS - 1, "what was done is not done again"
    assert [status.ok for status in statuses] == [True] * CLIPS + [False]
    assert "gone.wav does not exist" in statuses[-1].notes[0]

    extraction.run_dataset(clips, tmp_path / "here.npz")
    there, here = store.load(out), store.load(tmp_path / "here.npz")
    assert there.specification == here.specification
    for name, values in here.arrays.items():
        np.testing.assert_array_equal(there.arrays[name], values)


def test_obstacles_are_reported(clips: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="scheduler nonsense does not answer"):
        FeatureExtraction().run_dataset(clips, tmp_path / "out.npz", scheduler="nonsense")


TRIALS = 2


@pytest.fixture
def sentiment(tmp_path: Path) -> Config:
    """Settings of a quick network, and its feature file."""
    random, path = np.random.default_rng(0), tmp_path / "features.pkl"
    parts = {}
    for split, n in (("train", 24), ("valid", 8), ("test", 8)):
        labels = random.uniform(-1, 1, n)
        parts[split] = {name: random.normal(size=(n, 5, 4)) for name in ("text", "audio", "vision")}
        parts[split] |= {"regression_labels": labels, "id": [f"{split}$_${i}" for i in range(n)]}
    path.write_bytes(pickle.dumps(parts))
    config = get_config("lf_dnn", "sims") | {"featurePath": str(path), "batch_size": 4}
    return parse(config | {"loop": {**config["loop"], "epochs": 1}})


def test_a_trial_whose_worker_is_killed_is_run_again(
    sentiment: Config, cluster: object, tmp_path: Path
) -> None:
    optuna = pytest.importorskip("optuna")
    from mera_train.msa.tune import tune

    corpus = mmsa.read(tmp_path / "features.pkl", "sims")
    address = cluster.scheduler_address  # type: ignore[attr-defined]
    cluster.scale(1)  # type: ignore[attr-defined]
    killed = []

    def kill() -> None:
        with distributed.Client(address, set_as_default=False) as client:
            pids = client.run(os.getpid)
            while not (busy := [worker for worker, calls in client.processing().items() if calls]):
                time.sleep(0.05)
            os.kill(pids[busy[0]], signal.SIGKILL)
            killed.extend(busy[:1])

    killer = threading.Thread(target=kill)
    killer.start()
    best = tune(sentiment, corpus, TRIALS, tmp_path / "study", 1, scheduler=address)
    killer.join()
    assert killed
    study = optuna.load_study(study_name=None, storage=f"sqlite:///{tmp_path}/study/study.db")
    assert [trial.state.name for trial in study.trials] == ["COMPLETE"] * TRIALS, "none is lost"
    here = fit(SentimentTask(best, corpus), best.loop, tmp_path / "here", {})
    assert here["mae"] == pytest.approx(study.best_value), "a worker does what is done here"


def test_a_worker_that_reads_other_features_is_reported(
    sentiment: Config, cluster: object, tmp_path: Path
) -> None:
    pytest.importorskip("optuna")
    from mera_train.msa.tune import tune

    corpus = mmsa.read(tmp_path / "features.pkl", "sims")
    corpus.train.labels[:] *= -1
    address = cluster.scheduler_address  # type: ignore[attr-defined]
    with pytest.raises(MeraError, match=r"a worker reads another .*features\.pkl"):
        tune(sentiment, corpus, 1, tmp_path / "other", 1, scheduler=address)
    (tmp_path / "features.pkl").unlink()
    with pytest.raises(InputError, match=r"a worker cannot see .*features\.pkl"):
        tune(sentiment, corpus, 1, tmp_path / "gone", 1, scheduler=address)
