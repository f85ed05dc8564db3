"""Sinks write everything or nothing, in bounded memory."""

from __future__ import annotations

import gc
import json
import logging
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from html.parser import HTMLParser
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from mera_edge.config import SinkSettings
from mera_edge.errors import InputError, Unreachable
from mera_edge.events import (
    Emotion,
    EmotionEvent,
    Latency,
    Modality,
    Moment,
    SourceStatus,
    Summary,
    Transcript,
    named,
    timestamp,
)
from mera_edge.service.control import Control
from mera_edge.service.run_summary import SummaryBuilder
from mera_edge.service.sink_group import SinkGroup
from mera_edge.sinks import Destination
from mera_edge.sinks.factory import open_sink
from mera_edge.sinks.html import HtmlReport
from mera_edge.sinks.jsonl import JsonLines
from mera_edge.sinks.lines import Lines
from mera_edge.sinks.live import LiveView
from mera_edge.sinks.log import SourceLog
from mera_edge.sinks.queued import QueuedSink
from mera_edge.sinks.selection import Selection
from mera_edge.sinks.timeline import SLOTS, Timeline


def opened(target: str) -> Destination:
    return open_sink(SinkSettings(to=target), Control())


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
    path.write_text("what was there before\n")
    sink = JsonLines(str(path))
    sink.publish(event(0))
    before, line = path.read_text().splitlines()
    assert before == "what was there before"
    assert EmotionEvent.from_json(line) == event(0)
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


@pytest.mark.parametrize(("other", "says"), [("gone", True), ("live", False)])
def test_the_live_view_says_first_that_nothing_works(other: str, says: bool) -> None:
    console = Console(width=80, height=24, force_terminal=True, record=True)
    view = LiveView(console)
    gone = SourceStatus(
        name="camera 0",
        state="gone",
        reason="no such device: /dev/video0",
        reason_code="no_device",
    )
    sources = {"room_1_camera": gone, "room_1_microphone": SourceStatus(name="mic", state=other)}
    view.publish(event(0, seen=False).model_copy(update={"sources": sources}))
    view.close(summary(1))
    text = console.export_text()
    assert says == ("no camera and no microphone works" in text)
    assert says == ("mera-edge doctor" in text)
    assert says != ("waiting for somebody" in text)


def test_rooms_have_a_panel_each() -> None:
    console = Console(width=80, height=60, force_terminal=True, record=True)
    view = LiveView(console)
    for room in ("hall", "kitchen", "hall"):
        view.publish(event(0).model_copy(update={"room": room}))
    view.close(summary(3))
    assert "mera-edge: kitchen" in console.export_text()


def test_a_report_stays_valid_when_the_clock_goes_back(tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    report = HtmlReport(path)
    for index in [*range(50), *range(-1000, -900)]:
        report.publish(event(index, words="so glad"))
    report.close(summary(150))
    Page(path.read_text())
    assert "-" not in path.read_text().partition('points="')[2].partition('"')[0]


class Sometimes:
    """A sink whose disk is full, or which hangs, at times."""

    def __init__(self) -> None:
        self.full = self.gone = False
        self.goes_on, self.used = threading.Event(), threading.Event()
        self.goes_on.set()
        self.got: list[EmotionEvent] = []
        self.summary: Summary | None = None

    def publish(self, event: EmotionEvent) -> None:
        self.used.set()
        self.goes_on.wait()
        if self.gone:
            raise BrokenPipeError
        if self.full:
            raise InputError("events.jsonl cannot be written (No space left on device)")
        self.got.append(event)

    def close(self, summary: Summary) -> None:
        self.publish(event(0))
        self.got.pop()
        self.summary = summary


@pytest.fixture
def said() -> Iterator[list[str]]:
    """The messages that are logged meanwhile, as they come."""
    lines: list[str] = []
    handler, log = logging.Handler(), logging.getLogger("mera_edge")
    handler.emit = lambda record: lines.append(record.getMessage())
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    yield lines
    log.removeHandler(handler)
    log.setLevel(logging.NOTSET)


def wait_for(holds: Callable[[], object]) -> None:
    deadline = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def end(queued: QueuedSink, within_s: float = 30.0) -> None:
    queued.close(summary(1))
    queued.wait(time.monotonic() + within_s)


def test_full_disk_is_logged_once_and_loses_no_queued_event(said: list[str]) -> None:
    sink = Sometimes()
    queued = QueuedSink(sink, "sink a")
    queued.publish(event(0))
    wait_for(lambda: sink.got)
    sink.full = True
    for index in range(1, 50):
        queued.publish(event(index))
    wait_for(lambda: queued.error)
    sink.full = False
    wait_for(lambda: len(said) == 2)
    end(queued)
    assert said[0].startswith("sink a fails: events.jsonl cannot be written (No space")
    assert said[1:] == ["sink a works again; 0 events were lost"]
    assert sink.got == [event(index) for index in range(50)]
    assert sink.summary == summary(1)
    assert queued.worked and queued.error is None


def test_hanging_sink_drops_the_oldest_events(said: list[str]) -> None:
    sink = Sometimes()
    sink.goes_on.clear()
    queued = QueuedSink(sink, "sink a", waiting=10)
    queued.publish(event(0))
    sink.used.wait()
    for index in range(1, 31):
        queued.publish(event(index))
    assert said == ["sink a is too slow: the oldest queued events are dropped"]
    sink.goes_on.set()
    wait_for(lambda: len(said) == 2)
    assert said[1] == "sink a works again; 20 events were lost"
    assert sink.got == [event(0), *(event(index) for index in range(21, 31))]
    end(queued)
    assert len(said) == 2


def test_hanging_or_failing_sink_is_abandoned_at_exit(said: list[str]) -> None:
    for hangs in (True, False):
        said.clear()
        sink = Sometimes()
        sink.full = not hangs
        if hangs:
            sink.goes_on.clear()
        queued = QueuedSink(sink, "sink a")
        for index in range(5):
            queued.publish(event(index))
        end(queued, within_s=0.2)
        assert said[-1] == "sink a lost 5 events"
        sink.goes_on.set()


def test_broken_pipe_of_a_sink_is_not_logged(said: list[str]) -> None:
    changes: list[bool] = []
    sink = Sometimes()
    sink.gone = True
    queued = QueuedSink(sink, "sink a", changed=lambda: changes.append(queued.gone))
    queued.publish(event(0))
    wait_for(lambda: changes)
    queued.publish(event(1))
    end(queued)
    assert changes == [True] and said == []


def test_exception_in_a_sink_does_not_stop_the_next_event(said: list[str]) -> None:
    class Picky(Sometimes):
        def publish(self, event: EmotionEvent) -> None:
            if event.transcript.text == "?":
                raise ValueError("no such letter")
            super().publish(event)

    sink = Picky()
    queued = QueuedSink(sink, "sink a")
    queued.publish(event(0, words="?"))
    queued.publish(event(1))
    end(queued)
    assert sink.got == [event(1)]
    assert said[0] == "sink a failed on an event: ValueError('no such letter')"
    assert "1 events were lost" in said[1]


LINES = [f'{{"number": {number}, "text": "{"é" * number}"}}' for number in range(4)]


@settings(max_examples=60, deadline=None)
@given(st.integers(0, len("\n".join(LINES).encode())))
def test_truncated_jsonl_continues_on_a_new_line(cut: int) -> None:
    with TemporaryDirectory() as place:
        path = Path(place) / "events.jsonl"
        before = ("\n".join(LINES) + "\n").encode()[:cut]
        path.write_bytes(before)
        lines = Lines(str(path))
        for line in LINES:
            lines.write(line)
        lines.close()
        after = path.read_bytes()
    assert after.startswith(before)
    whole = before.count(b"\n")
    read = after.decode(errors="replace").splitlines()
    assert read[:whole] == LINES[:whole]
    assert read[-len(LINES) :] == LINES
    assert len(read) <= whole + 1 + len(LINES)


def test_a_file_belongs_to_one_run_and_is_free_after_it(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    first = Lines(str(path))
    first.write("1")
    with pytest.raises(InputError, match=r"events\.jsonl is in use by another run"):
        Lines(str(path))
    with pytest.raises(InputError, match="in use"):
        Lines(str(path), append=False)
    assert path.read_text() == "1\n"
    first.close()
    Lines(str(path)).close()


def test_log_rotation_opens_a_new_file(tmp_path: Path) -> None:
    path, moved = tmp_path / "events.jsonl", tmp_path / "events.jsonl.1"
    lines = Lines(str(path))
    lines.write("1")
    lines.reopen()
    lines.write("2")
    path.rename(moved)
    lines.write("3")
    lines.reopen()
    lines.write("4")
    path.rename(tmp_path / "events.jsonl.2")
    path.mkdir()
    with pytest.raises(InputError, match="Is a directory"):
        lines.reopen()
    lines.write("5")
    lines.close()
    assert moved.read_text() == "1\n2\n3\n"
    assert (tmp_path / "events.jsonl.2").read_text() == "4\n5\n"


def test_partial_write_is_completed(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    limited = f"""
import resource, signal, sys
from mera_edge.errors import InputError
from mera_edge.sinks.lines import Lines
from mera_edge.sinks.log import SourceLog
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
lines = Lines({str(path)!r})
lines.write("a" * 9)
resource.setrlimit(resource.RLIMIT_FSIZE, (15, resource.RLIM_INFINITY))
lines.write("b" * 9)
for _ in range(3):
    try:
        lines.write("c" * 9)
        sys.exit("written beyond the limit")
    except InputError:
        pass
resource.setrlimit(resource.RLIMIT_FSIZE, (100, resource.RLIM_INFINITY))
lines.write("c" * 9)
lines.close()
"""
    subprocess.run([sys.executable, "-c", limited], check=True)
    assert path.read_text().split() == ["a" * 9, "b" * 9, "c" * 9]


def test_a_named_pipe_waits_for_its_reader_and_for_the_next_one(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    queued = QueuedSink(opened(str(pipe)), "sink pipe")
    for index in range(3):
        queued.publish(event(index))
    with pipe.open() as reader:
        assert [EmotionEvent.from_json(reader.readline()) for _ in range(3)] == [
            event(index) for index in range(3)
        ]
    queued.publish(event(3))
    with pipe.open() as reader:
        assert EmotionEvent.from_json(reader.readline()) == event(3)
        end(queued)
        assert json.loads(reader.readline())["schema"] == "mera-edge/summary/1"


@pytest.mark.parametrize("target", ["ftp://host", "GOPHER://me:secret@host/a", "file://host:1"])
def test_unknown_sink_scheme_is_refused(target: str) -> None:
    with pytest.raises(InputError) as refused:
        opened(target)
    scheme = target.partition("://")[0].lower()
    assert refused.value.what == f"{scheme}:// is not supported as a sink"
    assert "secret" not in str(refused.value)


def test_memory_of_sinks_and_summary_is_bounded(tmp_path: Path) -> None:
    hangs = Sometimes()
    hangs.goes_on.clear()
    queued = QueuedSink(hangs, "sink a")
    report, log, totals = (
        HtmlReport(tmp_path / "r.html"),
        SourceLog(),
        SummaryBuilder(),
    )

    def publish(first: int, until: int) -> int:
        for index in range(first, until):
            one = event(index, words=f"words {index}", final=True, seen=index % 3 > 0)
            totals.add(one, 0.0, 0.01)
            for sink in (queued, report, log):
                sink.publish(one)
        gc.collect()
        return len(gc.get_objects())

    # When the timeline has just been halved.
    once, twice = 8 * SLOTS + 1, 16 * SLOTS + 1
    before, after = publish(0, once), publish(once, twice)
    assert after - before < 1000
    hangs.goes_on.set()


def test_a_report_refuses_to_replace_a_pipe_and_follows_a_symlink(tmp_path: Path) -> None:
    pipe, page, link = (tmp_path / name for name in ("pipe", "page.html", "link.html"))
    os.mkfifo(pipe)
    with pytest.raises(InputError, match="pipe is not a regular file"):
        HtmlReport(pipe)
    assert pipe.is_fifo()
    link.symlink_to(page)
    report = HtmlReport(link)
    report.publish(event(0))
    report.close(summary(1))
    assert link.is_symlink() and page.read_text().startswith("<!doctype html>")


def state(label: str, room: str = "room_1", camera: str = "live") -> EmotionEvent:
    return event(0).model_copy(
        update={
            "room_id": room,
            "moment": Moment(label=label, confidence=0.8, lasts_s=1),
            "sources": {f"{room}_camera": SourceStatus(state=camera)},
        }
    )


def test_a_sink_may_ask_for_changes_only_and_for_few() -> None:
    now_s = 0.0
    changes = Selection(SinkSettings(to="-", on="change"), lambda: now_s)
    few = Selection(SinkSettings(to="-", on="change", every_s=5), lambda: now_s)
    told = []
    for label in ("happy", "happy", "sad", "sad", "sad", "sad", "sad"):
        told.append((changes.takes(state(label)), few.takes(state(label))))
        now_s += 1.0
    # The change at 2 s came too early for every_s = 5: it is told when the time is up.
    assert [at for at, (one, _) in enumerate(told) if one] == [0, 2]
    assert [at for at, (_, one) in enumerate(told) if one] == [0, 5]
    assert changes.takes(state("sad", "room_2"))
    assert changes.takes(state("sad", camera="gone"))
    every = Selection(SinkSettings(to="-"), lambda: now_s)
    assert all(every.takes(state("sad")) for _ in range(3))


def test_newest_only_sink_skips_old_events_after_an_outage(said: list[str]) -> None:
    """After an outage it goes on with what is, and speaks of no loss."""
    works = threading.Event()
    taken: list[EmotionEvent] = []

    class Broker:
        def publish(self, message: EmotionEvent) -> None:
            if not works.is_set():
                raise Unreachable("broker: no answer", "start it")
            taken.append(message)

        def close(self, summary: Summary) -> None:
            pass

    queued = QueuedSink(Broker(), "broker", newest_only=True)
    for index in range(50):
        queued.publish(event(index))
        time.sleep(0.001)
    while not isinstance(queued.error, Unreachable):
        time.sleep(0.001)
    works.set()
    queued.publish(event(50))
    queued.close(None)
    queued.wait(time.monotonic() + 5)
    assert taken[-1] == event(50)
    assert said == ["broker fails: broker: no answer: start it", "broker works again"]


def test_a_peer_that_was_never_reached_does_not_work_at_the_end(said: list[str]) -> None:
    stop = threading.Event()
    group = SinkGroup(stop)
    targets = [SinkSettings(to="mqtt://127.0.0.1:1")]
    group.use(targets, group.open(targets))
    group.publish(event(0))
    while not said:
        time.sleep(0.01)
    group.close(summary(1))
    with pytest.raises(Unreachable, match="refuses the connection"):
        group.wait()
    (line,) = said
    assert "refuses the connection" in line
    assert not stop.is_set(), "it is waited for"
