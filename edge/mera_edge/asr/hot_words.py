"""Candidates for hot words that were misrecognized in a text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher

from mera_edge.metrics.word_error_rate import normalized

_LEAST_ALIKE = 0.6
"""Minimum `SequenceMatcher` ratio between the letters of a hot word and the recognized words."""
_PUNCTUATION = ".,!?;:"


def misheard(text: str, hot_words: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Yield texts in which similar words are replaced by a hot word, each with that hot word.

    A hot word of ``n`` words may replace ``n - 1`` to ``n + 1`` words.
    """
    words = text.split()
    for hot in hot_words:
        letters, count = _letters(hot), len(hot.split())
        for size in range(max(1, count - 1), count + 2):
            for begin in range(len(words) - size + 1):
                heard = " ".join(words[begin : begin + size])
                alike = SequenceMatcher(None, _letters(heard), letters, autojunk=False).ratio()
                if _LEAST_ALIKE <= alike < 1:
                    ending = heard[len(heard.rstrip(_PUNCTUATION)) :]
                    changed = [*words[:begin], hot + ending, *words[begin + size :]]
                    yield " ".join(changed), hot


def _letters(text: str) -> str:
    return normalized(text).replace(" ", "")
