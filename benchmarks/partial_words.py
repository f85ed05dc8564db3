"""Stability of partial words: how many settled words stay to the end, and the cost.

    python benchmarks/partial_words.py MANIFEST.csv [BUNDLE]

MANIFEST.csv has ``file,text``. Every file is heard as a recording is, in ticks of 0.2 s, with a
pulled final pass. A settled word stays if the final text has it at the same place. Beside it the
same of all words of the streaming pass that are two seconds old. Word error rates are of the final
texts. Times are the processor's, of the thread that waits and of the final pass together.
"""

from __future__ import annotations

import csv
import math
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

from mera_edge.asr import Recognizer, finalized, open_recognizer
from mera_edge.asr.protocol import Hypothesis, SpeechRecognizer
from mera_edge.bundle import Bundle
from mera_edge.features.audio import AudioBlock
from mera_edge.features.fbank import SAMPLE_RATE, LogMel
from mera_edge.metrics.word_error_rate import distance, normalized
from mera_edge.stages.vad import VoiceActivity
from mera_train import audio

TICK_S, OLD_S = 0.2, 2.0
SILENCE = np.zeros(SAMPLE_RATE, np.float32)


def words(hypothesis: Hypothesis, until: int | None = None) -> list[str]:
    return [normalized(word.text) for word in hypothesis.words[:until]]


def hear(
    recognizer: SpeechRecognizer, activity: VoiceActivity, samples: np.ndarray, settle: bool
) -> tuple[list[list[Hypothesis]], list[Hypothesis]]:
    """Return what was shown of each utterance, and the final texts."""
    recognizer.reset()
    activity.reset()
    log_mel, shown, finals, now_s, spoken = LogMel(), [[]], [], 0.0, False

    def end() -> None:
        final = finalized(recognizer)
        finals.append(final if spoken else replace(final, text="", words=()))

    size = round(TICK_S * SAMPLE_RATE)
    for start in range(0, len(samples), size):
        piece = samples[start : start + size]
        now_s += len(piece) / SAMPLE_RATE
        frames = log_mel.accept(piece)
        speaking = activity.accept(frames)
        spoken |= speaking
        recognizer.accept(AudioBlock(frames, now_s, piece, speaking))
        if settle and spoken:
            recognizer.refine_partial(math.inf)
        if spoken:
            shown[-1].append(recognizer.partial())
        if recognizer.is_endpoint():
            end()
            shown.append([])
            spoken = False
    recognizer.accept(AudioBlock(log_mel.flush(), now_s))
    recognizer.flush()
    end()
    return shown, finals


class Kept:
    """Counts words that were shown, and those of them that the final text has."""

    def __init__(self) -> None:
        self.shown = self.stayed = 0

    def add(self, promised: list[list[str]], final: list[str]) -> None:
        """Take words from the first on, as they were promised in each tick."""
        first = {(i, word) for said in promised for i, word in enumerate(said)}
        self.shown += len(first)
        self.stayed += sum(i < len(final) and final[i] == word for i, word in first)

    def __str__(self) -> str:
        return f"{self.stayed} of {self.shown} words stay ({self.stayed / max(1, self.shown):.1%})"


def main() -> None:
    manifest = Path(sys.argv[1])
    bundle = Bundle.open(Path(sys.argv[2]) if len(sys.argv) > 2 else None)
    recognizer, activity = open_recognizer(bundle), VoiceActivity(bundle)
    if isinstance(recognizer, Recognizer):
        raise SystemExit("no final pass: run mera-edge models pull moonshine-tiny-en")
    settled, streamed, errors, spoken, in_time = Kept(), Kept(), 0, 0, 0
    heard_s, took_s = 0.0, {True: 0.0, False: 0.0}
    with manifest.open(encoding="utf-8") as lines:
        rows = list(csv.DictReader(lines))
    for row in rows:
        samples = np.concatenate([audio.read(manifest.parent, row["file"]), SILENCE])
        heard_s += len(samples) / SAMPLE_RATE
        for settle in (False, True):
            began = time.process_time()
            shown, finals = hear(recognizer, activity, samples, settle)
            took_s[settle] += time.process_time() - began
        for growing, final in zip(shown, finals, strict=True):
            said = words(final)
            promised = [words(hypothesis, hypothesis.settled) for hypothesis in growing]
            settled.add(promised, said)
            in_time += max(map(len, promised), default=0)
            old = [
                [normalized(w.text) for w in h.words if w.end_s <= h.end_s - OLD_S]
                for h in growing
                if h.recognized_by == "streaming"
            ]
            streamed.add(old, said)
        wanted = normalized(row["text"]).split()
        errors += distance(wanted, normalized(" ".join(f.text for f in finals)).split())
        spoken += len(wanted)
    print(f"{len(rows)} recordings, {heard_s:.0f} s, {spoken} words")
    print(f"settled: {settled}; {in_time / spoken:.0%} of all words were so before the end")
    print(f"streamed, {OLD_S:g} s old: {streamed}")
    print(f"final texts: word error rate {errors / spoken:.1%}")
    print(f"processor time: {took_s[True] / heard_s:.3f} of real time, ", end="")
    print(f"{took_s[False] / heard_s:.3f} without partial words of the final pass")


if __name__ == "__main__":
    main()
