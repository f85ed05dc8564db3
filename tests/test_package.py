"""The wheel: what it says about itself, what is in it, and that it is built the same again."""

from __future__ import annotations

import hashlib
import os
import re
import zipfile
from email.message import Message
from email.parser import Parser
from pathlib import Path

import pytest
from hatchling import build

ROOT = Path(__file__).parents[1]
LOCK = ROOT / "requirements.lock"


def built(out: Path, umask: int) -> Path:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(ROOT)
        before = os.umask(umask)
        try:
            return out / build.build_wheel(str(out))
        finally:
            os.umask(before)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return built(tmp_path_factory.mktemp("wheel"), 0o022)


@pytest.fixture(scope="module")
def metadata(tmp_path_factory: pytest.TempPathFactory) -> Message:
    out = tmp_path_factory.mktemp("metadata")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(ROOT)
        name = build.prepare_metadata_for_build_wheel(str(out))
    return Parser().parsestr((out / name / "METADATA").read_text(encoding="utf-8"))


def test_the_weights_have_a_licence_of_their_own_and_both_texts_travel(metadata: Message) -> None:
    code, weights = metadata["License-Expression"].split(" AND ")
    assert code == "Apache-2.0"
    assert weights.startswith("LicenseRef-")
    assert metadata.get_all("License-File") == ["LICENSE", "MODEL_LICENSES.md"]


def test_its_description_has_no_link_that_leads_nowhere(metadata: Message) -> None:
    description = metadata.get_payload()
    assert "Non-commercial" in description or "non-commercial" in description
    links = re.findall(r"\]\(([^)]+)\)", description)
    assert not [link for link in links if not link.startswith("https://")]


def test_two_builds_give_the_same_bytes(wheel: Path, tmp_path: Path) -> None:
    again = built(tmp_path, 0o077)
    assert again.name == wheel.name
    first, second = (hashlib.sha256(path.read_bytes()).hexdigest() for path in (wheel, again))
    assert first == second


def test_it_holds_what_an_installation_needs_and_no_more(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    packages = {name.split("/")[0] for name in names if not re.match(r"[^/]*\.dist-info/", name)}
    assert packages == {"mera_edge", "mera_train", "mera_calibration", "mera_export"}
    bundle = ROOT / "edge" / "mera_edge" / "bundle" / "default"
    held = {Path(name).name for name in names if name.startswith("mera_edge/bundle/default/")}
    assert held == {path.name for path in bundle.iterdir()}
    configurations = {
        str(path.relative_to(ROOT / "train" / "configs"))
        for path in (ROOT / "train" / "configs").rglob("*.yaml")
    }
    assert {
        name.removeprefix("mera_train/configs/")
        for name in names
        if name.startswith("mera_train/configs/") and name.endswith(".yaml")
    } == configurations
    assert not [name for name in names if "test" in name or name.endswith(".safetensors")]


def test_the_lock_is_that_of_the_constraints() -> None:
    pinned = set(re.findall(r"^([\w-]+==[^;\s]+)", (ROOT / "constraints.txt").read_text(), re.M))
    lines = LOCK.read_text(encoding="utf-8").replace("\\\n", " ").splitlines()
    locked = [line for line in lines if "==" in line and "sys_platform == 'win32'" not in line]
    unknown = {line.split()[0] for line in locked} - pinned
    assert not unknown, "run .ci/lock.sh, or pin them in constraints.txt"
    assert all("--hash=sha256:" in line for line in locked)
    needed = {re.split(r"[<>=\[; ]", line)[0] for line in _dependencies()}
    assert needed <= {line.split("==")[0] for line in locked}


def _dependencies() -> list[str]:
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    block = text.split("\ndependencies = [\n", 1)[1].split("\n]", 1)[0]
    return re.findall(r'"([^"]+)"', block)


def test_a_weight_lies_in_the_tree_once() -> None:
    places: dict[str, list[Path]] = {}
    for directory in ("edge", "train", "calibration", "docs"):
        for path in (ROOT / directory).rglob("*"):
            if path.is_file() and not path.is_symlink() and path.stat().st_size > 100_000:
                digest = hashlib.sha256(path.read_bytes()).hexdigest()
                places.setdefault(digest, []).append(path)
    assert [paths for paths in places.values() if len(paths) > 1] == []
