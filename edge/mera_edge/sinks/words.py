"""Words that stay where they were said."""

from __future__ import annotations

from mera_edge.config import Words
from mera_edge.events import EmotionEvent, Summary, Transcript

_WITHHELD = Transcript(text="", final=False, confidence=0.0, withheld=True)


def without_words(event: EmotionEvent, words: Words) -> EmotionEvent:
    """Return an event with those of its words that are wanted."""
    if words == "all" or (words == "final" and event.transcript.final):
        return event
    return event.model_copy(update={"transcript": _WITHHELD})


def summary_without_words(summary: Summary, words: Words) -> Summary:
    """Return a summary with or without what was said."""
    return summary.model_copy(update={"transcript": ""}) if words == "off" else summary
