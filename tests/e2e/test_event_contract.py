"""What `predict` and `run` really write fits the published schema, is counted and read back."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from mera_edge import __version__
from mera_edge.events import EmotionEvent, Summary

SCHEMA = Path(__file__).parents[2] / "docs" / "event.schema.json"


@pytest.fixture(scope="module")
def published() -> Draft202012Validator:
    return Draft202012Validator(json.loads(SCHEMA.read_text(encoding="utf-8")))


def check(out: str, published: Draft202012Validator) -> list[EmotionEvent]:
    *lines, end = out.splitlines()
    events = [EmotionEvent.from_json(line) for line in lines]
    assert Summary.from_json(end).events == len(events)
    for line in (*lines, end):
        published.validate(json.loads(line))
        assert "emotion" in json.loads(line)
    assert [event.sequence for event in events] == list(range(len(events)))
    assert len({event.run for event in events}) == 1
    first, *others = events
    assert first.about is not None
    assert first.about.version == __version__
    assert not any(event.about for event in others)
    for event in events:
        for modality in event.modalities.values():
            assert (modality.state == "missing") == (modality.reason_code is not None)
    return events


def test_predict(cli: Callable, media: Callable, published: Draft202012Validator) -> None:
    one, two = (check(cli("predict", media(), "--json").out, published) for _ in range(2))
    assert one[0].run != two[0].run
    assert one[0].about == two[0].about
    assert any(event.emotion is None for event in one)


def test_run_of_two_rooms(
    cli: Callable, media: Callable, published: Draft202012Validator, tmp_path: Path
) -> None:
    config = tmp_path / "config.toml"
    rooms = [f'[[room]]\nname = "{name}"\ncamera = "{media()}"\n' for name in ("Hall", "客厅")]
    config.write_text('sink = "-"\n' + "".join(rooms), encoding="utf-8")
    events = check(cli("run", "--config", config).out, published)
    assert {(event.room, event.room_id) for event in events} == {("Hall", "hall"), ("客厅", "客厅")}
