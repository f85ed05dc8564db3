"""What the end of an utterance costs: the final text at once, and spread over live ticks.

    python benchmarks/endpoint.py [SPEECH] [BUNDLE]

Processor time of the thread, so that what else the machine does is left out; the least of three.
The speech, the sample's by default, is repeated without a pause until the utterance is as long as
the first column says; speech with pauses ends earlier, and is refused. *At once* is what `predict`
does; *longest tick* is the most that a live tick takes from then on until the final text is known,
and *ticks* how many those are, with those in which a chunk of sound fills that makes the utterance
long enough. Time is shared out by the clock: where others have the processor it takes more ticks.
"""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median

import numpy as np

from mera_edge.asr import Recognizer
from mera_edge.bundle import Bundle
from mera_edge.config import RecognitionSettings
from mera_edge.features.audio import AudioBlock
from mera_edge.features.fbank import SAMPLE_RATE, LogMel
from mera_edge.host.load import SystemLoad
from mera_edge.pipeline.mode import Live
from mera_edge.pipeline.perception import SourceAvailability
from mera_edge.pipeline.pipeline import Pipeline
from mera_edge.sample import CLIP
from mera_edge.sources.base import AudioChunk, Captured
from mera_edge.sources.media import MediaFile

LENGTHS_S, TICK_S, TIMES = (3, 6, 12, 20), 0.2, 3


def pieces(speech: Path, length_s: float) -> Iterator[np.ndarray]:
    media = MediaFile(speech, video=False)
    media.open()
    samples = np.concatenate([sound.samples for sound in media.poll(math.inf).audio])
    media.close()
    size = round(TICK_S * SAMPLE_RATE)
    samples = np.resize(samples[round(0.4 * SAMPLE_RATE) :], round(length_s * SAMPLE_RATE))
    return (samples[start : start + size] for start in range(0, len(samples) - size + 1, size))


def at_once_ms(bundle: Bundle, speech: Path, length_s: int) -> float:
    """Return what the final text of an utterance takes."""
    recognizer, log_mel, end_s = Recognizer(bundle), LogMel(), 0.0
    for piece in pieces(speech, length_s):
        end_s += TICK_S
        recognizer.accept(AudioBlock(log_mel.accept(piece), end_s))
    began = time.thread_time()
    recognizer.finalize(math.inf)
    return 1000 * (time.thread_time() - began)


def live(bundle: Bundle, speech: Path, length_s: int) -> tuple[int, float, float]:
    """Return how many ticks the final text takes, the longest of them, and the median of all."""
    rules = RecognitionSettings(
        rule1_min_trailing_silence=99,
        rule2_min_trailing_silence=99,
        rule3_min_utterance_length=length_s - 0.64,
    )
    pipeline = Pipeline(bundle, Live(SystemLoad), rules)
    pipeline.warm_up()
    took_ms: list[float] = []
    view, final = SourceAvailability(audio=True, video=False), None
    for number, piece in enumerate(pieces(speech, length_s + 30), start=1):
        captured = Captured([AudioChunk(piece, (number - 1) * TICK_S)])
        began = time.thread_time()
        result = pipeline.tick(captured, number * TICK_S, view)
        took_ms.append(1000 * (time.thread_time() - began))
        if result.observation.ended:
            final = number
            break
    if final is None:
        raise SystemExit("the utterance did not end: give speech")
    ends = [n for n in range(1, final + 1) if n * TICK_S >= length_s - 0.64]
    if not ends:
        raise SystemExit(
            f"the utterance ended after {final * TICK_S:.1f} s: give speech without pauses"
        )
    return len(ends), max(took_ms[n - 1] for n in ends), median(took_ms)


def main() -> None:
    speech = Path(sys.argv[1]) if len(sys.argv) > 1 else CLIP
    bundle = Bundle.open(Path(sys.argv[2]) if len(sys.argv) > 2 else None)
    print("| utterance, s | at once, ms | ticks | longest tick, ms | median tick, ms |")
    print("| --- | --- | --- | --- | --- |")
    for length_s in LENGTHS_S:
        once = min(at_once_ms(bundle, speech, length_s) for _ in range(TIMES))
        ticks, longest, usual = min(
            (live(bundle, speech, length_s) for _ in range(TIMES)), key=lambda row: row[1]
        )
        print(f"| {length_s} | {once:.0f} | {ticks} | {longest:.0f} | {usual:.1f} |", flush=True)


if __name__ == "__main__":
    main()
