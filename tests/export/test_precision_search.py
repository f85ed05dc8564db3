"""A whole bundle made smaller: what goes into it, what is refused, what the report says."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from mera_calibration.calibration import calibrate
from mera_calibration.precision_search import PrecisionSearch
from mera_calibration.quality_gate import AcceptanceLimits
from mera_calibration.report import SCHEMA, Report
from mera_calibration.request import Dataset, PrecisionRequest
from mera_edge.bundle import Bundle, RoleName
from mera_edge.errors import InputError
from mera_export.datasets import Corpora
from mera_export.fusion_check import Fused
from mera_export.legality import violations

BY_SIZE: dict[str, Any] = {"limits": AcceptanceLimits(prefer="size"), "samples": 64}


def search(bundle: Bundle, dataset: Dataset | None, **options: Any) -> tuple[Report, Bundle]:
    """Search in place, as `export_bundle` lets it."""
    datasets = None if dataset is None else lambda role, full: dataset
    request = PrecisionRequest(
        datasets=datasets,
        tensorrt_violations=lambda model: [v.what for v in violations(model)],
        **options,
    )
    found = PrecisionSearch(request).run(bundle)
    (bundle.directory / "bundle.json").write_text(found.bundle.manifest.to_json())
    return found.report, Bundle.open(bundle.directory)


def test_a_bundle_is_refined_and_the_report_tells(faces, tmp_path: Path) -> None:
    found, bundle = search(*faces(), **BY_SIZE)
    entry = bundle.role("face").entry
    assert entry.precision == "int8" and entry.tensorrt is None
    facts = entry.metrics["int8"]
    assert facts["split"] == "dev" and facts["n"] == 400 and set(facts) >= {"fp32", "int8"}
    assert entry.calibration["int8"]["gate"] == "passed"
    assert "median_ms" not in str(facts), "times would make every bundle another one"
    assert found.refused(["face"]) == []
    found.save(tmp_path / "report")
    text = (tmp_path / "report" / "export.md").read_text()
    assert "| face | cpu | INT8 | accepted | 400 | accuracy |" in text
    assert "64 training samples" in text
    facts = json.loads((tmp_path / "report" / "export.json").read_text())
    assert facts["schema"] == SCHEMA
    candidate = facts["roles"]["face"]["candidates"][0]
    assert candidate["proof"]["layers"] + len(candidate["float_layers"]) == 3
    picture = ElementTree.fromstring((tmp_path / "report" / "export.svg").read_text())
    words = " ".join(element.text or "" for element in picture.iter())
    assert "face" in words and "accuracy" in words


def test_two_targets_get_two_files(faces, tmp_path: Path) -> None:
    _, bundle = search(*faces(), **BY_SIZE, targets=("cpu", "tensorrt"))
    entry = bundle.role("face").entry
    assert (entry.precision, entry.tensorrt) == ("int8", "int8")
    assert entry.files["model"].path != entry.files["tensorrt"].path
    assert entry.metrics["tensorrt_int8"]["int8"]["bytes"] == entry.files["tensorrt"].bytes


def test_tensorrt_without_int8_gets_half_precision(faces, tmp_path: Path) -> None:
    _, bundle = search(*faces(), **BY_SIZE, int8=False, targets=("tensorrt",))
    entry = bundle.role("face").entry
    assert (entry.precision, entry.tensorrt) == ("fp32", "fp16"), "the CPU keeps full precision"


def test_tensorrt_falls_back_to_half_precision(faces, tmp_path: Path) -> None:
    limits = AcceptanceLimits(-0.001, prefer="size")
    found, _ = search(*faces(outlier=3000.0), samples=64, limits=limits, targets=("tensorrt",))
    (outcome,) = found.outcomes
    assert not outcome.candidates[0].accepted
    assert [a.precision for a in outcome.candidates] == ["int8", "fp16"]
    assert found.refused(["face"]) == ["no INT8 for face on tensorrt"]
    assert found.refused([]) == [], "who does not ask for a role by name accepts its fallback"


def test_a_refused_model_is_not_left_in_the_bundle(faces, tmp_path: Path) -> None:
    bundle, dataset = faces(outlier=3000.0)
    before = (bundle.directory / "face.onnx").read_bytes()
    _, bundle = search(
        bundle, dataset, samples=64, limits=AcceptanceLimits(max_drop=-50.0, prefer="size")
    )
    assert bundle.role("face").entry.precision == "fp32"
    assert (bundle.directory / "face.onnx").read_bytes() == before
    assert {path.name for path in bundle.directory.iterdir()} == {"bundle.json", "face.onnx"}
    assert {path.name for path in tmp_path.iterdir()} == {"full"}


def test_without_int8_the_report_has_full_precision(faces, tmp_path: Path) -> None:
    found, bundle = search(*faces(), **BY_SIZE, int8=False)
    assert bundle.role("face").entry.precision == "fp32"
    found.save(tmp_path / "report")
    text = (tmp_path / "report" / "export.md").read_text()
    assert "| face | cpu | FP32 |  | 400 | accuracy |" in text


def test_without_a_gate_the_bundle_says_so(faces, tmp_path: Path) -> None:
    bundle, dataset = faces()
    blind = Dataset(dataset.train, [])
    with pytest.raises(InputError, match=r"no dev examples for face.*--no-gate"):
        search(bundle, blind, **BY_SIZE)
    found, bundle = search(bundle, blind, **BY_SIZE, gate=False)
    entry = bundle.role("face").entry
    assert entry.precision == "int8"
    assert entry.calibration["int8"]["gate"] == "not checked"
    assert "int8" not in entry.metrics
    found.save(tmp_path / "report")
    assert "without a gate" in (tmp_path / "report" / "export.md").read_text()


def test_a_calibration_from_a_file_needs_no_dataset(faces, tmp_path: Path) -> None:
    bundle, dataset = faces()
    found = calibrate(bundle, "face", dataset.train, count=64)
    found.save(tmp_path / "ranges")
    _, bundle = search(bundle, None, **BY_SIZE, gate=False, calibrations=tmp_path / "ranges")
    entry = bundle.role("face").entry
    assert entry.precision == "int8"
    assert entry.calibration["int8"]["sha256"] == found.drawn["sha256"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"ranges": "guess"}, "'guess' for --ranges"),
        ({"limits": AcceptanceLimits(prefer="beauty")}, "'beauty' for --prefer"),  # type: ignore[arg-type]
        ({"targets": ("abacus",)}, "'abacus' for --target"),
        ({"samples": 0}, "at least one"),
        ({"instruction_set": "abacus"}, "'abacus' for --cpu"),
        ({"gated": ("fusion",)}, "'fusion' for --gate"),
        ({"gated": ("face",), "gate": False}, "mutually exclusive"),
        ({"gated": ("face",), "roles": ("text",)}, "face is not exported"),
    ],
)
def test_options_that_make_no_sense_are_named(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        PrecisionRequest(**options)


def test_a_role_that_was_not_asked_for_stays_as_it_is(faces, tmp_path: Path) -> None:
    bundle, dataset = faces()
    before = bundle.manifest
    found, bundle = search(bundle, dataset, **BY_SIZE, roles=("voice",))
    assert bundle.manifest == before
    assert found.outcomes == ()


def test_one_role_is_compared_without_the_others(faces, tmp_path: Path) -> None:
    bundle, dataset = faces()
    calibrate(bundle, "face", dataset.train, count=64).save(tmp_path / "r")
    given = {**BY_SIZE, "calibrations": tmp_path / "r"}
    _, bundle = search(bundle, Dataset([], []), **given, gated=("voice",))
    entry = bundle.role("face").entry
    assert entry.calibration["int8"]["gate"] == "not checked"
    bundle, dataset = faces()
    _, bundle = search(bundle, dataset, **given, gated=("face",))
    assert bundle.role("face").entry.calibration["int8"]["gate"] == "passed"


def test_the_bundle_names_the_instruction_set(faces, tmp_path: Path) -> None:
    _, bundle = search(*faces(), **BY_SIZE, gate=False, instruction_set="arm64")
    assert bundle.role("face").entry.calibration["int8"]["instruction_set"] == "arm64"


@pytest.mark.parametrize(
    ("options", "roles", "missing"),
    [
        ({}, ["face"], "face: ferplus.zip"),
        ({}, ["face", "text"], "face: ferplus.zip; text: text.zip"),
        ({"roles": ("text",)}, ["face", "text"], "corpora are missing: text: text.zip"),
        ({"calibrations": Path("r"), "gated": ("text",)}, ["face", "text"], "missing: text: text"),
        ({}, ["voice"], "voice: .*crema_d"),
        ({}, ["asr"], "asr: speechocean762"),
        ({"calibrations": Path("r"), "gate": False}, ["face", "text"], None),
        ({}, ["vad", "fusion"], None),
    ],
)
def test_missing_corpora_are_named_before_the_start(
    tmp_path: Path, options: dict[str, Any], roles: list[RoleName], missing: str | None
) -> None:
    request = PrecisionRequest(datasets=Corpora(tmp_path), **options)
    if missing is None:
        request.require_corpora(roles)
        return
    with pytest.raises(InputError, match=missing):
        request.require_corpora(roles)


def test_the_fused_answer_needs_all_corpora(tmp_path: Path) -> None:
    roles: list[RoleName] = ["voice", "face", "text", "fusion"]
    request = PrecisionRequest(datasets=Corpora(tmp_path), fused=Fused(tmp_path))
    with pytest.raises(InputError, match=r"fused: .*urbansound_noise, ferplus\.zip, text\.zip"):
        request.require_corpora(roles)
    some = PrecisionRequest(
        datasets=Corpora(tmp_path),
        fused=Fused(tmp_path),
        gated=("face",),
        calibrations=tmp_path,
    )
    assert not some.compares_fused(roles)
    (tmp_path / "ferplus.zip").touch()
    some.require_corpora(roles)


def test_the_quality_gate_is_refused_on_processors_without_vnni(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("mera_calibration.request.is_exact", lambda: False)
    given: dict[str, Any] = {"calibrations": Path("ranges"), "datasets": Corpora(Path("data"))}
    with pytest.raises(InputError, match="no VNNI"):
        PrecisionRequest(**given, instruction_set="arm64")
    PrecisionRequest(**given, instruction_set="arm64", gate=False)
    PrecisionRequest(**given)
