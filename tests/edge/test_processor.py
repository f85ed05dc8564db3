"""INT8 weights of 8 bits are for processors that multiply them exactly."""

from __future__ import annotations

from pathlib import Path

import pytest

from mera_edge.bundle import Bundle, RoleEntry, processor
from mera_edge.errors import BundleError


def entry(bundle: Bundle, precision: str, **facts: str) -> RoleEntry:
    found = bundle.role("face").entry
    return found.model_copy(update={"precision": precision, "calibration": {"int8": facts}})


@pytest.mark.parametrize(
    ("machine", "flags", "exact"),
    [
        ("x86_64", "fpu avx2", False),
        ("AMD64", "fpu avx2 avx_vnni", True),
        ("x86_64", "avx512_vnni", True),
        ("aarch64", "", True),
    ],
)
def test_x86_is_exact_with_vnni_only(machine: str, flags: str, exact: bool, tmp_path: Path) -> None:
    (tmp_path / "cpuinfo").write_text(f"flags : {flags}\n")
    assert processor.is_exact(machine, tmp_path / "cpuinfo") is exact
    assert processor.is_exact(machine, tmp_path / "missing") is (machine == "aarch64")


@pytest.mark.parametrize(
    ("precision", "facts", "fits"),
    [
        ("int8", {"instruction_set": "arm64"}, False),
        ("int8", {"instruction_set": "x86"}, True),
        ("int8", {}, True),
        ("fp32", {"instruction_set": "arm64"}, True),
    ],
)
def test_a_model_for_another_processor_is_refused(
    precision: str, facts: dict[str, str], fits: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processor, "is_exact", lambda: False)
    bundle = Bundle.open()
    roles = {**bundle.manifest.roles, "face": entry(bundle, precision, **facts)}
    manifest = bundle.manifest.model_copy(update={"roles": roles})
    role = Bundle(bundle.directory, manifest).role("face")
    if fits:
        role.engine()
        return
    with pytest.raises(BundleError, match=r"no VNNI.*--cpu x86"):
        role.engine()
