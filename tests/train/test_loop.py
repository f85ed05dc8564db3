"""The loop keeps its promises: a run that was killed ends like one that was not."""

import json
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from sum_task import CONFIG, SumTask
from torch import Tensor

from mera_edge.errors import ConfigError, InputError
from mera_train.loop import Diverged, fit


def weights(task: SumTask) -> list[Tensor]:
    return list(task.model.state_dict().values())


@pytest.mark.parametrize("dies_at", [2, 5, 8, 13, 27])
def test_killed_run_resumes_to_the_same_weights(tmp_path: Path, dies_at: int) -> None:
    whole = SumTask()
    best = fit(whole, CONFIG, tmp_path / "whole", {})
    with pytest.raises(KeyboardInterrupt):
        fit(SumTask(dies_at), CONFIG, tmp_path / "killed", {})
    resumed = SumTask()
    assert fit(resumed, CONFIG, tmp_path / "killed", {}) == best
    assert all(map(torch.equal, weights(whole), weights(resumed)))


def test_a_module_can_have_a_learning_rate_of_its_own(tmp_path: Path) -> None:
    begun = [value.clone() for value in weights(SumTask())]
    config = CONFIG.model_copy(update={"learning_rates": {"0": 1e-12}})
    trained = SumTask()
    fit(trained, config, tmp_path / "run", {})
    still = [torch.allclose(a, b, atol=1e-6) for a, b in zip(begun, weights(trained), strict=True)]
    names = list(trained.model.state_dict())
    assert {n for n, same in zip(names, still, strict=True) if same} == {"0.weight", "0.bias"}
    unknown = CONFIG.model_copy(update={"learning_rates": {"00": 1e-3}})
    with pytest.raises(ConfigError, match="nothing that is trained is called '00'"):
        fit(SumTask(), unknown, tmp_path / "other", {})


@pytest.mark.parametrize(("processor", "precision"), [("AVX2", "fp32"), ("AVX512", "bf16")])
def test_bf16_only_where_the_processor_computes_in_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, processor: str, precision: str
) -> None:
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: processor)
    trained = {}
    for name in ("auto", "bf16", "fp32"):
        trained[name] = SumTask()
        fit(trained[name], CONFIG.model_copy(update={"precision": name}), tmp_path / name, {})
    same = [all(map(torch.equal, weights(trained["auto"]), weights(t))) for t in trained.values()]
    assert same == [True, precision == "bf16", precision == "fp32"]


def test_another_run_can_be_continued(tmp_path: Path) -> None:
    fit(SumTask(), CONFIG, tmp_path / "earlier", {})
    again = SumTask()
    fit(again, CONFIG, tmp_path / "again", {}, resume=tmp_path / "earlier")
    assert again.loaded == 0, "it was finished"
    with pytest.raises(InputError, match="does not exist"):
        fit(again, CONFIG, tmp_path / "again", {}, resume=tmp_path / "nowhere")


PARALLEL = """
import sys, torch
from pathlib import Path
from torch import nn
from mera_edge.errors import ConfigError, InputError
from mera_train.loop import fit
from mera_train.task import LoopConfig
from mera_train.parallel import state

class Sum:
    def __init__(self):
        torch.manual_seed(0)
        self.model = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 1))
    def plan(self, epoch):
        return list(range(7))
    def load(self, plan, epoch):
        if epoch == ends:
            print("ended", flush=True)
            raise SystemExit
        x = torch.randn(16, 4, generator=torch.Generator().manual_seed(100 * epoch + plan))
        return x, x.sum(1, keepdim=True)
    def loss(self, batch, device):
        return nn.functional.mse_loss(self.model(batch[0]).float(), batch[1])
    def evaluate(self, model, device):
        x, y = self.load(50, 50)
        return {"loss": nn.functional.mse_loss(model(x), y).item()}

out, accumulate = Path(sys.argv[1]), int(sys.argv[2])
task = Sum()
ends = int(sys.argv[3])
config = LoopConfig(
    epochs=3, gradient_accumulation_steps=accumulate, learning_rate=1e-2, precision="fp32"
)
best = fit(task, config, out, {})
print(state().num_processes, state().process_index, best["loss"], flush=True)
"""


def test_two_processes_learn_what_one_does_that_gathers_twice_as_much(tmp_path: Path) -> None:
    script = tmp_path / "train.py"
    script.write_text(PARALLEL)
    with socket.create_server(("127.0.0.1", 0)) as free:
        host = f"127.0.0.1:{free.getsockname()[1]}"
    torchrun = ["-m", "torch.distributed.run"]
    machine = [*torchrun, "--standalone", "--nproc_per_node=2"]
    node = [*torchrun, "--nnodes=2", "--nproc_per_node=1", "--rdzv_backend=c10d"]
    node.append(f"--rdzv_endpoint={host}")
    # All end after an epoch and go on; what two processes of a machine began, on two machines.
    orders: list[tuple[str, str, str, list[list[str]]]] = [
        ("two", "1", "1", [machine]), ("two", "1", "3", [node, node]),
        ("one", "2", "1", [[]]), ("one", "2", "3", [[]]),
    ]  # fmt: skip
    for name, accumulate, ends, parts in orders:
        started = [
            subprocess.Popen(
                [sys.executable, *part, str(script), str(tmp_path / name), accumulate, ends],
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
            for part in parts
        ]
        said = [process.communicate(timeout=300) for process in started]
        assert [process.returncode for process in started] == [0] * len(parts), said
        assert sum(out.count("\n") for out, _ in said) == (2 if name == "two" else 1)
    weights = [load_file(tmp_path / name / "best.safetensors") for name in ("two", "one")]
    for key, value in weights[0].items():
        torch.testing.assert_close(value, weights[1][key], rtol=1e-5, atol=1e-6)
    logs = [(tmp_path / name / "log.jsonl").read_text().splitlines() for name in ("two", "one")]
    losses = [[json.loads(line)["loss"] for line in log] for log in logs]
    assert losses[0] == pytest.approx(losses[1], abs=2e-5)


def test_a_finished_run_is_not_trained_again(tmp_path: Path) -> None:
    fit(SumTask(), CONFIG, tmp_path, {})
    again = SumTask()
    fit(again, CONFIG, tmp_path, {})
    assert again.loaded == 0


def test_nan_loss_stops_and_names_the_batch(tmp_path: Path) -> None:
    with pytest.raises(Diverged, match="epoch 1, batch 5"):
        fit(SumTask(poison=5), CONFIG, tmp_path, {})
    assert (tmp_path / "last.safetensors").exists()
