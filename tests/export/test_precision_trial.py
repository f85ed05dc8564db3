"""A smaller precision as good as the full one is taken, any other refused, with the reason."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest

from mera_calibration.activation_ranges import METHODS, Method
from mera_calibration.calibration import Calibration, calibrate, load
from mera_calibration.precision_trial import Candidate, PrecisionTrial, sample
from mera_calibration.qdq import (
    WEIGHT_BITS,
    InstructionSet,
    Target,
    layers,
    preset_for,
    prove,
    quantize,
)
from mera_calibration.quality_gate import AcceptanceLimits
from mera_calibration.request import Dataset, PrecisionRequest
from mera_edge.bundle import Bundle
from mera_edge.engine.onnx import OnnxEngine
from mera_edge.errors import CheckFailed, InputError
from mera_export.legality import violations

BY_SIZE = AcceptanceLimits(prefer="size")
OPERATORS = preset_for("face").operators


def calibrated(bundle: Bundle, material: Dataset, method: Method = "minmax") -> Calibration:
    return calibrate(bundle, "face", material.train, method, 64)


def request(dataset: Dataset, limits: AcceptanceLimits) -> PrecisionRequest:
    return PrecisionRequest(limits=limits, datasets=lambda role, bundle: dataset)


def run(
    bundle: Bundle,
    material: Dataset,
    tmp_path: Path,
    limits: AcceptanceLimits = BY_SIZE,
    method: Method = "minmax",
    target: Target = "cpu",
) -> tuple[Candidate, PrecisionTrial, Path]:
    """Try eight bits."""
    trial = PrecisionTrial(
        bundle, "face", sample(material.dev, 400, 0), request(material, limits), tmp_path
    )
    out = tmp_path / "small.onnx"
    return trial.int8(target, calibrated(bundle, material, method), out), trial, out


@pytest.mark.parametrize("method", METHODS)
def test_a_good_model_becomes_int8_and_proves_it(faces, tmp_path: Path, method: Method) -> None:
    candidate, trial, path = run(*faces(), tmp_path, method=method)
    assert candidate.accepted, candidate.reasons
    found, proof = candidate.comparison, candidate.proof
    assert found is not None and proof is not None
    assert found.full.score.metric > 0.9
    assert abs(found.drop) <= 0.5 and found.agreement > 0.97
    # Without VNNI, products of eight bits saturate, and the search may leave a layer in float.
    assert proof.layers + len(candidate.float_layers) == 3 and proof.of == 5, (
        "the heads stay in float"
    )
    assert proof.quantize > 0 and proof.dequantize > proof.quantize
    assert found.small.bytes == path.stat().st_size < 0.7 * found.full.bytes
    assert set(candidate.float_layers) <= {"conv1"} and bool(trial.costs) == bool(
        candidate.float_layers
    )


def test_activations_have_u8_and_weights_a_scale_per_channel(faces, tmp_path: Path) -> None:
    candidate, _, path = run(*faces(), tmp_path)
    model = onnx.load(path)
    constants = {t.name: onnx.numpy_helper.to_array(t) for t in model.graph.initializer}
    widen = {n.output[0]: n for n in model.graph.node if n.op_type == "DequantizeLinear"}
    convolutions = {"conv1": 16, "conv2": 32}
    quantized = convolutions.keys() - set(candidate.float_layers)
    weights = {n.name: widen[n.input[1]] for n in model.graph.node if n.name in quantized}
    assert "conv2" in weights
    for name, channels in ((name, convolutions[name]) for name in quantized):
        stored, scale, zero = (constants[key] for key in weights[name].input)
        assert stored.dtype == np.int8 and scale.shape == (channels,) and not zero.any()
    activations = [n for n in model.graph.node if n.op_type == "QuantizeLinear"]
    assert {constants[n.input[2]].dtype for n in activations} == {np.dtype(np.uint8)}
    assert {entry.key: entry.value for entry in model.metadata_props} == {
        "labels": "neutral,happy,sad,angry"
    }


@pytest.mark.parametrize("instruction_set", WEIGHT_BITS)
def test_weights_have_the_bits_of_the_instruction_set(
    faces, tmp_path: Path, instruction_set: InstructionSet
) -> None:
    bundle, dataset = faces()
    ranges = calibrated(bundle, dataset).ranges
    model = onnx.load(bundle.role("face").path())
    small = quantize(model, ranges, preset_for("face"), instruction_set=instruction_set)
    constants = {t.name: onnx.numpy_helper.to_array(t) for t in small.graph.initializer}
    weights = [array for array in constants.values() if array.dtype == np.int8 and array.ndim > 1]
    assert len(weights) == 3
    bits = WEIGHT_BITS[instruction_set]
    for stored in weights:
        assert 2 ** (bits - 1) - 1 <= np.abs(stored.astype(int)).max() <= 2 ** (bits - 1)


def test_tensorrt_gets_symmetric_eight_bits_that_are_legal_and_not_timed(
    faces, tmp_path: Path
) -> None:
    candidate, _, path = run(*faces(), tmp_path, target="tensorrt")
    assert candidate.accepted, candidate.reasons
    assert violations(onnx.load(path)) == []
    assert candidate.comparison is not None and candidate.comparison.small.median_ms is None


def test_half_precision_has_float_at_its_borders(faces, tmp_path: Path) -> None:
    bundle, material = faces()
    trial = PrecisionTrial(
        bundle, "face", sample(material.dev, 400, 0), request(material, BY_SIZE), tmp_path
    )
    candidate = trial.fp16(tmp_path / "half.onnx")
    assert candidate.accepted, candidate.reasons
    found = candidate.comparison
    assert found is not None and found.agreement > 0.99
    assert found.small.bytes < 0.65 * found.full.bytes
    engine = OnnxEngine(tmp_path / "half.onnx")
    assert engine.inputs == bundle.role("face").engine().inputs
    assert engine.metadata == bundle.role("face").engine().metadata


def test_the_same_inputs_give_the_same_bytes(faces, tmp_path: Path) -> None:
    bundle, material = faces()
    _, _, path = run(bundle, material, tmp_path)
    before = path.read_bytes()
    _, _, path = run(bundle, material, tmp_path)
    assert path.read_bytes() == before


def test_a_calibration_comes_back_from_its_file(faces, tmp_path: Path) -> None:
    bundle, material = faces()
    found = calibrated(bundle, material)
    path = found.save(tmp_path / "found")
    before = path.read_bytes()
    assert calibrated(bundle, material).save(tmp_path / "found").read_bytes() == before
    assert load(tmp_path / "found", "face", bundle) == found
    assert found.facts()["samples"] == 64
    other, _ = faces(outlier=2.0)
    with pytest.raises(InputError, match="measured on another face model"):
        load(tmp_path / "found", "face", other)
    path.write_text(path.read_text()[:100])
    with pytest.raises(InputError, match=r"face\.json cannot be read"):
        load(tmp_path / "found", "face", bundle)


def test_sensitivity_rescues_a_fragile_model(faces, tmp_path: Path) -> None:
    bundle, material = faces(outlier=3000.0)
    candidate, trial, path = run(bundle, material, tmp_path)
    assert candidate.accepted, candidate.reasons
    assert set(candidate.float_layers) == {"conv1", "conv2"}
    costs = {cost.block[0]: cost.divergence for cost in trial.costs}
    assert min(costs["conv1"], costs["conv2"]) > 5 * costs["embed"]
    assert candidate.comparison is not None and candidate.comparison.drop <= 0.5
    assert prove(bundle.role("face").path(), path, candidate.float_layers).layers == 1


def test_the_gate_refuses_what_cannot_be_rescued(faces, tmp_path: Path) -> None:
    bundle, material = faces(outlier=3000.0)
    limits = AcceptanceLimits(max_drop=-50.0, prefer="size")
    candidate, _, _ = run(bundle, material, tmp_path, limits)
    assert not candidate.accepted
    assert "the task metric drops by" in candidate.reasons[0]


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
        calibrated(bundle, Dataset(wrong, material.dev))
