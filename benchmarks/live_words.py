"""When the text of an utterance is final, in real time: a part of `live.py`.

Utterances of MANIFEST one after the other, with pauses between them. An utterance ends where the
speech detector heard the last of it; that it is over, the detector says `HANGOVER_S` later.
"""

from __future__ import annotations

import math
import os
import tempfile
import threading
import wave
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mera_edge.bundle import Bundle
from mera_edge.config import RecognitionSettings
from mera_edge.evaluation import labelled_csv
from mera_edge.events import Summary
from mera_edge.features.fbank import SAMPLE_RATE, log_mel
from mera_edge.host.load import LoadMonitor
from mera_edge.pipeline.mode import Live
from mera_edge.pipeline.pipeline import Pipeline, TickResult
from mera_edge.service.clock import RealClock
from mera_edge.service.run_loop import run
from mera_edge.sources.media import MediaFile
from mera_edge.stages.vad import HANGOVER_S, VoiceActivity
from mera_train.audio import read

UTTERANCES, PAUSE_S = 8, 2.0


class Finals:
    """Notes when a text became final."""

    def __init__(self) -> None:
        self.at_s: list[float] = []

    def publish(self, result: TickResult) -> None:
        observation = result.observation
        if observation.ended and observation.transcript.text:
            self.at_s.append(observation.now_s + result.cost.compute_ms / 1000)

    def close(self, summary: Summary) -> None:
        pass


def figures() -> Iterator[tuple[str, float]]:
    bundle, sound = Bundle.open(), spoken()
    ends_s = list(ends(bundle, sound))
    with tempfile.TemporaryDirectory() as place:
        path = Path(place) / "spoken.wav"
        with wave.open(str(path), "wb") as file:
            file.setparams((1, 2, SAMPLE_RATE, 0, "NONE", ""))
            file.writeframes((sound * 32767).astype("<i2").tobytes())
        for name, final in (("one", "none"), ("both", "auto")):
            pipeline = Pipeline(bundle, Live(LoadMonitor()), RecognitionSettings(final=final))
            pipeline.warm_up()
            finals, source = Finals(), MediaFile(path, video=False)
            run(pipeline, [source], RealClock(), [], threading.Event(), observers=[finals])
            late = [at - max(e for e in ends_s if e <= at) for at in finals.at_s]
            p50, p95 = np.percentile(late, (50, 95)) * 1000
            yield f"words, {name}, finals", len(late)
            yield f"words, {name}, p50", p50
            yield f"words, {name}, p95", p95
            yield f"words, {name}, p50 after the detector", p50 - 1000 * HANGOVER_S
            yield f"words, {name}, p95 after the detector", p95 - 1000 * HANGOVER_S


def spoken() -> NDArray[np.float32]:
    manifest = Path(os.environ["MANIFEST"])
    rows = labelled_csv.read(manifest, "file", "text")
    rows = rows[:: max(1, len(rows) // UTTERANCES)][:UTTERANCES]
    random = np.random.default_rng(0)
    parts = []
    for row in rows:
        parts += [read(manifest.parent, row.given), random.normal(0, 5e-4, round(PAUSE_S * 16_000))]
    return np.concatenate(parts).astype(np.float32)


def ends(bundle: Bundle, sound: NDArray[np.float32]) -> Iterator[float]:
    """Give the moments at which speech ended."""
    activity, frames = VoiceActivity(bundle), log_mel(sound)
    before = False
    for start in range(0, len(frames), 4):
        now = activity.accept(frames[start : start + 4])
        if before and not now:
            yield (start + 4) / 100 - HANGOVER_S
        before = now
    yield math.inf


if __name__ == "__main__":
    for name, value in figures():
        print(f"{name:40} {value:.1f}", flush=True)
