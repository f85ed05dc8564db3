"""What cannot work together is said in one sentence with the remedy; and which board this is."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from mera_edge.doctor.installation import installation
from mera_edge.host.board import board


def root(tmp_path: Path, memory_kb: int = 8_000_000, jetson: str = "") -> Path:
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc" / "meminfo").write_text(f"MemTotal:       {memory_kb} kB\n")
    (tmp_path / "etc").mkdir()
    if jetson:
        (tmp_path / "etc" / "nv_tegra_release").write_text(jetson)
    return tmp_path


JETPACK_6 = "# R36 (release), REVISION: 4.3, GCID: 38968081, BOARD: generic"


@pytest.mark.parametrize(
    ("installed", "facts", "what", "remedy"),
    [
        ({}, {"python": (3, 9)}, "3.9 is not supported", "Python 3.10 to 3.13"),
        ({}, {"python": (3, 14)}, "3.14 is not supported", "Python 3.10 to 3.13"),
        ({}, {"bits": 32}, "32-bit", "64-bit operating system"),
        (
            {"opencv-python": "4.10", "opencv-python-headless": "4.14"}, {},
            "opencv-python and opencv-python-headless overwrite each other",
            "pip uninstall opencv-python opencv-python-headless",
        ),
        (
            {"onnxruntime": "1.23.2", "onnxruntime-gpu": "1.23.0"}, {},
            "overwrite each other", "pip install onnxruntime",
        ),
    ],
)  # fmt: skip
def test_what_cannot_work_fails_with_its_remedy(
    installed: dict[str, str], facts: dict, what: str, remedy: str, tmp_path: Path
) -> None:
    failed = [c for c in installation(installed, root(tmp_path), **facts) if c.state == "fail"]
    assert [(what in c.found, remedy in c.remedy) for c in failed] == [(True, True)]


@pytest.mark.parametrize(("numpy", "fails"), [("2.2.6", True), ("1.26.4", False)])
def test_numpy_2_beside_the_runtime_of_jetpack_6(numpy: str, fails: bool, tmp_path: Path) -> None:
    there = {"onnxruntime-gpu": "1.23.0", "numpy": numpy}
    found = [c for c in installation(there, root(tmp_path, jetson=JETPACK_6)) if c.state == "fail"]
    assert [c.remedy for c in found] == ["run: pip install 'numpy<2'"] * fails


@pytest.mark.parametrize(("kb", "state"), [(480_000, "fail"), (980_000, "note"), (4_000_000, "ok")])
def test_little_memory_is_pointed_out(kb: int, state: str, tmp_path: Path) -> None:
    (memory,) = installation({}, root(tmp_path, kb))
    assert (memory.what, memory.state, bool(memory.remedy)) == ("memory", state, state != "ok")


@pytest.mark.parametrize(
    ("said", "wanted"),
    [
        (
            "libGL.so.1: cannot open shared object file: No such file or directory",
            "this system lacks the library libGL.so.1",
        ),
        ("cannot import name 'x'", "ImportError"),
    ],
)
def test_a_library_that_the_system_lacks_is_named(said: str, wanted: str) -> None:
    code = (
        f"from mera_edge.cli.console import reported\nwith reported(): raise ImportError({said!r})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert wanted in " ".join(done.stderr.split())


def test_a_board_is_described_without_its_owner(tmp_path: Path) -> None:
    tree = root(tmp_path, jetson=JETPACK_6)
    (tree / "proc" / "device-tree").mkdir()
    (tree / "proc" / "device-tree" / "model").write_bytes(b"NVIDIA Jetson Orin Nano\0")
    (tree / "etc" / "os-release").write_text('NAME="Ubuntu"\nPRETTY_NAME="Ubuntu 22.04.5 LTS"\n')
    facts = board(tree)
    assert facts["model"] == "NVIDIA Jetson Orin Nano"
    assert facts["jetson_linux"] == "36.4.3"
    assert facts["system"] == "Ubuntu 22.04.5 LTS"
    assert facts["memory_mb"] == 8192
    assert board(tmp_path / "nothing")["model"] is None


def test_a_bench_to_share_names_the_board_and_no_path(tmp_path: Path) -> None:
    page = tmp_path / "board.html"
    command = [sys.executable, "-m", "mera_edge", "bench", "--passes", "1", "--share", str(page)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    text = page.with_suffix(".json").read_text()
    facts = json.loads(text)
    assert facts["schema"] == "mera-edge/board/1"
    assert facts["results"][0]["compute_ms"]["p50"] > 0
    assert facts["board"]["cores"] == os.cpu_count()
    for secret in (os.uname().nodename, str(tmp_path), str(Path.home()) + "/"):
        assert secret not in text
        assert secret not in page.read_text()


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        ("mera-edge models pull moon", "moonshine-tiny-en"),
        ("mera-edge models show fa", "face_detector"),
        ("mera-edge evaluate fu", "fused"),
        ("mera-edge run --provider face=open", "face=openvino"),
        ("mera-edge run --asr sherpa:zipformer-z", "sherpa:zipformer-zh"),
        ("mera-edge run --set budg", "budget_ms="),
        ("mera-edge train fa", "face"),
        ("mera-edge export --role vo", "voice"),
        ("mera-edge evaluate face --published face=", "face=ferplus"),
        ("mera-edge doctor --set privacy.tr", "privacy.transcript="),
    ],
)
def test_the_shell_completes_roles_models_and_keys(words: str, wanted: str) -> None:
    asked = {"_MERA_EDGE_COMPLETE": "complete_zsh", "_TYPER_COMPLETE_ARGS": words}
    code = "from mera_edge.cli import app; app(prog_name='mera-edge')"
    done = subprocess.run(
        [sys.executable, "-c", code], env=os.environ | asked, capture_output=True, text=True
    )  # fmt: skip
    assert wanted in done.stdout.replace("\\", ""), done.stdout + done.stderr
