"""What may be sold, and what may not get into a bundle that is."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from mera_edge.bundle import Bundle
from mera_edge.bundle.catalogue import catalogue
from mera_edge.bundle.licence import use


@pytest.mark.parametrize(
    ("licence", "allowed"),
    [
        ("MIT", "commercial"),
        ("Apache-2.0", "commercial"),
        ("CC-BY-4.0 AND MIT", "commercial"),
        ("CC-BY-NC-SA-4.0", "non-commercial"),
        ("research (pictures of the web)", "non-commercial"),
        ("MIT AND CC-BY-NC-4.0", "non-commercial"),
        ("mine", "unknown"),
        ("MIT, but ask first", "unknown"),
        ("MIT OR GPL-3.0", "unknown"),
        ("unknown", "unknown"),
        ("", "unknown"),
    ],
)
def test_licences_map_to_their_permitted_use(licence: str, allowed: str) -> None:
    assert use(licence) == allowed


def test_every_shipped_model_has_a_class_and_the_free_published_ones_are_commercial() -> None:
    shipped = {use(role.licence) for role in Bundle.open().manifest.roles.values()}
    assert shipped == {"non-commercial"}
    published = {name: use(model.licence) for name, model in catalogue().items()}
    assert published["yunet"] == published["moonshine-tiny-en"] == "commercial"


def test_a_commercial_bundle_refuses_the_rest_before_it_exports(tmp_path) -> None:
    out = tmp_path / "bundle"
    command = [sys.executable, "-m", "mera_edge", "export", "--licence", "commercial"]
    asked = subprocess.run(
        [*command, "--role", "vad", "--role", "fusion", "--out", str(out)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert asked.returncode == 1, asked.stderr
    said = " ".join(asked.stderr.split())
    assert "vad (non-commercial: CC-BY-NC-SA-4.0)" in said
    assert "fusion (non-commercial" in said
    assert not out.exists()


def test_models_list_shows_the_class() -> None:
    command = [sys.executable, "-m", "mera_edge", "models", "list", "--json"]
    facts = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
    assert {role["use"] for role in facts["roles"].values()} == {"non-commercial"}
