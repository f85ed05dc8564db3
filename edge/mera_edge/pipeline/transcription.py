"""The words of a room: recognized, and read for what they say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

from mera_edge.asr.factory import open_recognizer
from mera_edge.asr.protocol import Hypothesis, SpeechRecognizer, Word, finalized
from mera_edge.config import RecognitionSettings
from mera_edge.events import Transcript
from mera_edge.evidence import Evidence
from mera_edge.features.audio import AudioBlock
from mera_edge.pipeline.latency_budget import TickPlan
from mera_edge.pipeline.stage_runner import Stages
from mera_edge.stages.text import sentence_encoder

LEAST_CONFIDENCE = 0.5
"""Of the recognizer in its words, below which they are shown but not taken for evidence."""

_ENDS = (".", "!", "?", "。", "！", "？")
_PAUSE_S, _LONGEST_S = 0.6, 8.0
"""A pause between two sentences, and what counts of one without an end."""


@dataclass(frozen=True, slots=True)
class Words:
    """What became of the words in one tick."""

    evidence: Evidence | None = None
    ended: bool = False
    """Whether the transcript is a whole utterance, known to its end in this tick."""
    cut: bool = False
    """Whether the next utterance began."""
    skipped: bool = False
    """Whether words were not read for want of time."""


class Transcriber:
    """Recognizer and text encoder of one room.

    Args:
        stages: makes them.
        recognition: how speech is recognized.

    Attributes:
        transcript: the newest words.
    """

    def __init__(self, stages: Stages, recognition: RecognitionSettings) -> None:
        self._recognizer = stages.runner("asr", partial(open_recognizer, settings=recognition))
        self._text = stages.runner("text", sentence_encoder)
        self.reset()

    def reset(self) -> None:
        """Forget everything: what comes next is the first of a new stream."""
        self._recognizer.reset()
        self._text.reset()
        self._shown, self._finalizing, self._was_spoken = "", False, False
        self.give_up(0.0)
        self.transcript = Transcript(text="", final=False, confidence=0.0)

    def warm_up(self, block: AudioBlock) -> Evidence | None:
        """Run both models once."""
        self._recognizer.call(0.0, lambda recognizer: recognizer.accept(block))
        return self._text.call(0.0, lambda text: text.accept("warm up", block.end_s))

    @property
    def is_idle(self) -> bool:
        """Whether no word of an utterance is known that has not come to its end."""
        return not self._shown and not self._finalizing

    @property
    def is_waiting(self) -> bool:
        """Whether the final text will be known as soon as another thread is done."""
        waiting = self._recognizer.call(0.0, lambda recognizer: recognizer.is_waiting)
        return self._finalizing and waiting is True

    @property
    def failure(self) -> str | None:
        """Why there are no words, where a stage fails."""
        return self._recognizer.reason or self._text.reason

    def accept(self, block: AudioBlock, now_s: float) -> None:
        """Take the next piece of sound."""
        self._recognizer.call(now_s, lambda recognizer: recognizer.accept(block))

    def give_up(self, now_s: float) -> Words:
        """End the stream, and the utterance with what was shown of it."""
        self._recognizer.call(now_s, lambda recognizer: recognizer.reset())
        return self._broken_off()

    def read(self, now_s: float, plan: TickPlan, spoken: bool, last: bool) -> Words:
        """Take what has been understood.

        Args:
            now_s: stream time.
            plan: whether there is time for words that may change, and how much for final ones.
            spoken: whether there was speech in the utterance: else there are no words in it.
            last: whether the stream ends here.
        """
        if last:
            finals = self._recognizer.call(now_s, partial(_end, finalizing=self._finalizing))
            if finals is None:
                return self._broken_off()
            were_spoken = (self._was_spoken, spoken)[-len(finals) :]
            said = [final for final, spoke in zip(finals, were_spoken, strict=True) if spoke]
            self._was_spoken = bool(said)
            return self._show(_joined(said), now_s, plan) if said else Words()
        if self._finalizing:
            return self._finalize(now_s, plan) or Words()
        if plan.partial_text and spoken:
            self._recognizer.call(
                now_s, lambda recognizer: recognizer.refine_partial(plan.finalize_s)
            )
        found = self._recognizer.call(
            now_s, lambda recognizer: (recognizer.partial(), recognizer.is_endpoint())
        )
        if found is None:
            return self._broken_off()
        hypothesis, over = found
        self._was_spoken = spoken
        if not over:
            return self._show(hypothesis, now_s, plan)
        return replace(self._finalize(now_s, plan) or self._show(hypothesis, now_s, plan), cut=True)

    def _finalize(self, now_s: float, plan: TickPlan) -> Words | None:
        """Work on the final text; return ``None`` while it is not known."""
        final = self._recognizer.call(
            now_s, lambda recognizer: recognizer.finalize(plan.finalize_s)
        )
        self._finalizing = final is None and self._recognizer.reason is None
        if self._finalizing:
            return None
        return self._broken_off() if final is None else self._show(final, now_s, plan)

    def _show(self, hypothesis: Hypothesis, now_s: float, plan: TickPlan) -> Words:
        if not self._was_spoken:
            hypothesis = replace(hypothesis, text="")
        shown, self._shown = self._shown, "" if hypothesis.final else hypothesis.text
        if not hypothesis.text:
            if not (hypothesis.final and shown):
                return Words()
            # What was shown was no words after all.
            self.transcript = Transcript(text="", final=True, confidence=0.0)
            return Words(ended=True)
        self.transcript = Transcript(
            text=hypothesis.text,
            final=hypothesis.final,
            confidence=round(hypothesis.confidence, 4),
            recognized_by=hypothesis.recognized_by,
            settled_words=hypothesis.settled,
            final_pass_ms=round(1000 * hypothesis.took_s, 1),
        )
        if hypothesis.text == shown and not hypothesis.final:
            return Words()
        if hypothesis.confidence < LEAST_CONFIDENCE:
            return Words(ended=hypothesis.final)
        if not (hypothesis.final or plan.partial_text):
            return Words(skipped=True)
        sentence = " ".join(word.text for word in newest_sentence(hypothesis.words))
        until_s = hypothesis.words[-1].end_s
        evidence = self._text.call(now_s, lambda text: text.accept(sentence, until_s))
        return Words(evidence, ended=hypothesis.final)

    def _broken_off(self) -> Words:
        """End an utterance that is lost with what was shown of it."""
        ended, self._shown, self._finalizing = bool(self._shown), "", False
        if ended:
            self.transcript = self.transcript.model_copy(update={"final": True})
        return Words(ended=ended)


def newest_sentence(words: Sequence[Word]) -> Sequence[Word]:
    """Return the words that tell the mood of the moment: those of the newest sentence.

    A sentence begins after a full stop, a question or an exclamation mark, or after a pause; of a
    longer one the newest 8 s count.
    """
    for i in range(len(words) - 1, 0, -1):
        before, word = words[i - 1], words[i]
        ended = before.text.endswith(_ENDS) or word.start_s - before.end_s >= _PAUSE_S
        if ended or words[-1].end_s - before.start_s > _LONGEST_S:
            return words[i:]
    return words


def _end(recognizer: SpeechRecognizer, finalizing: bool) -> list[Hypothesis]:
    """End the stream; return its last utterance, after one that is still being finalized."""
    finals = [finalized(recognizer)] if finalizing else []
    recognizer.flush()
    return [*finals, finalized(recognizer)]


def _joined(parts: Sequence[Hypothesis]) -> Hypothesis:
    """Make one of the last utterances."""
    if len(parts) == 1:
        return parts[0]
    words = [word for part in parts for word in part.words]
    confidences = [word.confidence for word in words]
    return replace(
        parts[-1],
        text=" ".join(part.text for part in parts if part.text),
        words=tuple(words),
        confidence=sum(confidences) / len(words) if words else 0.0,
    )
