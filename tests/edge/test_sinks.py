"""Sinks write everything or nothing, in bounded memory."""

from __future__ import annotations

import json
import os
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from mera_edge.errors import InputError
from mera_edge.events import (
    Emotion,
    EmotionEvent,
    Latency,
    Modality,
    Summary,
    Transcript,
    named,
    timestamp,
)
from mera_edge.runtime.outlet import Outlet
from mera_edge.sinks.html import HtmlReport
from mera_edge.sinks.jsonl import JsonLines
from mera_edge.sinks.live import LiveView
from mera_edge.sinks.timeline import SLOTS, Timeline


def event(index: int, words: str = "", final: bool = False, seen: bool = True) -> EmotionEvent:
    shares = np.full(7, 0.05)
    shares[1 + index // 10 % 3] += 0.65
    face = (
        Modality(state="used", age_ms=80, weight=1.0, probabilities=named(shares))
        if seen
        else Modality(state="missing", reason="no face in view")
    )
    return EmotionEvent(
        schema="mera-edge/event/1",
        at=timestamp(1_800_000_000 + index / 5),
        emotion=Emotion.of(shares, 0.1) if seen else None,
        modalities={
            "voice": Modality(state="missing", reason="nobody is speaking"),
            "face": face,
            "text": Modality(state="missing", reason="no words yet"),
        },
        transcript=Transcript(text=words, final=final, confidence=0.5),
        latency=Latency(compute_ms=12, staleness_ms=90, budget_ms=100, late=False),
    )


def summary(events: int, file: str | None = None) -> Summary:
    return Summary(
        schema="mera-edge/summary/1",
        file=file,
        emotion=Emotion.of(np.eye(7)[1], 0.5) if events else None,
        transcript="",
        duration_s=events / 5,
        events=events,
        evidence={"voice": 0.0, "face": 1.0, "text": 0.0},
        real_time_factor=0.1,
        compute_ms={"p50": 10.0, "p95": 20.0, "max": 30.0},
    )


class Page(HTMLParser):
    """Checks that tags close in order."""

    VOID = frozenset({"meta", "rect", "line", "polygon", "polyline"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.stack: list[str] = []
        self.words: list[str] = []
        self.feed(text)
        assert self.stack == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert not {name for name, _ in attrs} & {"src", "href", "onclick"}
        if tag not in self.VOID:
            self.stack.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        pass

    def handle_endtag(self, tag: str) -> None:
        if tag not in self.VOID:
            assert self.stack.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)


@pytest.mark.parametrize("count", [0, 1, 2, 60, 5 * 3600])
def test_the_page_is_whole_for_a_run_of_any_length(tmp_path: Path, count: int) -> None:
    path = tmp_path / "report.html"
    report = HtmlReport(path)
    for index in range(count):
        report.publish(event(index, seen=index % 7 != 0))
    report.close(summary(count))
    text = path.read_text()
    Page(text)
    assert "http" not in text
    assert len(text) < 1_000_000
    assert list(tmp_path.iterdir()) == [path]


def test_nothing_in_the_data_becomes_markup(tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    report = HtmlReport(path)
    report.publish(event(0, words="<script>alert(1)</script>", final=True))
    report.close(summary(1, file="<b>&.mp4"))
    page = Page(path.read_text())
    assert "<script>alert(1)</script>" in page.words
    assert "<script" not in path.read_text()


def test_a_report_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is a directory"):
        HtmlReport(tmp_path)
    (tmp_path / "file").touch()
    report = HtmlReport(tmp_path / "file" / "report.html")
    with pytest.raises(InputError, match="cannot be written"):
        report.close(summary(0))


def test_a_timeline_stays_bounded_and_keeps_the_whole_time() -> None:
    timeline = Timeline()
    for index in range(10_000):
        timeline.add(event(index), (index + 1) / 5)
    assert len(timeline.slots) <= SLOTS
    assert timeline.slots[0].begins_s == 0
    assert timeline.slots[-1].ends_s == timeline.duration_s == 2000
    for first, second in zip(timeline.slots, timeline.slots[1:], strict=False):
        assert first.ends_s == second.begins_s
    assert sum(slot.fused.count for slot in timeline.slots) == 10_000


def test_utterances_are_kept_once_with_the_time_they_began() -> None:
    timeline = Timeline()
    heard = [("", False), ("i", False), ("i am", False), ("i am glad", True), ("i am glad", True)]
    for index, (words, final) in enumerate([*heard, ("so", False), ("so am i", True)]):
        timeline.add(event(index, words, final), float(index))
    assert [(u.at_s, u.transcript.text) for u in timeline.utterances] == [
        (1.0, "i am glad"),
        (5.0, "so am i"),
    ]


def test_json_lines_are_events_and_then_the_summary(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    sink = JsonLines(str(path))
    sink.publish(event(0))
    assert EmotionEvent.from_json(path.read_text()) == event(0)
    sink.close(summary(1))
    assert json.loads(path.read_text().splitlines()[-1])["schema"] == "mera-edge/summary/1"


def test_json_lines_that_cannot_be_written_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be written"):
        JsonLines(str(tmp_path / "absent" / "events.jsonl"))


def test_the_live_view_fits_a_terminal_and_leaves_it_clean() -> None:
    console = Console(width=80, height=24, force_terminal=True, record=True)
    view = LiveView(console)
    for index in range(3):
        view.publish(event(index, words="so glad " * 60, seen=index > 0))
        view.publish(event(index))
    view.close(summary(3))
    assert "no face in view" in console.export_text()


def test_rooms_have_a_panel_each() -> None:
    console = Console(width=80, height=60, force_terminal=True, record=True)
    view = LiveView(console)
    for room in ("hall", "kitchen", "hall"):
        view.publish(event(0).model_copy(update={"room": room}))
    view.close(summary(3))
    assert "mera-edge: kitchen" in console.export_text()


def test_a_report_does_not_mind_the_time_of_day(tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    report = HtmlReport(path)
    for index in [*range(50), *range(-1000, -900)]:
        report.publish(event(index, words="so glad"))
    report.close(summary(150))
    Page(path.read_text())
    assert "-" not in path.read_text().partition('points="')[2].partition('"')[0]


class Unreliable:
    """A sink whose disk is full at times."""

    def __init__(self) -> None:
        self.full = False
        self.got: list[EmotionEvent] = []

    def publish(self, event: EmotionEvent) -> None:
        if self.full:
            raise InputError("events.jsonl cannot be written (No space left on device)")
        self.got.append(event)

    def close(self, summary: Summary) -> None:
        raise BrokenPipeError


def test_a_sink_that_fails_is_said_once_and_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    now, said, ended, sink = [100.0], [], [], Unreliable()
    monkeypatch.setattr("mera_edge.runtime.outlet.time.monotonic", lambda: now[0])
    outlet = Outlet(sink, "sink a", said.append, lambda: ended.append(True))
    outlet.publish(event(0))
    sink.full = True
    for index in range(1, 50):
        now[0] += 0.2
        outlet.publish(event(index))
    sink.full = False
    for index in range(50, 150):
        now[0] += 0.2
        outlet.publish(event(index))
    assert said[0].startswith("sink a fails: events.jsonl cannot be written (No space")
    lost = 150 - len(sink.got)
    assert said[1:] == [f"sink a works again; {lost} events were lost"]
    # Tried again after 10 s at the latest.
    assert 49 <= lost <= 49 + 51
    assert sink.got[-1] == event(149)
    outlet.close(summary(1))
    outlet.publish(event(0))
    assert ended == [True]


def test_a_sink_that_fails_to_the_end_says_how_much_was_lost() -> None:
    said: list[str] = []
    sink = Unreliable()
    sink.full = True
    outlet = Outlet(sink, "sink a", said.append, lambda: None)
    for index in range(5):
        outlet.publish(event(index))
    outlet.close(summary(5))
    assert said[1:] == ["sink a lost 5 events"]


def test_a_page_never_takes_the_place_of_a_device_and_follows_a_link(tmp_path: Path) -> None:
    pipe, page, link = (tmp_path / name for name in ("pipe", "page.html", "link.html"))
    os.mkfifo(pipe)
    with pytest.raises(InputError, match="pipe is no file"):
        HtmlReport(pipe)
    assert pipe.is_fifo()
    link.symlink_to(page)
    report = HtmlReport(link)
    report.publish(event(0))
    report.close(summary(1))
    assert link.is_symlink() and page.read_text().startswith("<!doctype html>")
