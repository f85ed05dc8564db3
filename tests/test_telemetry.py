"""What the runtime installs and loads has no way out, and no wish to go there."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, requires
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[1]
PACKAGES = {
    "mera_edge": ROOT / "edge",
    "mera_train": ROOT / "train",
    "mera_export": ROOT / "export",
    "mera_calibration": ROOT / "calibration",
}
REPORTS = {"onnxruntime"}
"""What reports to its maker unless the environment forbids it when it is loaded."""
CLIENTS = {
    "aiohttp", "anyio", "boto3", "hf-xet", "httpcore", "httpcore2", "httpx", "httpx2",
    "huggingface-hub", "pycurl", "requests", "tornado", "urllib3", "websockets",
}  # fmt: skip


@pytest.mark.parametrize(
    ("package", "set_to"),
    [*((package, None) for package in PACKAGES), *(("mera_edge", to) for to in ("", "false", "0"))],
)
def test_every_package_forbids_reports_before_anything_is_loaded(
    package: str, set_to: str | None
) -> None:
    environment = {k: v for k, v in os.environ.items() if k not in ("CI", "ORT_DISABLE_TELEMETRY")}
    if set_to is not None:
        environment["ORT_DISABLE_TELEMETRY"] = set_to
    code = (
        f"import os, sys, {package};"
        "print(os.environ['ORT_DISABLE_TELEMETRY'], 'onnxruntime' in sys.modules)"
    )
    told = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    assert told.stdout.split() == ["0" if set_to == "0" else "1", "False"]


def test_scripts_import_our_packages_before_telemetry_libraries() -> None:
    inside = [path for folder in PACKAGES.values() for path in folder.rglob("*.py")]
    scripts = [*(ROOT / "benchmarks").rglob("*.py"), ROOT / "tests" / "conftest.py"]
    assert {path for path in inside if REPORTS & set(_imports(path))}
    for path in scripts:
        order = _imports(path)
        if REPORTS & set(order) or path.name == "conftest.py":
            ours = next(place for place, name in enumerate(order) if name in PACKAGES)
            assert not REPORTS & set(order[:ours]), path


def _imports(path: Path) -> list[str]:
    """Every package that a file imports, in the order of its lines."""
    nodes = sorted(
        (node for node in ast.walk(ast.parse(path.read_text())) if hasattr(node, "lineno")),
        key=lambda node: node.lineno,
    )
    found = []
    for node in nodes:
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and not node.level:
            found.append(node.module or "")
    return [name.split(".")[0] for name in found]


def test_the_runtime_installs_no_client_of_a_network() -> None:
    declared = _declared()
    assert {"numpy", "onnxruntime", "regex"} <= declared
    closure: set[str] = set()
    waiting = declared
    while waiting:
        name = waiting.pop()
        if name not in closure:
            closure.add(name)
            waiting |= _needs(name)
    assert not closure & CLIENTS, f"{closure & CLIENTS} among {sorted(closure)}"


def _declared() -> set[str]:
    """Return what ``pyproject.toml`` asks for without extras."""
    text = (ROOT / "pyproject.toml").read_text()
    listed = text.split("\ndependencies = [", 1)[1].split("\n]", 1)[0]
    return {_name(Requirement(asked)) for asked in re.findall(r'^ +"([^"]+)"', listed, re.M)}


def _needs(package: str) -> set[str]:
    try:
        asked = [Requirement(text) for text in requires(package) or []]
    except PackageNotFoundError:  # for another Python or system than this one
        return set()
    return {_name(r) for r in asked if r.marker is None or r.marker.evaluate({"extra": ""})}


def _name(requirement: Requirement) -> str:
    return re.sub(r"[-_.]+", "-", requirement.name).lower()
