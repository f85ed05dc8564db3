"""How often the state of a person changes in ordinary talk: single answers, and moments.

    python benchmarks/talk.py compose MANIFEST.csv SECONDS OUT
    for talk in OUT/*.wav; do mera-edge predict "$talk" --json; done > events.jsonl
    python benchmarks/talk.py count events.jsonl
    python benchmarks/talk.py draw events.jsonl timeline.svg

MANIFEST.csv has ``file,speaker``, such as LibriSpeech. A talk is one reader for three minutes, with
a breath of 0.4 s between the utterances; readers take turns until SECONDS are reached. Counted are
changes of the label, those to and from `unclear` too. Moments are made anew from the answers, so
that another rule can be tried on the same events. The drawing has a row of answers and one of
moments for each recording.
"""

from __future__ import annotations

import csv
import sys
from collections import defaultdict
from itertools import groupby
from pathlib import Path

import numpy as np
import soundfile

from mera_edge.events import UNCLEAR, EmotionEvent
from mera_edge.features.fbank import SAMPLE_RATE
from mera_edge.pipeline.moment import Moments
from mera_edge.sinks.palette import COLOURS
from mera_train import audio

TALK_S = 180
BREATH = np.zeros(int(0.4 * SAMPLE_RATE), np.float32)


def compose(manifest: Path, seconds: float, out: Path) -> None:
    """Write talks, a WAV file each."""
    files: dict[str, list[str]] = defaultdict(list)
    with manifest.open(encoding="utf-8") as rows:
        for row in csv.DictReader(rows):
            files[row["speaker"]].append(row["file"])
    out.mkdir(parents=True, exist_ok=True)
    number, left = 0, int(seconds * SAMPLE_RATE)
    while left > 0 and any(files.values()):
        for speaker, waiting in files.items():
            parts: list[np.ndarray] = []
            while waiting and sum(map(len, parts)) < TALK_S * SAMPLE_RATE:
                parts += [audio.read(manifest.parent, waiting.pop(0)), BREATH]
            if left <= 0 or not parts:
                continue
            talk = np.concatenate(parts)[: min(left, TALK_S * SAMPLE_RATE)]
            soundfile.write(out / f"{number:03d}_{speaker}.wav", talk, SAMPLE_RATE)
            number, left = number + 1, left - len(talk)


def count(path: Path) -> None:
    """Print the changes per hour of both."""
    hours, answers, moments, first, clear, events = 0.0, 0, 0, 0, 0, 0
    talks = _talks(path)
    for talk in talks:
        shown = [label for label in _moments(talk) if label]
        hours += talk[-1].media_time_s / 3600
        answers += _changes([event.emotion.label for event in talk if event.emotion])
        moments += _changes(shown)
        first += len(set(shown)) > 1
        clear += sum(label != UNCLEAR for label in shown)
        events += len(talk)
    later = moments - first
    print(f"{60 * hours:.1f} minutes in {len(talks)} talks")
    print(f"changes of the answer: {answers / hours:.0f} an hour")
    print(f"changes of the moment: {moments / hours:.1f} an hour ({moments} in all)")
    print(f"without the first state of a talk: {later / hours:.1f} an hour ({later} in all)")
    print(f"time with a moment that is not unclear: {clear / events:.1%}")


def draw(path: Path, out: Path) -> None:
    """Draw a row of answers and one of moments for each recording."""
    width, height, left = 900, 16, 80
    bars, top = [], 8
    for talk in _talks(path):
        scale = (width - left) / talk[-1].media_time_s
        answers = [event.emotion.label if event.emotion else None for event in talk]
        for name, labels in (("answers", answers), ("moments", _moments(talk))):
            bars.append(f'<text x="0" y="{top + 12}">{name}</text>')
            begin_s = 0.0
            for label, run in groupby(zip(labels, talk, strict=True), key=lambda pair: pair[0]):
                end_s = [event for _, event in run][-1].media_time_s
                colour = COLOURS.get(label or "", "none" if label is None else "#d9dde3")
                bars.append(
                    f'<rect x="{left + begin_s * scale:.1f}" y="{top}" fill="{colour}" '
                    f'width="{(end_s - begin_s) * scale:.1f}" height="{height}"/>'
                )
                begin_s = end_s
            top += height + 4
        top += 8
    keys = [*COLOURS.items(), (UNCLEAR, "#d9dde3")]
    for number, (label, colour) in enumerate(keys):
        x = left + number * 100
        bars.append(f'<rect x="{x}" y="{top}" width="12" height="12" fill="{colour}"/>')
        bars.append(f'<text x="{x + 16}" y="{top + 11}">{label}</text>')
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {top + 20}" '
    out.write_text(
        head + 'font-family="sans-serif" font-size="12" fill="#808890">\n' + "\n".join(bars)
        + "\n</svg>\n"
    )  # fmt: skip


def _talks(path: Path) -> list[list[EmotionEvent]]:
    talks: list[list[EmotionEvent]] = []
    with path.open(encoding="utf-8") as lines:
        for event in (EmotionEvent.from_json(line) for line in lines if "/event/1" in line):
            if not talks or event.media_time_s < talks[-1][-1].media_time_s:
                talks.append([])
            talks[-1].append(event)
    return talks


def _moments(talk: list[EmotionEvent]) -> list[str | None]:
    state = Moments()
    found = [state.see(event, event.media_time_s) for event in talk]
    return [moment.label if moment else None for moment in found]


def _changes(labels: list[str]) -> int:
    return max(0, sum(1 for _ in groupby(labels)) - 1)


if __name__ == "__main__":
    if sys.argv[1] == "compose":
        compose(Path(sys.argv[2]), float(sys.argv[3]), Path(sys.argv[4]))
    elif sys.argv[1] == "draw":
        draw(Path(sys.argv[2]), Path(sys.argv[3]))
    else:
        count(Path(sys.argv[2]))
