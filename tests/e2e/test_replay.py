"""`--record` and `replay`: the same events from evidence alone."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from mera_edge.bundle import Bundle
from mera_edge.pipeline.mode import Offline
from mera_edge.pipeline.pipeline import Pipeline
from mera_edge.sample import CLIP
from mera_edge.service.clock import VirtualClock
from mera_edge.service.recording import EvidenceRecorder
from mera_edge.service.run_loop import run
from mera_edge.sinks.jsonl import JsonLines
from mera_edge.sources.media import MediaFile


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """A recording of the sample, and the events that were printed when it was made."""
    directory = tmp_path_factory.mktemp("original")
    bundle = Bundle.open()
    pipeline = Pipeline(bundle, Offline())
    pipeline.warm_up()
    sinks = [JsonLines(str(directory / "events.jsonl"))]
    observers = [EvidenceRecorder(directory / "evidence.jsonl", bundle)]
    run(
        pipeline, [MediaFile(CLIP)], VirtualClock(), sinks, threading.Event(),
        file=str(CLIP), observers=observers,
    )  # fmt: skip
    recording, printed = (directory / f"{name}.jsonl" for name in ("evidence", "events"))
    return recording.read_text(), printed.read_text()


@pytest.fixture
def recorded(original: tuple[str, str], tmp_path: Path) -> tuple[Path, str]:
    """The same, the recording as a file that a test may spoil."""
    path = tmp_path / "evidence.jsonl"
    path.write_text(original[0])
    return path, original[1]


def test_a_recorded_run_is_replayed_bit_for_bit(
    cli: Callable, recorded: tuple[Path, str], tmp_path: Path
) -> None:
    path, printed = recorded
    page = tmp_path / "page.html"
    assert cli("replay", path, "--json", "--report", page).out == printed
    assert "sample.mp4" in page.read_text()


def test_replay_is_bit_identical(cli: Callable, media: Callable, tmp_path: Path) -> None:
    path = tmp_path / "evidence.jsonl"
    source = ("--camera", media(), "--mic", "none", "--budget-ms", 10)
    printed = cli("run", *source, "--sink", "-", "--record", path).out
    assert cli("replay", path, "--json").out == printed


def test_neither_sound_nor_pictures_are_recorded(recorded: tuple[Path, str]) -> None:
    path, _ = recorded
    for line in path.read_text().splitlines()[1:-1]:
        assert len(line) < 5000  # a tick's sound alone has 6,400 bytes


def test_a_recording_that_was_cut_off_is_replayed_as_far_as_it_goes(
    cli: Callable, recorded: tuple[Path, str]
) -> None:
    path, printed = recorded
    whole = path.read_text().splitlines(keepends=True)
    path.write_text("".join(whole[:11]) + whole[11][:100])
    *events, summary = cli("replay", path, "--json").out.splitlines()
    assert events == printed.splitlines()[:10]
    assert json.loads(summary)["interrupted"] is True


@pytest.mark.parametrize(
    ("change", "wrong"),
    [
        (lambda text: "", "is empty"),
        (lambda text: "sound\n" + text, "line 1 is not JSON"),
        (lambda text: text.partition("\n")[2], "not a recording of schema"),
        (lambda text: text.replace('"fusion": "', '"fusion": "0', 1), "another fusion model"),
        (lambda text: text.replace('"now_s": 0.4', '"then": 0.4', 1), "line 3: not a valid tick"),
        (lambda text: text.replace('"captured_s"', '"at"', 1), "not a valid tick"),
    ],
)
def test_invalid_recording_is_refused(
    cli: Callable, recorded: tuple[Path, str], change: Callable[[str], str], wrong: str
) -> None:
    path, _ = recorded
    path.write_text(change(path.read_text()))
    result = cli("replay", path)
    assert result.code == 2
    assert wrong in result.err


def test_recording_several_files_is_refused(cli: Callable, tmp_path: Path) -> None:
    assert cli("predict", CLIP, CLIP, "--record", tmp_path / "evidence.jsonl").code == 2


def test_a_recording_of_an_older_format_without_codes_is_replayed(
    cli: Callable, recorded: tuple[Path, str]
) -> None:
    path, printed = recorded
    head, *ticks = map(json.loads, path.read_text().splitlines())
    for tick in ticks[:-1]:
        del tick["stamp"], tick["failures"]
        tick["missing"] = {name: sentence for name, (_, sentence) in tick["missing"].items()}
        tick["sources"] = {"camera 0": {"state": "gone", "reason": "it cannot be opened"}}
    path.write_text("".join(json.dumps(line) + "\n" for line in (head, *ticks)))
    replayed = [json.loads(line) for line in cli("replay", path, "--json").out.splitlines()]
    for before, after in zip(map(json.loads, printed.splitlines()), replayed, strict=True):
        assert after["emotion"] == before["emotion"]
        for name, modality in after.get("modalities", {}).items():
            assert modality.get("reason") == before["modalities"][name].get("reason")


@pytest.mark.parametrize(
    "spoil",
    [
        {"stamp": {"sequence": "soon"}},
        {"stamp": {"about": 3}},
        {"stamp": 3},
        {"missing": {"voice": [1, 2, 3]}},
        {"missing": {"voice": [1, 2], "face": [1, 2], "text": [1, 2]}},
        {"missing": {}, "evidence": []},
        {"sources": {"a": {"state": "asleep"}}},
    ],
)
def test_a_tick_that_makes_no_sense_is_named(
    cli: Callable, recorded: tuple[Path, str], spoil: dict
) -> None:
    path, _ = recorded
    head, tick, *_ = path.read_text().splitlines()
    path.write_text(f"{head}\n{json.dumps(json.loads(tick) | spoil)}\n")
    result = cli("replay", path)
    assert result.code == 2
    assert "line 2: not a valid tick" in result.err
