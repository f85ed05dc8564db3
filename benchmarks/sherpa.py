"""Our recognizer against sherpa-onnx on the same ONNX file: transcripts and time, in one run.

    python benchmarks/sherpa.py BUNDLE MANIFEST.csv [UTTERANCES]

Both search greedily, and get the samples of an utterance at once, with a second of silence after
them, on one thread; they take turns, and so does who goes first.
"""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import numpy as np
import sherpa_onnx
from numpy.typing import NDArray

from mera_edge.asr import Recognizer
from mera_edge.bundle import Bundle
from mera_edge.config import RecognitionSettings
from mera_edge.evaluation import labelled_csv
from mera_edge.features.audio import AudioBlock
from mera_edge.features.fbank import SAMPLE_RATE, LogMel
from mera_edge.sources.media import MediaFile

Transcribe = Callable[[NDArray[np.float32]], tuple[str, float]]
"""From samples to the text, and the seconds that took."""


def ours(bundle: Bundle) -> Transcribe:
    recognizer = Recognizer(bundle, RecognitionSettings(search="greedy"))

    def transcribe(samples: NDArray[np.float32]) -> tuple[str, float]:
        began = time.perf_counter()
        recognizer.accept(AudioBlock(LogMel().accept(samples), len(samples) / SAMPLE_RATE))
        text, took = recognizer.partial().text, time.perf_counter() - began
        # What waits for a whole window is decoded by neither: theirs goes with its stream.
        recognizer.reset()
        return text, took

    return transcribe


def theirs(bundle: Bundle) -> Transcribe:
    role = bundle.role("asr")
    recognizer = sherpa_onnx.OnlineRecognizer.from_wenet_ctc(
        tokens=str(role.path("tokens")),
        model=str(role.path()),
        num_threads=1,
        chunk_size=role.entry.settings["chunk_size"],
        num_left_chunks=role.entry.settings["left_chunks"],
    )

    def transcribe(samples: NDArray[np.float32]) -> tuple[str, float]:
        began = time.perf_counter()
        stream = recognizer.create_stream()
        stream.accept_waveform(SAMPLE_RATE, samples)
        while recognizer.is_ready(stream):
            recognizer.decode_stream(stream)
        # A word start that nothing follows is a second space there.
        text = " ".join(str(recognizer.get_result(stream)).split())
        return text, time.perf_counter() - began

    return transcribe


def samples(file: str) -> NDArray[np.float32]:
    media = MediaFile(Path(file), video=False)
    media.open()
    parts = [sound.samples for sound in media.poll(math.inf).audio]
    media.close()
    return np.concatenate([*parts, np.zeros(SAMPLE_RATE, np.float32)])


def main() -> None:
    bundle, rows = (
        Bundle.open(Path(sys.argv[1])),
        labelled_csv.read(Path(sys.argv[2]), "file", "text"),
    )
    if len(sys.argv) > 3:
        rows = rows[:: max(1, len(rows) // int(sys.argv[3]))]
    both = (ours(bundle), theirs(bundle))
    took: tuple[list[float], list[float]] = ([], [])
    equal, seconds = 0, 0.0
    for number, row in enumerate(rows):
        heard, texts = samples(row.given), ["", ""]
        for index in (0, 1) if number % 2 else (1, 0):
            texts[index], seconds_taken = both[index](heard)
            took[index].append(seconds_taken)
        equal += texts[0] == texts[1]
        seconds += len(heard) / SAMPLE_RATE
    ratios = [one / other for one, other in zip(*took, strict=True)]
    print(f"{len(rows)} utterances, {seconds / 60:.1f} minutes")
    print(f"equal transcripts: {equal / len(rows):.1%}")
    mine, other = (sum(times) for times in took)
    print(f"real-time factor: ours {mine / seconds:.4f}, theirs {other / seconds:.4f}")
    print(f"ratio of times: {mine / other:.2f}, median {median(ratios):.2f}")


if __name__ == "__main__":
    main()
