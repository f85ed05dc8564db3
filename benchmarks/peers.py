"""Recognizers side by side on the same utterances: word error rate and processor time, in one run.

    python benchmarks/peers.py MANIFEST.csv RECOGNIZER ...

MANIFEST.csv has ``file,text``. A RECOGNIZER is ours: ``both`` passes, ``streaming`` only, or that
with a ``greedy`` search, in pieces of 0.2 s as on the device; ``final:DIR``, our code for Moonshine
alone; or others' code: ``pocketsphinx``, ``whisper:DIR`` (faster-whisper), ``moonshine:DIR``
(moonshine-voice, which divides utterances once more), ``sherpa:DIR`` (sherpa-onnx, for Moonshine).
All get a second of silence after the utterance, run on one thread, and alternate. Times are CPU
times.
"""

from __future__ import annotations

import sys
import tempfile
import time
from base64 import b64encode
from collections.abc import Callable, Iterator
from itertools import combinations
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mera_edge.asr.factory import open_recognizer
from mera_edge.asr.moonshine import Moonshine, read_tokens
from mera_edge.asr.transcribe import SpeechStream
from mera_edge.bundle import Bundle
from mera_edge.config import RecognitionSettings
from mera_edge.evaluation import labelled_csv
from mera_edge.features.fbank import SAMPLE_RATE
from mera_edge.metrics.word_error_rate import normalized, word_error_rate
from mera_edge.stages.vad import VoiceActivity
from mera_train import audio
from mera_train.figures import markdown

Transcribe = Callable[[NDArray[np.float32]], str]
"""From samples of one utterance, 16 kHz, to its text."""

PIECE = SAMPLE_RATE // 5
SILENCE_S = 1.0


def ours(settings: RecognitionSettings) -> Transcribe:
    bundle = Bundle.open()
    recognizer, activity = open_recognizer(bundle, settings), VoiceActivity(bundle)

    def utterances(samples: NDArray[np.float32]) -> Iterator[str]:
        stream = SpeechStream(recognizer, activity)
        for start in range(0, len(samples), PIECE):
            yield from (heard.text for heard in stream.accept(samples[start : start + PIECE]))
        yield from (heard.text for heard in stream.flush())

    return lambda samples: " ".join(utterances(samples))


def pocketsphinx() -> Transcribe:
    from pocketsphinx import Decoder

    decoder = Decoder(samprate=SAMPLE_RATE, loglevel="FATAL")

    def transcribe(samples: NDArray[np.float32]) -> str:
        decoder.start_utt()
        decoder.process_raw((samples * 32767).astype(np.int16).tobytes(), full_utt=True)
        decoder.end_utt()
        return str(decoder.hyp().hypstr) if decoder.hyp() else ""

    return transcribe


def whisper(folder: Path) -> Transcribe:
    from faster_whisper import WhisperModel

    model = WhisperModel(str(folder), device="cpu", compute_type="float32", cpu_threads=1)

    def transcribe(samples: NDArray[np.float32]) -> str:
        segments, _ = model.transcribe(samples, language="en", beam_size=1, temperature=0)
        return " ".join(segment.text for segment in segments)

    return transcribe


def moonshine(folder: Path) -> Transcribe:
    from moonshine_voice import ModelArch, Transcriber

    model = Transcriber(str(folder), ModelArch.TINY)

    def transcribe(samples: NDArray[np.float32]) -> str:
        lines = model.transcribe_without_streaming(samples.tolist(), SAMPLE_RATE).lines
        return " ".join(line.text for line in lines)

    return transcribe


def final(folder: Path) -> Transcribe:
    model = Moonshine(folder)
    return lambda samples: model.recognize(samples).text


def sherpa(folder: Path) -> Transcribe:
    from sherpa_onnx import OfflineRecognizer

    with tempfile.NamedTemporaryFile("wb", suffix=".txt") as tokens:
        pieces = read_tokens(folder / "tokenizer.bin")
        tokens.writelines(b64encode(p) + f" {n}\n".encode() for n, p in enumerate(pieces))
        tokens.flush()
        recognizer = OfflineRecognizer.from_moonshine_v2(
            encoder=str(folder / "encoder_model.ort"),
            decoder=str(folder / "decoder_model_merged.ort"),
            tokens=tokens.name,
            num_threads=1,
        )

    def transcribe(samples: NDArray[np.float32]) -> str:
        stream = recognizer.create_stream()
        stream.accept_waveform(SAMPLE_RATE, samples)
        recognizer.decode_stream(stream)
        return str(stream.result.text)

    return transcribe


OURS = {
    "both": RecognitionSettings(),
    "streaming": RecognitionSettings(final="none"),
    "greedy": RecognitionSettings(final="none", search="greedy"),
}
PUBLISHED = {"final": final, "whisper": whisper, "moonshine": moonshine, "sherpa": sherpa}


def directory(name: str) -> str:
    return name.partition(":")[2] or name


def opened(name: str) -> Transcribe:
    kind, _, folder = name.partition(":")
    if kind in OURS:
        return ours(OURS[kind])
    return pocketsphinx() if kind == "pocketsphinx" else PUBLISHED[kind](Path(folder))


def main() -> None:
    manifest, names = Path(sys.argv[1]), sys.argv[2:]
    rows = labelled_csv.read(manifest, "file", "text")
    peers = {name: opened(name) for name in names}
    took, texts = dict.fromkeys(peers, 0.0), {name: list[str]() for name in peers}
    seconds = 0.0
    for row in rows:
        samples = audio.read(manifest.parent, row.given)
        seconds += len(samples) / SAMPLE_RATE
        samples = np.pad(samples, (0, round(SILENCE_S * SAMPLE_RATE)))
        for name, transcribe in peers.items():
            began = time.process_time()
            texts[name].append(transcribe(samples))
            took[name] += time.process_time() - began
    said = [normalized(row.label) for row in rows]
    lines = []
    for name, heard in texts.items():
        figures = word_error_rate(said, [normalized(text) for text in heard])
        low, high = figures["interval_95"]["wer"]
        rate = f"{took[name] / seconds:.3f}"
        lines.append([name, f"{figures['wer']:.1%}", f"{low:.1%} to {high:.1%}", rate])
    print(f"{len(rows)} utterances, {seconds / 60:.1f} minutes\n")
    print(markdown(["recognizer", "WER", "95 % interval", "real-time factor"], lines))
    of_one_model = [pair for pair in combinations(names, 2) if len({*map(directory, pair)}) == 1]
    for one, other in of_one_model:
        pairs = zip(texts[one], texts[other], strict=True)
        equal = sum(normalized(first) == normalized(second) for first, second in pairs)
        print(f"equal texts, {one} and {other}: {equal / len(rows):.1%}")


if __name__ == "__main__":
    main()
