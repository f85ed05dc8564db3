"""Simulated recognition errors: no punctuation; words deleted, substituted or misspelt."""

from __future__ import annotations

import re
from collections.abc import Sequence
from random import Random

from pydantic import BaseModel, ConfigDict, Field

_NOT_SPOKEN = re.compile(r"[^\w\s']|_")
_LETTERS = "abcdefghijklmnopqrstuvwxyz"


class Disturbance(BaseModel):
    """Rates of simulated recognition errors."""

    model_config = ConfigDict(extra="forbid")

    sentence_prob: float = Field(
        0.5, ge=0, le=1, description="of training sentences that are disturbed"
    )
    deletion_prob: float = Field(0.04, ge=0, lt=1, description="of words that are lost")
    substitution_prob: float = Field(0.04, ge=0, lt=1, description="of words taken for another one")
    misspelling_prob: float = Field(0.03, ge=0, lt=1, description="of words with a wrong letter")


def disturb(text: str, rates: Disturbance, words: Sequence[str], random: Random) -> str:
    """Return ``text`` with simulated recognition errors.

    Args:
        text: normalised; Chinese is one word between spaces, so it only loses its punctuation.
        rates: error rates.
        words: candidates for substitutions.
        random: random generator.
    """
    heard = []
    for word in _NOT_SPOKEN.sub(" ", text).split():
        chance = random.random()
        if chance < rates.deletion_prob:
            continue
        if chance < rates.deletion_prob + rates.substitution_prob and word.isascii():
            word = random.choice(words)
        elif (
            chance < rates.deletion_prob + rates.substitution_prob + rates.misspelling_prob
            and word.isascii()
        ):
            at = random.randrange(len(word))
            word = word[:at] + random.choice(_LETTERS) + word[at + 1 :]
        heard.append(word)
    # Never return an empty sentence.
    return " ".join(heard) or text
