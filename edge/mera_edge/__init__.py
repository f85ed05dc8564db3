"""On-device emotion recognition from voice, words and face, fused, within a latency budget.

A file:

    import mera_edge

    prediction = mera_edge.predict("talk.mp4")
    print(prediction.summary.emotion.label, prediction.summary.transcript)
    for event in prediction.events:
        print(event.media_time_s, event.emotion)

Camera and microphone, until Ctrl-C:

    mera_edge.run_live(mera_edge.Settings(camera=0, mic="default"), on_event=print)

Your own frames and sound:

    with mera_edge.Stream() as stream:
        event = stream.tick(now_s, audio=samples, frame=image)

Speech recognition alone:

    print(mera_edge.transcribe("talk.wav").text)

A sink is any object with `publish(event)` and `close(summary)`. Every error is a `MeraError`, whose
message says what is wrong and what to do. Names are imported when they are first used.
"""

import os
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

# The Linux wheels of ONNX Runtime report to their maker since 1.29, unless this is set when they
# are loaded. Every package of this project imports this one first. Only an explicit 0 allows it.
if os.environ.get("ORT_DISABLE_TELEMETRY") != "0":
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"

if TYPE_CHECKING:
    from mera_edge.asr.protocol import Hypothesis, SpeechRecognizer, Word
    from mera_edge.asr.transcribe import FileTranscript, SpeechStream, transcribe
    from mera_edge.bundle import Bundle
    from mera_edge.config import RecognitionSettings, RoomSettings, Settings, SinkSettings
    from mera_edge.errors import MeraError
    from mera_edge.events import Emotion, EmotionEvent, Moment, Summary
    from mera_edge.labels import EMOTIONS
    from mera_edge.service.control import Control
    from mera_edge.service.live import run_live
    from mera_edge.service.predict import Prediction, Predictor, predict
    from mera_edge.service.stream import Stream
    from mera_edge.sinks import Sink

__all__ = [
    "EMOTIONS",
    "Bundle",
    "Control",
    "Emotion",
    "EmotionEvent",
    "FileTranscript",
    "Hypothesis",
    "MeraError",
    "Moment",
    "Prediction",
    "Predictor",
    "RecognitionSettings",
    "RoomSettings",
    "Settings",
    "Sink",
    "SinkSettings",
    "SpeechRecognizer",
    "SpeechStream",
    "Stream",
    "Summary",
    "Word",
    "predict",
    "run_live",
    "transcribe",
]

_HOMES = {
    "asr.protocol": ("Hypothesis", "SpeechRecognizer", "Word"),
    "asr.transcribe": ("FileTranscript", "SpeechStream", "transcribe"),
    "bundle": ("Bundle",),
    "config": ("RecognitionSettings", "RoomSettings", "Settings", "SinkSettings"),
    "errors": ("MeraError",),
    "events": ("Emotion", "EmotionEvent", "Moment", "Summary"),
    "labels": ("EMOTIONS",),
    "service.control": ("Control",),
    "service.live": ("run_live",),
    "service.predict": ("Prediction", "Predictor", "predict"),
    "service.stream": ("Stream",),
    "sinks": ("Sink",),
}
"""Where each public name lives: it is loaded when it is first used."""


def __getattr__(name: str) -> Any:
    from importlib import import_module

    for home, names in _HOMES.items():
        if name in names:
            value = getattr(import_module(f"{__name__}.{home}"), name)
            globals()[name] = value
            return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
