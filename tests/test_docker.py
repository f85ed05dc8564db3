"""What can be known of the images without Docker. They are *not built* here."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sysconfig
from pathlib import Path

import pytest
import yaml

from mera_edge.config import load

DOCKER = Path(__file__).parents[1] / "docker"
FILES = sorted(DOCKER.rglob("*Dockerfile"))


def hadolint() -> str:
    spec = importlib.util.find_spec("pytest")
    beside = Path(spec.origin).parents[4] / "bin" if spec and spec.origin else Path()
    places = [Path(sysconfig.get_path("scripts")), beside]
    return str(next(p / "hadolint" for p in places if (p / "hadolint").exists()))


@pytest.mark.parametrize("file", FILES, ids=lambda path: str(path.relative_to(DOCKER)))
def test_dockerfiles_pass_hadolint(file: Path) -> None:
    found = subprocess.run([hadolint(), str(file)], capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stdout


@pytest.mark.parametrize("file", sorted(DOCKER.glob("*Dockerfile")), ids=lambda path: path.name)
def test_images_run_unprivileged_and_copy_existing_files(file: Path) -> None:
    text = re.sub(r"\\\n\s*", " ", file.read_text(encoding="utf-8"))
    assert re.findall(r"^USER (\S+)$", text, re.MULTILINE) == ["10001"]
    for line in re.findall(r"^COPY (?!--from)(.+)$", text, re.MULTILINE):
        for source in line.split()[:-1]:
            assert (DOCKER.parent / source).exists(), source
    assert "import tensorrt" not in text


def test_the_composed_room_has_a_configuration_that_is_read() -> None:
    services = yaml.safe_load((DOCKER / "compose.yaml").read_text(encoding="utf-8"))["services"]
    assert set(services) == {"mera-edge", "mosquitto", "prometheus"}
    assert services["mera-edge"]["read_only"] is True
    targets = [sink.to for sink in load(DOCKER / "config.toml").sink]
    assert "mqtt://mosquitto" in targets
    for name in ("mosquitto.conf", "prometheus.yaml"):
        assert (DOCKER / name).is_file()
