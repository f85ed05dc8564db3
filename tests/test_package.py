"""What the wheel says about itself."""

from __future__ import annotations

import re
from email.message import Message
from email.parser import Parser
from pathlib import Path

import pytest
from hatchling import build

ROOT = Path(__file__).parents[1]


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
