"""On-device emotion recognition from voice, words and face, fused, within a latency budget.

A file:

    import mera_edge

    prediction = mera_edge.predict("talk.mp4")
    print(prediction.summary.emotion.label, prediction.summary.transcript)
    for event in prediction.events:
        print(event.media_time_s, event.emotion)

Camera and microphone, until Ctrl-C:

    mera_edge.run_live(mera_edge.Settings(camera=0, mic="default"), on_event=print)

Your own frames and audio:

    with mera_edge.Stream() as stream:
        event = stream.tick(now_s, audio=samples, frame=image)

Speech recognition alone:

    print(mera_edge.transcribe("talk.wav").text)

A sink is any object with `publish(event)` and `close(summary)`. Every error is a `MeraError`, whose
message says what is wrong and what to do.

Each name is loaded when it is first used; `help(mera_edge.predict)` describes one:

    predict, Predictor, Prediction                          recorded files
    run_live, Settings, RoomSettings, SinkSettings,
        RecognitionSettings, Control                        cameras and microphones
    Stream                                                  your own frames and sound
    transcribe, SpeechStream, SpeechRecognizer,
        FileTranscript, Hypothesis, Word                    speech recognition alone
    EmotionEvent, Emotion, Moment, Summary, EMOTIONS        results
    Bundle                                                  models
    Sink, MeraError                                         what to implement, what to catch
"""

import os

__version__ = "0.1.0"

# Since 1.29, ONNX Runtime's Linux wheels send telemetry unless this is set before they are loaded.
# Every package of this project imports this one first. Only an explicit 0 permits telemetry.
if os.environ.get("ORT_DISABLE_TELEMETRY") != "0":
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"

TYPE_CHECKING = False  # type checkers treat it as True; importing typing would be slow
if TYPE_CHECKING:
    from mera_edge.asr.protocol import Hypothesis as Hypothesis
    from mera_edge.asr.protocol import SpeechRecognizer as SpeechRecognizer
    from mera_edge.asr.protocol import Word as Word
    from mera_edge.asr.transcribe import FileTranscript as FileTranscript
    from mera_edge.asr.transcribe import SpeechStream as SpeechStream
    from mera_edge.asr.transcribe import transcribe as transcribe
    from mera_edge.bundle import Bundle as Bundle
    from mera_edge.config import RecognitionSettings as RecognitionSettings
    from mera_edge.config import RoomSettings as RoomSettings
    from mera_edge.config import Settings as Settings
    from mera_edge.config import SinkSettings as SinkSettings
    from mera_edge.errors import MeraError as MeraError
    from mera_edge.events import Emotion as Emotion
    from mera_edge.events import EmotionEvent as EmotionEvent
    from mera_edge.events import Moment as Moment
    from mera_edge.events import Summary as Summary
    from mera_edge.labels import EMOTIONS as EMOTIONS
    from mera_edge.service.control import Control as Control
    from mera_edge.service.live import run_live as run_live
    from mera_edge.service.predict import Prediction as Prediction
    from mera_edge.service.predict import Predictor as Predictor
    from mera_edge.service.predict import predict as predict
    from mera_edge.service.stream import Stream as Stream
    from mera_edge.sinks import Sink as Sink

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
"""Public names by module; each is imported on first use."""


def __getattr__(name: str) -> object:
    from importlib import import_module

    for home, names in _HOMES.items():
        if name in names:
            value: object = getattr(import_module(f"{__name__}.{home}"), name)
            globals()[name] = value
            return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *(name for names in _HOMES.values() for name in names)})
