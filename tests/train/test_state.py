"""States that are damaged, missing or of another run; disks that are full; workers that stay."""

import json
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch
from sum_task import CONFIG, SumTask
from torch import Tensor

from mera_edge.errors import InputError
from mera_train import frames, state
from mera_train.loop import fit
from mera_train.task import LoopConfig

MADE = {"corpus": "#1", "model.width": "8"}


def weights(task: SumTask) -> list[Tensor]:
    return list(task.model.state_dict().values())


@pytest.fixture
def killed(tmp_path: Path) -> Path:
    """A run that ended in its third epoch."""
    with pytest.raises(KeyboardInterrupt):
        fit(SumTask(dies_at=20), CONFIG, tmp_path / "run", MADE)
    return tmp_path / "run"


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-20] ^= 1
    path.write_bytes(content)


SPOIL: list[Callable[[Path], object]] = [cut, flip, Path.unlink, lambda p: p.write_bytes(b"")]


@pytest.mark.parametrize("spoil", SPOIL, ids=["cut", "altered", "missing", "empty"])
def test_corrupt_state_falls_back_to_the_previous_one(
    killed: Path, tmp_path: Path, spoil: Callable[[Path], object], capsys: pytest.CaptureFixture
) -> None:
    whole = SumTask()
    best = fit(whole, CONFIG, tmp_path / "whole", MADE)
    spoil(killed / state.LAST)
    resumed = SumTask()
    capsys.readouterr()
    assert fit(resumed, CONFIG, killed, MADE) == best
    assert "last.safetensors" in (said := capsys.readouterr().err) and "before.safetensors" in said
    assert all(map(torch.equal, weights(whole), weights(resumed)))
    epochs = [json.loads(line)["epoch"] for line in (killed / state.LOG).read_text().splitlines()]
    assert epochs == [1, 2, 3, 4]


@pytest.mark.parametrize("spoil", SPOIL[:3], ids=["cut", "altered", "missing"])
def test_where_nothing_can_be_read_one_error_says_what_to_do(
    killed: Path, spoil: Callable[[Path], object]
) -> None:
    spoil(killed / state.BEST)
    with pytest.raises(InputError, match=r"best\.safetensors.*--fresh"):
        fit(SumTask(), CONFIG, killed, MADE)
    cut(killed / state.LAST)
    cut(killed / state.BEFORE)
    with pytest.raises(InputError, match=r"last\.safetensors.*before\.safetensors.*--fresh"):
        fit(SumTask(), CONFIG, killed, MADE)
    fit(SumTask(), CONFIG, killed, MADE, resume=False)


CHANGED = {
    "epochs": 2, "learning_rate": 1e-9, "learning_rates": {"0": 1e-9}, "weight_decay": 0.5,
    "warmup_ratio": 0.2,
    "gradient_accumulation_steps": 1,
    "max_grad_norm": 1.0, "ema_decay": 0.5, "precision": "fp32", "evaluate_every": 2,
    "metric_for_best_model": "other",
    "greater_is_better": True, "seed": 2, "patience": 1,
}  # fmt: skip


@pytest.mark.parametrize("finished", [False, True])
def test_a_run_is_not_reused_for_other_settings_or_data(
    killed: Path, tmp_path: Path, finished: bool, capsys: pytest.CaptureFixture
) -> None:
    if finished:
        fit(SumTask(), CONFIG, killed, MADE)
    assert {*CHANGED, "save_every_batches"} == {*LoopConfig.model_fields}
    for name, value in CHANGED.items():
        other = CONFIG.model_copy(update={name: value})
        with pytest.raises(
            InputError, match=rf"loop\.{name}[.0]* is .* there.*--fresh.*another folder"
        ):
            fit(SumTask(), other, killed, MADE)
    for made, told in (
        ({**MADE, "corpus": "#2"}, "corpus has other content"),
        ({**MADE, "model.width": "16"}, "width is 8 there, 16 now"),
        ({**MADE, "noise": "#3"}, "noise is not used there, used now"),
    ):
        for resume in (True, killed):
            with pytest.raises(InputError, match=told):
                fit(SumTask(), CONFIG, killed, made, resume)
            with pytest.raises(InputError, match=told):
                loop = {f"loop.{k}": json.dumps(v) for k, v in CONFIG.model_dump().items()}
                loop.pop("loop.save_every_batches")
                state.claim(killed, {**made, **loop}, resume)
        with pytest.raises(InputError, match=told):
            fit(SumTask(), CONFIG, tmp_path / "other", made, resume=killed)
    # How often a state is saved changes no weight.
    fit(SumTask(), CONFIG.model_copy(update={"save_every_batches": 4}), killed, MADE)
    capsys.readouterr()
    again = SumTask()
    fit(again, CONFIG, killed, MADE)
    assert again.loaded == 0
    assert f"{killed}: finished" in capsys.readouterr().err


def test_a_run_without_metadata_resumes_only_with_an_explicit_path(killed: Path) -> None:
    found = state.read(killed / state.LAST)
    old = {"position": found.metadata["position"]}
    state.write(killed / state.LAST, found.tensors, old)
    with pytest.raises(InputError, match=f"--resume {killed}"):
        state.claim(killed, MADE, True)
    with pytest.raises(InputError, match=f"--resume {killed}"):
        fit(SumTask(), CONFIG, killed, MADE)
    fit(SumTask(), CONFIG, killed, MADE, resume=killed)


def test_a_state_of_another_network_is_one_line(killed: Path) -> None:
    task = SumTask()
    task.model = torch.nn.Linear(4, 1)
    with pytest.raises(InputError, match="a different network"):
        fit(task, CONFIG, killed, MADE)


def test_fresh_and_resumed_runs_have_separate_logs(killed: Path, tmp_path: Path) -> None:
    fit(SumTask(), CONFIG, killed, MADE)
    short = CONFIG.model_copy(update={"epochs": 1})
    fit(SumTask(), short, killed, MADE, resume=False)
    assert (killed / state.LOG).read_text().count("\n") == 1
    other = tmp_path / "other"
    fit(SumTask(), CONFIG, other, MADE)
    fit(SumTask(), short, other, MADE, resume=killed)
    assert (other / state.LOG).read_text() == (killed / state.LOG).read_text()


@contextmanager
def room(size: int) -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_full_disk_is_one_line_and_the_run_can_resume(killed: Path, tmp_path: Path) -> None:
    whole = SumTask()
    fit(whole, CONFIG, tmp_path / "whole", MADE)
    with (
        room(2000),
        pytest.raises(InputError, match="there is no space left for"),
    ):
        fit(SumTask(), CONFIG, killed, MADE)
    assert not list(killed.glob(".*partial"))
    resumed = SumTask()
    fit(resumed, CONFIG, killed, MADE)
    assert all(map(torch.equal, weights(whole), weights(resumed)))


def test_frames_on_a_full_disk_are_one_error_and_nothing_is_left(tmp_path: Path) -> None:
    rows = [({"file": str(n)}, np.zeros((100, 80), np.float16)) for n in range(5)]
    with room(20_000), pytest.raises(OSError, match="large"):
        frames.write(tmp_path / "frames", "#1", rows)
    assert not any(tmp_path.iterdir()) and not frames.written(tmp_path / "frames", "#1")
    frames.write(tmp_path / "frames", "#1", rows)
    found, facts = frames.read(tmp_path / "frames")
    assert found.shape == (500, 80) and found.dtype == np.float16 and len(facts) == 5
    assert frames.written(tmp_path / "frames", "#1")
    assert not frames.written(tmp_path / "frames", "#2")


WORKERS = """
import os, sys, time
from mera_train.workers import pool

def task(seconds):
    print(os.getpid(), flush=True)
    time.sleep(seconds)

if __name__ == "__main__":
    with pool(2) as processes:
        list(processes.map(task, [60, 60, 60]))
"""


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc")
def test_capture_process_ends_when_its_parent_is_killed(tmp_path: Path) -> None:
    script = tmp_path / "work.py"
    script.write_text(WORKERS)
    parent = subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    workers = [int(parent.stdout.readline()) for _ in range(2)]
    assert all(map(alive, workers))
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    until = time.monotonic() + 30
    while any(map(alive, workers)) and time.monotonic() < until:
        time.sleep(0.05)
    assert not any(map(alive, workers))
