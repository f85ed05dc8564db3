"""One hour of continuous speech through the recognizer: is the cost per chunk constant?

    python benchmarks/hour.py SPEECH [BUNDLE]

The recording is repeated without a pause until the hour is full. Processor time, so that what else
the machine does is left out; the medians of six times ten minutes, and the memory after each.
"""

from __future__ import annotations

import sys
import time
from itertools import cycle
from pathlib import Path
from statistics import median

from mera_edge.asr import Recognizer, finalized
from mera_edge.bench.usage import Usage
from mera_edge.bundle import Bundle
from mera_edge.features.audio import AudioBlock
from mera_edge.features.fbank import SAMPLE_RATE, LogMel
from mera_edge.sources.media import MediaFile

HOUR_S, PART_S, PIECE_S = 3600, 600, 0.64


def main() -> None:
    bundle = Bundle.open(Path(sys.argv[2]) if len(sys.argv) > 2 else None)
    source = MediaFile(Path(sys.argv[1]), video=False)
    source.open()
    sounds = source.poll(float("inf")).audio
    source.close()
    recognizer, log_mel = Recognizer(bundle), LogMel()
    size = round(PIECE_S * SAMPLE_RATE)
    pieces = [s.samples[i : i + size] for s in sounds for i in range(0, len(s.samples), size)]
    heard_s, took, words = 0.0, [], 0
    print("| minutes | ms a piece of 0.64 s, median | RSS, MB |\n| --- | --- | --- |")
    for piece in cycle(pieces):
        began = time.process_time()
        heard_s += len(piece) / SAMPLE_RATE
        recognizer.accept(AudioBlock(log_mel.accept(piece), heard_s))
        if recognizer.is_endpoint():
            words += len(finalized(recognizer).words)
        took.append(time.process_time() - began)
        if heard_s // PART_S > (heard_s - len(piece) / SAMPLE_RATE) // PART_S:
            minutes = round(heard_s / 60)
            print(
                f"| {minutes} | {1e3 * median(took):.2f} | {Usage.now().rss_mb:.1f} |", flush=True
            )
            took = []
        if heard_s >= HOUR_S:
            break
    print(f"\n{words} words in utterances that ended")


if __name__ == "__main__":
    main()
