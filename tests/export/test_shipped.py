"""The default bundle: what the checkpoints give, in INT8 with the ranges kept in the project.

Whether INT8 is as good is for the gate, which needs the corpora; its figures are in bundle.json.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from mera_calibration.calibration import load
from mera_calibration.qdq import WEIGHTED, preset_for, prove, quantize, write
from mera_edge.bundle import Bundle
from mera_edge.bundle.manifest import FileEntry
from mera_edge.evaluation.role_evaluators import ROLE_EVALUATORS
from mera_export.bundle import export_bundle
from mera_export.legality import violations
from mera_export.tensorrt_rtx import installed, try_build

RANGES = Path("calibration/ranges")


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """The checkpoints in full precision."""
    made_with = Bundle.open().manifest.created_with["torch"]
    if torch.__version__ != made_with:
        pytest.skip(f"another torch writes another graph: the bundle was made with {made_with}")
    out = tmp_path_factory.mktemp("shipped") / "bundle"
    return export_bundle(Path("train/checkpoints"), out)


def test_the_checkpoints_give_the_default_bundle(exported: Bundle, tmp_path: Path) -> None:
    for name, entry in Bundle.open().manifest.roles.items():
        again = exported.role(name)
        files = dict(again.entry.files)
        if entry.precision == "int8":
            facts = entry.calibration["int8"]
            # Refused where the ranges were measured on another model.
            calibration = load(RANGES, name, exported)
            assert calibration.facts().items() <= facts.items()
            model = onnx.load(again.path())
            how = preset_for(name), facts["left"], "cpu", facts["instruction_set"]
            small = tmp_path / again.path().name
            write(quantize(model, calibration.ranges, *how), small)
            files["model"] = FileEntry.of(small)
            prove(again.path(), small, frozenset(facts["left"]))
            assert small.stat().st_size < again.path().stat().st_size / 3
        assert files == entry.files, f"{name} is not what its checkpoint gives: run `make bundle`"
        assert again.entry.card == entry.card


def test_int8_has_passed_the_gate_and_runs_on_any_processor() -> None:
    entries = Bundle.open().manifest.roles.values()
    small = [entry.calibration["int8"] for entry in entries if entry.precision == "int8"]
    assert small
    assert {(facts["gate"], facts["instruction_set"]) for facts in small} == {("passed", "x86")}


def test_sums_of_products_fit_into_16_bits() -> None:
    # As x86 without VNNI adds them, two at a time; larger ones are cut off without a word.
    bundle = Bundle.open()
    for name, entry in bundle.manifest.roles.items():
        if entry.precision != "int8":
            continue
        graph = onnx.load(bundle.role(name).path()).graph
        weights = {i.name: onnx.numpy_helper.to_array(i) for i in graph.initializer}
        source = {
            o: n.input[0] for n in graph.node if n.op_type == "DequantizeLinear" for o in n.output
        }
        multiplied = [
            weights[source[name]]
            for node in graph.node
            if node.op_type in WEIGHTED
            for name in node.input
            if source.get(name) in weights and weights[source[name]].dtype == np.int8
        ]
        assert multiplied
        assert 2 * 255 * max(int(np.abs(w.astype(int)).max()) for w in multiplied) < 2**15


def test_tensorrt_would_take_the_int8_that_is_for_it(exported: Bundle) -> None:
    for name in ROLE_EVALUATORS:
        if preset_for(name).tensorrt:
            continue
        model, ranges = onnx.load(exported.role(name).path()), load(RANGES, name, exported).ranges
        assert violations(quantize(model, ranges, preset_for(name), target="tensorrt")) == [], name


@pytest.mark.skipif(not installed(), reason="TensorRT for RTX is not installed")
def test_nvidia_parses_and_builds_every_network(exported: Bundle) -> None:
    verdicts = try_build([exported.role(role).path() for role in exported.manifest.roles])
    assert {v.path.name: v.complaint for v in verdicts if not v.accepted} == {}
