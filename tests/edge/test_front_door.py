"""The package as a Python program uses it: its names, its own sound and frames, a callback."""

from __future__ import annotations

import ast
import pydoc
import re
import threading
from pathlib import Path

import numpy as np
import pytest

import mera_edge
from mera_edge.errors import InputError
from mera_edge.pipeline.mode import Offline
from mera_edge.sample import CLIP
from mera_edge.sources.media import MediaFile

SECONDS = 4.0


def test_every_public_name_is_typed_loaded_and_described() -> None:
    tree = ast.parse(Path(mera_edge.__file__).read_text(encoding="utf-8"))
    typed = {
        alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("mera_edge.")
        for alias in node.names
    }
    listed = set(re.findall(r"\w+", (mera_edge.__doc__ or "").split("describes one:")[1]))
    assert typed <= listed & set(dir(mera_edge))
    for name in typed - {"EMOTIONS", "Sink"}:
        assert getattr(mera_edge, name).__doc__, name
    assert {name for name in dir(mera_edge) if name[0] != "_"} - {"os", "TYPE_CHECKING"} >= typed
    with pytest.raises(AttributeError, match="no attribute 'prediction'"):
        _ = mera_edge.prediction


def test_help_is_short_and_shows_what_to_call() -> None:
    shown = pydoc.render_doc(mera_edge, renderer=pydoc.plaintext)
    assert len(shown.splitlines()) < 100
    for part in ("mera_edge.predict(", "mera_edge.Stream(", "run_live(", "transcribe("):
        assert part in shown


def test_streamed_arrays_give_the_same_answers_as_the_file() -> None:
    stop = threading.Event()

    class Until:
        """Ends the file early."""

        def publish(self, event: mera_edge.EmotionEvent) -> None:
            if event.media_time_s >= SECONDS:
                stop.set()

        def close(self, summary: mera_edge.Summary) -> None:
            """Nothing is held."""

    bundle = mera_edge.Bundle.open()
    wanted = mera_edge.Predictor(bundle).predict(CLIP, sinks=[Until()], stop=stop).events
    media = MediaFile(CLIP)
    media.open()
    kept: list[mera_edge.EmotionEvent] = []
    with mera_edge.Stream(bundle, sinks=[_Kept(kept)]) as stream:
        for event in wanted:
            now_s = event.media_time_s
            captured = media.poll(now_s)
            audio = np.concatenate([chunk.samples for chunk in captured.audio])
            stream.tick(now_s, audio, captured.frame and captured.frame.image)
    media.close()
    assert len(wanted) > 15
    assert any(event.emotion for event in wanted)
    for own, event in zip(kept[:-1], wanted[:-1], strict=False):
        assert own.modalities.keys() == event.modalities.keys()
        for name, modality in own.modalities.items():
            assert modality.state == event.modalities[name].state
            assert modality.probabilities == pytest.approx(
                event.modalities[name].probabilities, abs=0.05
            )
    assert stream.close().events == len(kept) == len(wanted) + 1


class _Kept:
    def __init__(self, events: list[mera_edge.EmotionEvent]) -> None:
        self.publish = events.append

    def close(self, summary: mera_edge.Summary) -> None:
        """Nothing is held."""


@pytest.fixture(scope="module")
def stream() -> mera_edge.Stream:
    return mera_edge.Stream(video=False, sample_rate=8000)


@pytest.mark.parametrize(
    "wrong",
    [
        {"audio": np.zeros((2, 800), np.float32)},
        {"audio": np.zeros(800, np.int64)},
        {"audio": np.full(800, np.nan, np.float32)},
        {"frame": np.zeros((8, 8, 3), np.uint8)},
    ],
)
def test_stream_refuses_arrays_of_another_kind(
    stream: mera_edge.Stream, wrong: dict[str, np.ndarray]
) -> None:
    with pytest.raises(InputError):
        stream.tick(100.0, **wrong)


def test_stream_refuses_time_that_goes_back_and_a_tick_after_its_end() -> None:
    stream = mera_edge.Stream(video=False, sample_rate=8000)
    event = stream.tick(0.2, np.zeros(1600, np.int16))
    assert event.media_time_s == pytest.approx(0.2)
    assert event.latency.budget_ms == Offline().budget_ms
    for now_s in (0.2, 0.1, float("nan")):
        with pytest.raises(InputError, match="after the last tick"):
            stream.tick(now_s)
    assert stream.close() is stream.close()
    with pytest.raises(InputError, match="has ended"):
        stream.tick(1.0)


def test_stream_refuses_a_rate_without_speech() -> None:
    with pytest.raises(InputError, match="0 Hz"):
        mera_edge.Stream(sample_rate=0)


def test_callback_that_raises_does_not_end_the_run(caplog: pytest.LogCaptureFixture) -> None:
    calls = []

    def fail(event: mera_edge.EmotionEvent) -> None:
        calls.append(event.sequence)
        if len(calls) == 4:
            stop.set()
        raise ValueError("not today")

    stop = threading.Event()
    settings = mera_edge.Settings(camera="none", mic=str(CLIP))
    summary = mera_edge.run_live(settings, on_event=fail, stop=stop)
    assert summary.events >= 4
    assert calls[:4] == [0, 1, 2, 3]
    assert "not today" in caplog.text
