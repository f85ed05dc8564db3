"""Removes words from events and summaries."""

from __future__ import annotations

from mera_edge.config import Words
from mera_edge.events import EmotionEvent, Summary, Transcript

_WITHHELD = Transcript(text="", final=False, confidence=0.0, withheld=True)


def without_words(event: EmotionEvent, words: Words) -> EmotionEvent:
    """Return an event without its words unless ``words`` permits them."""
    if words == "all" or (words == "final" and event.transcript.final):
        return event
    return event.model_copy(update={"transcript": _WITHHELD})


def summary_without_words(summary: Summary, words: Words) -> Summary:
    """Return a summary without its transcript unless ``words`` permits it."""
    return summary.model_copy(update={"transcript": ""}) if words == "off" else summary
