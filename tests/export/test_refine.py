"""A whole bundle made smaller: what goes into it, what is refused, what the report says."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest
from rich.console import Console

from mera_calibration.calibration import calibrate
from mera_calibration.gate import Limits
from mera_edge.bundle import Bundle
from mera_edge.errors import InputError
from mera_export import report
from mera_export.material import Material
from mera_export.quantize import PRESETS
from mera_export.refine import Options, Refinement

QUIET = Console(quiet=True)
BY_SIZE = Options(limits=Limits(prefer="size"), samples=64)


def refine(
    bundle: Bundle, material: Material, options: Options, data: Path | None, **more: object
) -> tuple[Refinement, Bundle]:
    """Refine in place, as `export_bundle` lets it."""
    found = Refinement(options, data, None, QUIET, lambda role, where, given: material)
    entries = {**bundle.manifest.roles, **found(bundle)}
    manifest = bundle.manifest.model_copy(update={"roles": entries})
    (bundle.directory / "bundle.json").write_text(manifest.to_json())
    return found, Bundle.open(bundle.directory)


def test_a_bundle_is_refined_and_the_report_tells(faces, tmp_path: Path) -> None:
    refinement, bundle = refine(*faces(), BY_SIZE, tmp_path)
    entry = bundle.role("face").entry
    assert entry.precision == "int8" and entry.tensorrt is None
    facts = entry.metrics["int8"]
    assert facts["split"] == "dev" and facts["n"] == 400 and set(facts) >= {"fp32", "int8"}
    assert entry.calibration["int8"]["gate"] == "passed"
    assert "median_ms" not in str(facts), "times would make every bundle another one"
    assert refinement.refused(["face"]) == []
    refinement.publish(tmp_path / "report")
    text = (tmp_path / "report" / "export.md").read_text()
    assert "| face | cpu | INT8 | taken | 400 | accuracy |" in text
    assert "64 training samples" in text
    facts = json.loads((tmp_path / "report" / "export.json").read_text())
    assert facts["schema"] == report.SCHEMA
    attempt = facts["roles"]["face"]["attempts"][0]
    assert attempt["proof"]["layers"] + len(attempt["left"]) == 3
    picture = ElementTree.fromstring((tmp_path / "report" / "export.svg").read_text())
    words = " ".join(element.text or "" for element in picture.iter())
    assert "face" in words and "accuracy" in words


def test_two_targets_get_two_files(faces, tmp_path: Path) -> None:
    options = replace(BY_SIZE, targets=("cpu", "tensorrt"))
    _, bundle = refine(*faces(), options, tmp_path)
    entry = bundle.role("face").entry
    assert (entry.precision, entry.tensorrt) == ("int8", "int8")
    assert entry.files["model"].path != entry.files["tensorrt"].path
    assert entry.metrics["tensorrt_int8"]["int8"]["bytes"] == entry.files["tensorrt"].bytes


def test_tensorrt_without_int8_gets_half_precision(faces, tmp_path: Path) -> None:
    options = replace(BY_SIZE, int8=False, targets=("tensorrt",))
    _, bundle = refine(*faces(), options, tmp_path)
    entry = bundle.role("face").entry
    assert (entry.precision, entry.tensorrt) == ("fp32", "fp16"), "the CPU keeps full precision"


def test_tensorrt_falls_back_to_half_precision(faces, tmp_path: Path) -> None:
    options = replace(BY_SIZE, targets=("tensorrt",), limits=Limits(-0.001, prefer="size"))
    bundle, material = faces(outlier=3000.0)
    refinement, bundle = refine(bundle, material, options, tmp_path)
    (outcome,) = refinement.outcomes
    assert not outcome.attempts[0].accepted
    assert [a.precision for a in outcome.attempts] == ["int8", "fp16"]
    assert refinement.refused(["face"]) == ["no INT8 for face on tensorrt"]
    assert refinement.refused([]) == [], "who does not ask for a role by name accepts its fallback"


def test_a_refused_model_is_not_left_in_the_bundle(faces, tmp_path: Path) -> None:
    bundle, material = faces(outlier=3000.0)
    options = replace(BY_SIZE, limits=Limits(max_drop=-50.0, prefer="size"))
    before = (bundle.directory / "face.onnx").read_bytes()
    _, bundle = refine(bundle, material, options, tmp_path)
    assert bundle.role("face").entry.precision == "fp32"
    assert (bundle.directory / "face.onnx").read_bytes() == before
    assert {path.name for path in bundle.directory.iterdir()} == {"bundle.json", "face.onnx"}
    assert {path.name for path in tmp_path.iterdir()} == {"full"}


def test_without_int8_the_report_has_full_precision(faces, tmp_path: Path) -> None:
    refinement, bundle = refine(*faces(), replace(BY_SIZE, int8=False), tmp_path)
    assert bundle.role("face").entry.precision == "fp32"
    refinement.publish(tmp_path / "report")
    text = (tmp_path / "report" / "export.md").read_text()
    assert "| face | cpu | FP32 |  | 400 | accuracy |" in text


def test_without_a_gate_the_bundle_says_so(faces, tmp_path: Path) -> None:
    bundle, material = faces()
    blind = Material(material.train, [])
    with pytest.raises(InputError, match=r"no dev material for face.*--no-gate"):
        refine(bundle, blind, BY_SIZE, tmp_path)
    refinement, bundle = refine(bundle, blind, replace(BY_SIZE, gate=False), tmp_path)
    entry = bundle.role("face").entry
    assert entry.precision == "int8"
    assert entry.calibration["int8"]["gate"] == "not checked"
    assert "int8" not in entry.metrics
    refinement.publish(tmp_path / "report")
    assert "without a gate" in (tmp_path / "report" / "export.md").read_text()


def test_a_calibration_from_a_file_needs_no_material(faces, tmp_path: Path) -> None:
    bundle, material = faces()
    found = calibrate(bundle, "face", material.train, PRESETS["face"].operators, count=64)
    found.save(tmp_path / "ranges")
    options = replace(BY_SIZE, gate=False)
    entries = Refinement(options, None, tmp_path / "ranges", QUIET)(bundle)
    assert entries["face"].precision == "int8"
    assert entries["face"].calibration["int8"]["sha256"] == found.drawn["sha256"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (replace(BY_SIZE, ranges="guess"), "--ranges 'guess'"),
        (replace(BY_SIZE, limits=Limits(prefer="beauty")), "--prefer 'beauty'"),  # type: ignore
        (replace(BY_SIZE, targets=("abacus",)), "--target 'abacus'"),
        (replace(BY_SIZE, samples=0), "at least one"),
    ],
)
def test_options_that_make_no_sense_are_named(options: Options, message: str) -> None:
    with pytest.raises(InputError, match=message):
        options.check()
