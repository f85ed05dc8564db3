"""What one pass hands to the next: other texts of an utterance, and what it says of any text."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

Words = tuple[str, ...]


class Alternatives(Protocol):
    """The texts that a search found likeliest. One thread at a time may use them."""

    @property
    def texts(self) -> Sequence[Words]:
        """Some texts, in no order."""

    def scores(self, texts: Iterable[Words]) -> Mapping[Words, float]:
        """Return how much speaks for each of ``texts``, in nats; ``-inf`` if it cannot be said."""
