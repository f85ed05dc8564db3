"""How often the state of a person changes in ordinary talk: single answers, and moments.

    python benchmarks/talk.py compose MANIFEST.csv SECONDS OUT
    for talk in OUT/*.wav; do mera-edge predict "$talk" --json; done > events.jsonl
    python benchmarks/talk.py count events.jsonl

MANIFEST.csv has ``file,speaker``, such as LibriSpeech. A talk is one reader for three minutes, with
a breath of 0.4 s between the utterances; readers take turns until SECONDS are reached. Counted are
changes of the label, those to and from `unclear` too. Moments are made anew from the answers, so
that another rule can be tried on the same events.
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
    hours, answers, moments, clear = 0.0, 0, 0, 0
    with path.open(encoding="utf-8") as lines:
        events = [EmotionEvent.from_json(line) for line in lines if "mera-edge/event/1" in line]
    talks: list[list[EmotionEvent]] = []
    for event in events:
        if not talks or event.media_time_s < talks[-1][-1].media_time_s:
            talks.append([])
        talks[-1].append(event)
    for talk in talks:
        state = Moments()
        found = [state.see(event, event.media_time_s) for event in talk]
        shown = [moment.label for moment in found if moment]
        hours += talk[-1].media_time_s / 3600
        answers += _changes([event.emotion.label for event in talk if event.emotion])
        moments += _changes(shown)
        clear += sum(label != UNCLEAR for label in shown)
    print(f"{60 * hours:.1f} minutes in {len(talks)} talks")
    print(f"changes of the answer: {answers / hours:.0f} an hour")
    print(f"changes of the moment: {moments / hours:.1f} an hour ({moments} in all)")
    print(f"time with a moment that is not unclear: {clear / len(events):.1%}")


def _changes(labels: list[str]) -> int:
    return max(0, sum(1 for _ in groupby(labels)) - 1)


if __name__ == "__main__":
    if sys.argv[1] == "compose":
        compose(Path(sys.argv[2]), float(sys.argv[3]), Path(sys.argv[4]))
    else:
        count(Path(sys.argv[2]))
