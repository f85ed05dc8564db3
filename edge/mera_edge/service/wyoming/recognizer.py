"""Our recognizer as a Wyoming service."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from functools import partial
from typing import Any

from wyoming.asr import (
    Transcribe,
    Transcript,
    TranscriptChunk,
    TranscriptStart,
    TranscriptStop,
)
from wyoming.audio import AudioChunk, AudioStart, AudioStop
from wyoming.event import Event
from wyoming.info import AsrModel, AsrProgram, Attribution, Describe, Info

from mera_edge import __version__
from mera_edge.asr.factory import open_recognizer
from mera_edge.asr.protocol import Hypothesis, SpeechRecognizer, finalized
from mera_edge.bundle import Bundle
from mera_edge.config import RecognitionSettings
from mera_edge.errors import MeraError
from mera_edge.service.wyoming.connection import LONGEST_S, Connection, PcmDecoder
from mera_edge.service.wyoming.utterance_emotion import UtteranceEmotion

_MOST_TERMS, _LONGEST_TERM = 100, 64


class RecognizerPool:
    """What connections share: the models, and recognizers that wait for the next one.

    Args:
        bundle: the models.
        recognition: how speech is recognized.
        worker: the thread that runs models.
    """

    def __init__(self, bundle: Bundle, recognition: RecognitionSettings, worker: Executor) -> None:
        self._bundle, self._recognition, self._worker = bundle, recognition, worker
        self._free: list[SpeechSession] = [
            SpeechSession(bundle, open_recognizer(bundle, recognition))
        ]

    async def run(self, work: Callable[[], Any]) -> Any:
        """Run something in the thread of the models."""
        return await asyncio.get_running_loop().run_in_executor(self._worker, work)

    def take(self, terms: Sequence[str] = ()) -> SpeechSession:
        """Return a recognizer that expects some words, as if it were new."""
        if terms:
            settings = {**self._recognition.model_dump(), "hot_words": terms, "search": None}
            try:
                wanted = RecognitionSettings.model_validate(settings)
                return SpeechSession(self._bundle, open_recognizer(self._bundle, wanted))
            except MeraError:
                pass  # a published model may know no hot words: better without than not at all
        speech = (
            self._free.pop()
            if self._free
            else SpeechSession(self._bundle, open_recognizer(self._bundle, self._recognition))
        )
        speech.reset()
        return speech

    def give(self, speech: SpeechSession) -> None:
        """Let another connection have a recognizer."""
        if not self._free:
            self._free.append(speech)

    def info(self) -> Info:
        """Say what there is."""
        name = self._recognition.model or self._bundle.manifest.name
        source = Attribution(name="mera-edge", url="")
        about = "streaming speech recognition that adds the emotion to the transcript's context"
        model = AsrModel(
            name=name, attribution=source, installed=True, description=name,
            version=__version__, languages=["en"],
        )  # fmt: skip
        program = AsrProgram(
            name="mera-edge", attribution=source, installed=True, description=about,
            version=__version__, models=[model], supports_transcript_streaming=True,
            # Levels and noises are a part of how something is said.
            prefers_auto_gain_enabled=False, prefers_noise_reduction_enabled=False,
        )  # fmt: skip
        return Info(asr=[program])


class SpeechSession:
    """A recognizer and what listens to the voice beside it."""

    def __init__(self, bundle: Bundle, recognizer: SpeechRecognizer) -> None:
        self._recognizer, self._emotion = recognizer, UtteranceEmotion(bundle)
        self._utterances: list[Hypothesis] = []
        self._sound = PcmDecoder()

    @property
    def heard_s(self) -> float:
        """PcmDecoder heard so far."""
        return self._emotion.heard_s

    def reset(self) -> None:
        """Forget everything."""
        self._recognizer.reset()
        self._emotion.reset()
        self._utterances, self._sound = [], PcmDecoder()

    def accept(self, event: Event) -> str:
        """Hear a chunk, and return what has been understood for good by it."""
        self._recognizer.accept(self._emotion.accept(self._sound.accept(event)))
        return self._end() if self._recognizer.is_endpoint() else ""

    def finish(self) -> tuple[str, str, dict[str, Any] | None]:
        """Return the last words, all of them, and how they were said."""
        self._recognizer.accept(self._emotion.flush())
        self._recognizer.flush()
        last = self._end()
        said = [each for each in self._utterances if each.text]
        text = " ".join(each.text for each in said)
        sure = min((each.confidence for each in said), default=1.0)
        return last, text, self._emotion.conclude(text, sure)

    def _end(self) -> str:
        self._utterances.append(finalized(self._recognizer))
        return self._utterances[-1].text


class RecognizerConnection(Connection):
    """Answers one client: what there is, and what it said.

    Args:
        models: shared.
        reader, writer, say: see `Connection`.
    """

    def __init__(self, models: RecognizerPool, *connection: Any) -> None:
        super().__init__(*connection)
        self._models = models
        self._speech: SpeechSession | None = None
        self._terms: tuple[str, ...] = ()

    async def handle_event(self, event: Event) -> bool:
        """Take an event; return whether the connection goes on."""
        if Describe.is_type(event.type):
            await self.write_event(self._models.info().event())
        elif Transcribe.is_type(event.type):
            self._terms = terms(Transcribe.from_event(event))
        elif AudioStart.is_type(event.type):
            await self.disconnect()
            self._speech = await self._models.run(partial(self._models.take, self._terms))
            await self.write_event(TranscriptStart().event())
        elif AudioChunk.is_type(event.type) and self._speech is not None:
            words = await self._models.run(partial(self._speech.accept, event))
            await self._send(words)
            return self._speech.heard_s < LONGEST_S or await self._finish()
        elif AudioStop.is_type(event.type) and self._speech is not None:
            await self._finish()
        return True

    async def disconnect(self) -> None:
        """Let another connection have the recognizer."""
        if self._speech is not None and not self._terms:
            self._models.give(self._speech)
        self._speech = None

    async def _finish(self) -> bool:
        """Send the transcript. The connection ends if nobody said that the sound does."""
        if self._speech is not None:
            words, text, context = await self._models.run(self._speech.finish)
            await self._send(words)
            await self.write_event(Transcript(text=text, context=context).event())
            await self.write_event(TranscriptStop().event())
            await self.disconnect()
        return False

    async def _send(self, words: str) -> None:
        if words:
            await self.write_event(TranscriptChunk(text=f"{words} ").event())


def terms(asked: Transcribe) -> tuple[str, ...]:
    """Return words to be expected, the most important first and not too many."""
    given = [*(asked.transcript_names or ()), *(asked.transcript_terms or ())]
    usable = (term.strip() for term in given if isinstance(term, str))
    return tuple(term for term in usable if 0 < len(term) <= _LONGEST_TERM)[:_MOST_TERMS]
