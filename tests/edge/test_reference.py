"""The reference in docs/ is what the code says, and its example works."""

from __future__ import annotations

import json
import runpy
from pathlib import Path

import pytest
from pydantic import BaseModel

from mera_edge.cli import main
from mera_edge.config import TABLES, Settings, load
from mera_edge.events import EmotionEvent, Modality, Summary

DOCS = Path(__file__).parents[2] / "docs"


def test_the_reference_is_up_to_date() -> None:
    pages = runpy.run_path(str(DOCS / "make_reference.py"))["pages"]()
    for path, text in pages.items():
        assert path.read_text(encoding="utf-8") == text, "run: python docs/make_reference.py"


def test_the_schema_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["events", "schema"])
    assert not ended.value.code
    printed = json.loads(capsys.readouterr().out)
    assert printed == json.loads((DOCS / "event.schema.json").read_text(encoding="utf-8"))


def test_the_example_is_a_configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "hall.password").write_text("p@ss/word\n")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    hall, study = load(DOCS / "config.toml", {}, {}).rooms
    assert (hall.id, study.id) == ("hall", "study")
    assert hall.addresses()[0] == "rtsp://cam:p%40ss%2Fword@10.0.0.7:554/stream1"


@pytest.mark.parametrize("model", [Settings, *TABLES.values(), EmotionEvent, Summary, Modality])
def test_every_field_is_described(model: type[BaseModel]) -> None:
    assert all(field.description for field in model.model_fields.values())
