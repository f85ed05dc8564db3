"""How often the predicted state of a person changes in ordinary speech: single events, and moments.

    python benchmarks/talk.py compose MANIFEST.csv SECONDS OUT
    for talk in OUT/*.wav; do mera-edge predict "$talk" --json; done > events.jsonl
    python benchmarks/talk.py count events.jsonl
    python benchmarks/talk.py draw events.jsonl timeline.svg

MANIFEST.csv has ``file,speaker``, such as LibriSpeech. A talk is one reader for three minutes, with
a breath of 0.4 s between the utterances; readers take turns until SECONDS are reached. Moments are
made anew from the answers, so that another rule can be tried on the same events.

Counted are, with 95 % intervals of a Poisson count, changes of the label, those to and from
`unclear` too; changes of mood, from one emotion to another, as the course of a recording tells them
(`unclear` in between says nothing, and the first mood of a talk is no change); and moods that would
trouble somebody else: sad, angry, afraid, disgusted.

The drawing has a row of answers and one of moments for each recording, and before them what each
modality says first, where there are several.
"""

from __future__ import annotations

import csv
import sys
from collections import defaultdict
from collections.abc import Mapping
from itertools import groupby
from pathlib import Path

import numpy as np
import soundfile
from scipy.stats import chi2

from mera_edge.events import UNCLEAR, EmotionEvent
from mera_edge.features.fbank import SAMPLE_RATE
from mera_edge.labels import MODALITY_NAMES
from mera_edge.pipeline.moment import Moments
from mera_edge.sinks.palette import COLOURS
from mera_train import audio
from mera_train.figures import markdown

TALK_S = 180
TROUBLED = frozenset({"sad", "angry", "fear", "disgust"})
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
    """Print the changes per hour."""
    talks = _talks(path)
    hours = sum(talk[-1].media_time_s for talk in talks) / 3600
    answers, labels, moods, troubled, clear, events = 0, 0, 0, 0, 0, 0
    for talk in talks:
        shown = [label for label in _moments(talk) if label]
        course = [label for label, _ in groupby(label for label in shown if label != UNCLEAR)]
        answers += _changes([event.emotion.label for event in talk if event.emotion])
        labels += _changes(shown)
        moods += _changes(course)
        troubled += sum(label in TROUBLED for label in course)
        clear += sum(label != UNCLEAR for label in shown)
        events += len(talk)
    print(f"{60 * hours:.1f} minutes in {len(talks)} talks\n")
    lines = [
        ["changes of the answer", *_per_hour(answers, hours)],
        ["changes of the moment's label", *_per_hour(labels, hours)],
        ["changes of mood", *_per_hour(moods, hours)],
        ["moods that trouble a person", *_per_hour(troubled, hours)],
        ["time with a moment that is not unclear, %", f"{100 * clear / events:.0f}", "", ""],
    ]
    print(markdown(["per hour", "value", "95 % interval", "in all"], lines), end="")


def _per_hour(number: int, hours: float) -> list[str]:
    """Return three cells: how many an hour, the interval of that, and how many there were."""
    low = chi2.ppf(0.025, 2 * number) / 2 if number else 0.0
    high = chi2.ppf(0.975, 2 * number + 2) / 2
    interval = f"{low / hours:.1f} to {high / hours:.1f}"
    return [f"{number / hours:.1f}", interval, str(number)]


def draw(path: Path, out: Path) -> None:
    """Draw a row of answers and one of moments for each recording."""
    width, height, left = 900, 16, 80
    bars, top = [], 8
    for talk in _talks(path):
        scale = (width - left) / talk[-1].media_time_s
        for name, labels in _rows(talk):
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


def _rows(talk: list[EmotionEvent]) -> list[tuple[str, list[str | None]]]:
    said = {
        word: [_first(event.modalities[name].probabilities) for event in talk]
        for name, word in MODALITY_NAMES.items()
    }
    there = [row for row in said.items() if any(row[1])]
    answers = [event.emotion.label if event.emotion else None for event in talk]
    several = there if len(there) > 1 else []
    return [*several, ("answers", answers), ("moments", _moments(talk))]


def _first(shares: Mapping[str, float] | None) -> str | None:
    return max(shares, key=shares.__getitem__) if shares else None


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
