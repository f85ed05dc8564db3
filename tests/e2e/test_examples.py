"""Every example does what it says, on made input and without a device."""

from __future__ import annotations

import io
import runpy
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from mera_edge.sample import CLIP
from mera_edge.sources.media import MediaFile

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture
def example(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., str]:
    """Run an example in this process and return what it prints."""

    def run(name: str, *arguments: object) -> str:
        monkeypatch.setattr(sys, "argv", [name, *map(str, arguments)])
        runpy.run_path(str(EXAMPLES / f"{name}.py"), run_name="__main__")
        return capsys.readouterr().out

    return run


def speech(seconds: float) -> bytes:
    """The first seconds of the sample as 16-bit samples."""
    media = MediaFile(CLIP, video=False)
    media.open()
    samples = np.concatenate([chunk.samples for chunk in media.poll(seconds).audio])
    media.close()
    return (samples * 32767).astype("<i2").tobytes()


def test_predict_file(example: Callable[..., str]) -> None:
    shown = example("predict_file", CLIP)
    assert "the face" in shown and "%)" in shown.splitlines()[-1]


def test_many_files(example: Callable[..., str], media: Callable[..., Path]) -> None:
    head, *rows = example("many_files", media(), "absent.mp4", CLIP).splitlines()
    assert head.startswith("file,neutral,happy")
    assert rows[-1].startswith(f"{CLIP},0.")


def test_live(example: Callable[..., str], media: Callable[..., Path]) -> None:
    lines = example("live", media(), media()).splitlines()
    assert "nobody" in lines[0] and " events in 2." in lines[-1]


def test_two_rooms(example: Callable[..., str], media: Callable[..., Path]) -> None:
    shown = example("two_rooms", media(), media())
    assert "'hall': 'nobody'" in shown and "'study': 'nobody'" in shown


def test_pause(example: Callable[..., str], media: Callable[..., Path]) -> None:
    assert example("pause", media()).split() == ["no_face", "switched_off"]


def test_own_frames(example: Callable[..., str]) -> None:
    lines = example("own_frames").splitlines()
    assert "no face in view" in lines[0] and lines[-1] == "11 events"


def test_own_sink(example: Callable[..., str]) -> None:
    assert example("own_sink", CLIP).count(" of ") == 4


def test_transcribe_file(example: Callable[..., str]) -> None:
    *words, text = example("transcribe_file", CLIP).splitlines()
    assert len(words) == len(text.split()) > 3


def test_transcribe_stream(example: Callable[..., str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(speech(6.0))))
    shown = example("transcribe_stream")
    assert "partial: " in shown and "final:   " in shown


def test_report_and_replay(example: Callable[..., str], tmp_path: Path) -> None:
    report = tmp_path / "report.html"
    shown = example("report_and_replay", CLIP, report, tmp_path / "evidence.jsonl")
    assert shown == f"True {report}\n"
    assert "<h2>Timeline</h2>" in report.read_text(encoding="utf-8")


def test_every_example_is_tried() -> None:
    tried = {name.removeprefix("test_") for name in globals()}
    assert {path.stem for path in EXAMPLES.glob("*.py")} <= tried
