"""The exporter proves that ONNX computes what torch does, and writes the same bytes again."""

from pathlib import Path

import onnx
import pytest
import torch
from torch import Tensor, nn

from mera_edge.errors import CheckFailed
from mera_export.onnx import Prepared, to_onnx


class Causal(nn.Module):
    """A causal convolution with a cache, and an input that it does not read."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution = nn.Conv1d(4, 8, 3)

    def forward(self, frames: Tensor, unread: Tensor, cache: Tensor) -> tuple[Tensor, Tensor]:
        seen = torch.cat([cache, frames], 1)
        return self.convolution(seen.transpose(1, 2)).softmax(1), seen[:, -2:]


class DifferentWhenTraced(nn.Module):
    """Computes something else while it is being exported."""

    def forward(self, x: Tensor) -> Tensor:
        return x + 1 if torch.compiler.is_compiling() else x


INPUTS = {
    "frames": torch.randn(1, 6, 4),
    "unread": torch.zeros(1, dtype=torch.int64),
    "cache": torch.zeros(1, 2, 4),
}
OUTPUTS = ("probabilities", "next_cache")


def prepared(module: nn.Module) -> Prepared:
    return Prepared(module, module, INPUTS, OUTPUTS)


def test_the_interface_is_kept_with_inputs_that_are_not_read(tmp_path: Path) -> None:
    path = tmp_path / "causal.onnx"
    assert to_onnx(prepared(Causal()), path, {"left_context": "2"}).difference < 1e-5
    model = onnx.load(path)
    assert [node.name for node in model.graph.input] == list(INPUTS)
    assert [node.name for node in model.graph.output] == list(OUTPUTS)
    assert {(p.key, p.value) for p in model.metadata_props} == {("left_context", "2")}


def test_the_same_module_gives_the_same_bytes_without_paths(tmp_path: Path) -> None:
    module = Causal()
    for name in ("one", "two"):
        to_onnx(prepared(module), tmp_path / name)
    written = (tmp_path / "one").read_bytes()
    assert written == (tmp_path / "two").read_bytes()
    assert b".py" not in written


def test_a_difference_is_refused_and_leaves_no_file(tmp_path: Path) -> None:
    path, module = tmp_path / "other.onnx", DifferentWhenTraced()
    with pytest.raises(CheckFailed, match=r"other\.onnx: torch and ONNX Runtime differ by 1"):
        to_onnx(Prepared(module, module, {"x": torch.ones(1)}, ("y",)), path)
    assert not path.exists()
