"""What `make` says on a machine that cannot run it: one sentence with the remedy."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def make(folder: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    for name in ("Makefile", "constraints.txt", "pyproject.toml"):
        shutil.copy(ROOT / name, folder)
    given = [f"{name}={value}" for name, value in variables.items()]
    return subprocess.run(
        ["make", "demo", *given], cwd=folder, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize(
    ("pretence", "said"),
    [
        ("sys.version_info = (3, 9)", "Python 3.9 is too old: run make PYTHON=python3.10 or newer"),
        ("sys.version_info = (3, 14)", "Python 3.14 is not supported: run make PYTHON=python3.13"),
        (
            "import struct; struct.calcsize = lambda what: 4",
            "32-bit systems are not supported: install the 64-bit operating system",
        ),
    ],
)
def test_another_python_is_refused(pretence: str, said: str, tmp_path: Path) -> None:
    python = tmp_path / "python"
    python.write_text(
        f'#!/bin/sh\nexec {sys.executable} -c "import sys; {pretence}; exec(sys.argv[1])" "$2"\n'
    )
    python.chmod(0o755)
    done = make(tmp_path, PYTHON=str(python))
    assert done.returncode == 2
    assert said in done.stderr
    assert not (tmp_path / ".venv").exists()


def test_where_pip_cannot_install_it_names_the_wheelhouse(tmp_path: Path) -> None:
    python = tmp_path / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text("#!/bin/sh\nexit 1\n")
    python.chmod(0o755)
    done = make(tmp_path)
    assert done.returncode == 2
    assert "install the wheelhouse of a release: docs/install.md" in done.stderr
