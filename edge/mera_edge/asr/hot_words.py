"""Hot words in a text that is there already: where one may have been misheard."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher

from mera_edge.metrics.word_error_rate import normalized

_LEAST_ALIKE = 0.6
"""Share of letters that a hot word and what was heard have in common, in order."""
_PUNCTUATION = ".,!?;:"


def misheard(text: str, hot_words: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Return texts with a hot word in the place of what sounds like it, each with the hot word.

    A hot word may be heard as one word more or less than it has.
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
