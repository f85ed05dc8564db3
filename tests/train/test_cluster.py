"""Features on a cluster whose workers are lost."""

import os
import signal
import wave
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from mera_edge.errors import InputError
from mera_train.features import FeatureExtraction, store

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
