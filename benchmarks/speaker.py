"""Accuracy of active speaker detection with two people.

    python benchmarks/speaker.py CLIP CLIP [BUNDLE]

Two talking-head clips are put side by side and take turns: whoever speaks plays with sound, the
other one listens: a single picture of the clip that nods, turns, comes nearer and is noisy. The
second is larger, and so the one whom a choice by size takes. Composed, not recorded: real
listeners smile and chew, too; the harder half has one who goes on talking without a sound.
"""

from __future__ import annotations

import math
import sys
import threading
from collections import Counter
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from mera_edge.bundle import Bundle
from mera_edge.events import EmotionEvent, Summary
from mera_edge.features.fbank import SAMPLE_RATE
from mera_edge.pipeline.mode import Offline
from mera_edge.pipeline.pipeline import Pipeline
from mera_edge.service.clock import VirtualClock
from mera_edge.service.run_loop import run
from mera_edge.sources.base import AudioChunk, Captured, VideoFrame
from mera_edge.sources.media import MediaFile

Image = NDArray[np.uint8]
SIDES = 360, 480
ALONE_S = 2.0
"""Only the first is there: whom the pipeline then calls person 1."""
RATE = 25
SETTLED_S = 1.5
"""Of a turn, before which nobody can know who has begun."""


class Clip:
    """All pictures and all sound of a short clip."""

    def __init__(self, path: Path) -> None:
        source = MediaFile(path)
        source.open()
        self.pictures: list[Image] = []
        sounds, tick = [], 0
        while not source.ended:
            tick += 1
            captured = source.poll(tick / RATE)
            sounds += [sound.samples for sound in captured.audio]
            if captured.frame is not None or self.pictures:
                picture = captured.frame
                self.pictures.append(self.pictures[-1] if picture is None else picture.image)
        source.close()
        self.samples = np.concatenate(sounds)
        self.duration_s = len(self.pictures) / RATE

    def at(self, at_s: float) -> Image:
        return self.pictures[int(at_s * RATE) % len(self.pictures)]

    def listening(self, at_s: float) -> Image:
        """The middle picture, swaying as heads do."""
        image = self.pictures[len(self.pictures) // 2]
        height, width = image.shape[:2]

        def wave(hertz: float, phase: float) -> float:
            return math.sin(2 * math.pi * hertz * at_s + phase)

        turn = cv2.getRotationMatrix2D((width / 2, height / 2), 4 * wave(0.3, 0), 1)
        turn[:, :2] *= 1 + 0.05 * wave(0.23, 1)
        turn[:, 2] += 0.04 * width * wave(0.4, 0), 0.03 * height * wave(0.55, 2)
        swayed = cv2.warpAffine(image, turn, (width, height), borderMode=cv2.BORDER_REFLECT)
        noise = np.random.default_rng(int(at_s * RATE)).normal(0, 3, swayed.shape)
        return (swayed + noise).clip(0, 255).astype(np.uint8)


class Conversation:
    """A source in which two people take turns, two each.

    Args:
        people: the clips.
        mouthing: whether listeners go on talking without a sound.
    """

    name, is_live, has_audio, has_video = "conversation", False, True, True

    def __init__(self, people: tuple[Clip, Clip], mouthing: bool) -> None:
        self._people, self._mouthing = people, mouthing
        begins_s = ALONE_S + 1
        self._turns: list[tuple[float, float, int]] = []
        for turn in range(4):
            ends_s = begins_s + people[turn % 2].duration_s
            self._turns.append((begins_s, ends_s, turn % 2))
            begins_s = ends_s + 1
        self._samples = np.zeros(round(begins_s * SAMPLE_RATE), np.float32)
        for begin, _, who in self._turns:
            first = round(begin * SAMPLE_RATE)
            self._samples[first : first + len(people[who].samples)] += people[who].samples
        self._returned = 0

    def open(self) -> None:
        pass

    def poll(self, until_s: float, needs_frame: bool = True) -> Captured:
        until = min(round(until_s * SAMPLE_RATE), len(self._samples))
        sound = AudioChunk(self._samples[self._returned : until], self._returned / SAMPLE_RATE)
        self._returned = until
        at_s = math.floor(until_s * RATE) / RATE
        return Captured([sound], VideoFrame(self._picture(at_s), at_s))

    @property
    def ended(self) -> bool:
        return self._returned >= len(self._samples)

    def close(self) -> None:
        pass

    def speaker(self, at_s: float) -> int | None:
        """Number of the person who speaks, where that can be known by now."""
        known = (who + 1 for begin, end, who in self._turns if begin + SETTLED_S <= at_s <= end)
        return next(known, None)

    def _picture(self, at_s: float) -> Image:
        image = np.full((max(SIDES), sum(SIDES), 3), 90, np.uint8)
        left = 0
        for number, (person, side) in enumerate(zip(self._people, SIDES, strict=True)):
            if number == 1 and at_s < ALONE_S:
                break
            begun = next((b for b, e, who in self._turns if who == number and b <= at_s <= e), None)
            if begun is None and not self._mouthing:
                part = person.listening(at_s)
            else:
                part = person.at(at_s - (begun or 0.0))
            image[-side:, left : left + side] = cv2.resize(part, (side, side))
            left += side
        return image


class Answers:
    """A sink that counts by speaker whom the pipeline answered for."""

    def __init__(self, conversation: Conversation) -> None:
        self._conversation = conversation
        self.counts: Counter[tuple[int, bool]] = Counter()

    def publish(self, event: EmotionEvent) -> None:
        speaker = self._conversation.speaker(event.media_time_s or 0.0)
        if speaker is not None:
            self.counts[speaker, event.person == speaker] += 1

    def close(self, summary: Summary) -> None:
        pass


def main(first: str, second: str, bundle: str | None = None) -> None:
    clips = Clip(Path(first)), Clip(Path(second))
    pipeline = Pipeline(Bundle.open(Path(bundle) if bundle else None), Offline())
    pipeline.warm_up()
    for people in (clips, clips[::-1]):
        for mouthing in (False, True):
            source = Conversation(people, mouthing)
            answers = Answers(source)
            run(pipeline, [source], VirtualClock(), [answers], threading.Event())
            print("the other talks without a sound" if mouthing else "the other listens", end="")
            for number, size in ((1, "smaller"), (2, "larger")):
                right, wrong = (answers.counts[number, good] for good in (True, False))
                print(f"; the {size} speaks: {right} of {right + wrong} answers", end="")
            print()


if __name__ == "__main__":
    main(*sys.argv[1:])
