"""What the streaming pass provides to the final pass: an n-best list and a scorer."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

Words = tuple[str, ...]


class Alternatives(Protocol):
    """The n-best list of a search. Not thread-safe."""

    @property
    def texts(self) -> Sequence[Words]:
        """The hypotheses, in no particular order."""

    def scores(self, texts: Iterable[Words]) -> Mapping[Words, float]:
        """Return the score of each of ``texts``, in nats; ``-inf`` if it cannot be scored."""
