"""`predict`, `demo`, `transcribe` and `run` on real files, with the default bundle."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import pytest

from mera_edge.events import EmotionEvent
from mera_edge.sample import CLIP


def lines(out: str) -> list[dict]:
    return [json.loads(line) for line in out.splitlines()]


def test_predict_prints_events_and_a_summary(cli: Callable) -> None:
    result = cli("predict", CLIP, "--json")
    assert result.code == 0
    *events, summary = result.out.splitlines()
    read = [EmotionEvent.from_json(line) for line in events]
    times = [event.media_time_s for event in read]
    assert times == sorted(times)
    used = {name for event in read for name, m in event.modalities.items() if m.state == "used"}
    assert used == {"voice", "face", "text"}
    facts = json.loads(summary)
    assert facts["schema"] == "mera-edge/summary/1"
    assert facts["file"] == str(CLIP)
    assert facts["events"] == len(read)
    assert facts["transcript"]
    assert sum(facts["emotion"]["probabilities"].values()) == pytest.approx(1, abs=1e-3)


def test_predict_is_deterministic(cli: Callable) -> None:
    def answers() -> list[dict]:
        events = lines(cli("predict", CLIP, "--json").out)[:-1]
        return [{**event, "run": None, "at": None, "latency": None} for event in events]

    assert answers() == answers()


def test_a_clip_without_sound_says_so(cli: Callable, media: Callable) -> None:
    *events, summary = lines(cli("predict", media(sound=False), "--json").out)
    for event in events:
        assert event["modalities"]["voice"]["reason"] == "no audio in this source"
        assert event["modalities"]["text"]["reason"] == "no audio in this source"
    assert summary["events"] == len(events)


def test_a_recording_without_picture_says_so(cli: Callable, media: Callable) -> None:
    result = cli("predict", media(picture=False), "--json")
    assert result.code == 0
    for event in lines(result.out)[:-1]:
        assert event["modalities"]["face"]["reason"] == "no video in this source"


def test_predict_prints_a_readable_summary_sentence(cli: Callable) -> None:
    result = cli("predict", CLIP)
    assert "Happy, then sad" in result.out
    assert "real-time factor" in result.out


def test_demo_writes_one_page_that_needs_nothing_else(cli: Callable, tmp_path: Path) -> None:
    page = tmp_path / "pages" / "out.html"
    assert cli("demo", "--report", page).code == 0
    text = page.read_text()
    HTMLParser().feed(text)
    assert "src=" not in text
    assert [path.name for path in page.parent.iterdir()] == ["out.html"]


def test_transcribe_gives_words_with_times(cli: Callable) -> None:
    (facts,) = lines(cli("transcribe", CLIP, "--json").out)
    assert facts["text"] == " ".join(word["text"] for word in facts["words"])
    starts = [word["start_s"] for word in facts["words"]]
    assert starts == sorted(starts)


def test_run_plays_a_file_in_real_time(cli: Callable, media: Callable, tmp_path: Path) -> None:
    began = time.monotonic()
    file = tmp_path / "events.jsonl"
    result = cli("run", "--camera", media(), "--mic", "none", "--sink", file)
    assert result.code == 0
    assert time.monotonic() - began > 1.8
    *events, summary = lines(file.read_text())
    assert len(events) == summary["events"]
    assert all("media_time_s" in event for event in events)


def test_run_takes_a_recording_as_microphone(cli: Callable, media: Callable) -> None:
    result = cli("run", "--camera", "none", "--mic", media(picture=False), "--sink", "-")
    assert result.code == 0
    assert lines(result.out)[-1]["schema"] == "mera-edge/summary/1"


def test_ctrl_c_keeps_the_checkpoint(tmp_path: Path) -> None:
    file = tmp_path / "events.jsonl"
    arguments = ["run", "--camera", str(CLIP), "--mic", str(CLIP), "--sink", str(file)]
    process = subprocess.Popen(
        [sys.executable, "-c", "from mera_edge.cli import main; main()", *arguments],
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 60
    while not (file.exists() and file.read_text().count("\n") > 2):
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 0
    assert "interrupted" in err
    assert lines(file.read_text())[-1]["interrupted"] is True
