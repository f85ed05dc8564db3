"""INT8 as good as full precision is taken; anything else is refused, with the reason."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from rich.console import Console

from mera_calibration.gate import Limits
from mera_calibration.ranges import METHODS, Method
from mera_edge.bundle import Bundle
from mera_edge.errors import CheckFailed, InputError
from mera_export import report
from mera_export.int8 import Options, Outcome, check, quantize_role
from mera_export.material import Material
from mera_export.quantize import layers, prove
from mera_export.refine import Refinement

BY_SIZE = Limits(prefer="size")


def run(
    bundle: Bundle, material: Material, tmp_path: Path, options: Options
) -> tuple[Outcome, Path]:
    """Quantize into a directory of its own."""
    out = tmp_path / "small"
    out.mkdir(exist_ok=True)
    outcome, entry = quantize_role(bundle, "face", material, options, out, lambda message: None)
    assert entry.precision == ("int8" if outcome.accepted else "fp32")
    return outcome, out / "face.onnx"


@pytest.mark.parametrize("method", METHODS)
def test_a_good_model_becomes_int8_and_proves_it(faces, tmp_path: Path, method: Method) -> None:
    bundle, material = faces()
    outcome, path = run(bundle, material, tmp_path, Options(BY_SIZE, method, samples=64))
    assert outcome.accepted, outcome.reasons
    found, proof = outcome.comparison, outcome.proof
    assert found is not None and proof is not None
    assert found.fp32.score.metric > 0.9
    assert abs(found.drop) <= 0.5 and found.agreement > 0.97
    assert proof.layers == 3 and proof.of == 5, "the heads stay in float"
    assert proof.quantize > 0 and proof.dequantize > proof.quantize
    assert found.int8.bytes == path.stat().st_size < 0.7 * found.fp32.bytes
    assert outcome.calibration["samples"] == 64 and outcome.calibration["ranges"] == method
    assert not outcome.left and not outcome.costs


def test_activations_have_u8_and_weights_a_scale_per_channel(faces, tmp_path: Path) -> None:
    bundle, material = faces()
    _, path = run(bundle, material, tmp_path, Options(BY_SIZE, samples=64))
    model = onnx.load(path)
    constants = {t.name: onnx.numpy_helper.to_array(t) for t in model.graph.initializer}
    widen = {n.output[0]: n for n in model.graph.node if n.op_type == "DequantizeLinear"}
    weights = {n.name: widen[n.input[1]] for n in model.graph.node if n.op_type == "Conv"}
    assert set(weights) == {"conv1", "conv2"}
    for name, channels in (("conv1", 16), ("conv2", 32)):
        stored, scale, zero = (constants[key] for key in weights[name].input)
        assert stored.dtype == np.int8 and scale.shape == (channels,) and not zero.any()
    activations = [n for n in model.graph.node if n.op_type == "QuantizeLinear"]
    assert {constants[n.input[2]].dtype for n in activations} == {np.dtype(np.uint8)}
    assert {entry.key: entry.value for entry in model.metadata_props} == {
        "labels": "neutral,happy,sad,angry"
    }


def test_the_same_inputs_give_the_same_bytes(faces, tmp_path: Path) -> None:
    bundle, material = faces()
    options = Options(BY_SIZE, samples=64)
    _, path = run(bundle, material, tmp_path, options)
    before = path.read_bytes()
    outcome, path = run(bundle, material, tmp_path, options)
    assert path.read_bytes() == before
    again, _ = run(bundle, material, tmp_path, options)
    assert again.calibration == outcome.calibration


def test_sensitivity_rescues_a_fragile_model(faces, tmp_path: Path) -> None:
    bundle, material = faces(outlier=3000.0)
    outcome, path = run(bundle, material, tmp_path, Options(BY_SIZE, samples=64))
    assert outcome.accepted, outcome.reasons
    assert set(outcome.left) == {"conv1", "conv2"}
    costs = {cost.block[0]: cost.divergence for cost in outcome.costs}
    assert min(costs["conv1"], costs["conv2"]) > 5 * costs["embed"]
    assert outcome.comparison is not None and outcome.comparison.drop <= 0.5
    assert prove(bundle.role("face").path(), path, outcome.left).layers == 1


def test_the_gate_refuses_what_cannot_be_rescued(faces, tmp_path: Path) -> None:
    bundle, material = faces(outlier=3000.0)
    options = Options(Limits(max_drop=-50.0, prefer="size"), samples=64)
    outcome, path = run(bundle, material, tmp_path, options)
    assert not outcome.accepted
    assert "the task metric drops by" in outcome.reasons[0]
    assert not path.exists(), "a refused model is not left in the bundle"


def test_without_a_layer_to_quantize_there_is_no_proof(faces, tmp_path: Path) -> None:
    bundle, _ = faces()
    full = bundle.role("face").path()
    with pytest.raises(CheckFailed, match="3 of 3 layers were not quantized"):
        prove(full, full)
    with pytest.raises(CheckFailed, match="no layer to quantize"):
        prove(full, full, layers(onnx.load(full)))


def test_labels_that_do_not_fit_are_noticed_before_calibrating(faces, tmp_path: Path) -> None:
    bundle, material = faces()
    random = np.random.default_rng(0)
    wrong = [
        type(e)(e.name, str(random.choice(["neutral", "happy", "sad", "angry"])), "", e.load)
        for e in material.train
    ]
    with pytest.raises(InputError, match="no better than chance"):
        run(bundle, Material(wrong, material.dev), tmp_path, Options(BY_SIZE))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (Options(ranges="guess"), "'guess'"),  # type: ignore[arg-type]
        (Options(Limits(prefer="beauty")), "'beauty'"),  # type: ignore[arg-type]
        (Options(samples=0), "at least one"),
    ],
)
def test_options_that_make_no_sense_are_named(options: Options, message: str) -> None:
    with pytest.raises(InputError, match=message):
        check(options)


def test_a_bundle_is_refined_and_the_report_tells(faces, tmp_path: Path) -> None:
    bundle, material = faces()
    console = Console(quiet=True)
    options = Options(BY_SIZE, samples=64)
    refinement = Refinement(tmp_path, options, console, lambda role, data, given: material)
    entries = refinement(bundle)
    assert entries["face"].precision == "int8"
    facts = entries["face"].metrics["int8"]
    assert facts["split"] == "dev" and facts["n"] == 400
    assert "median_ms" not in str(facts), "times would make every bundle another one"
    refinement.publish(tmp_path / "report")
    text = (tmp_path / "report" / "export.md").read_text()
    assert "| face | INT8 | 400 | accuracy |" in text
    assert "64 training samples" in text
    assert report.SCHEMA in (tmp_path / "report" / "export.json").read_text()
