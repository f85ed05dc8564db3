"""What a recognizer does to a sentence: no punctuation, words lost, mistaken, broken."""

from __future__ import annotations

import re
from collections.abc import Sequence
from random import Random

from pydantic import BaseModel, ConfigDict, Field

_NOT_SPOKEN = re.compile(r"[^\w\s']|_")
_LETTERS = "abcdefghijklmnopqrstuvwxyz"


class Disturbance(BaseModel):
    """How often what goes wrong."""

    model_config = ConfigDict(extra="forbid")

    sentence_prob: float = Field(
        0.5, ge=0, le=1, description="of training sentences that are disturbed"
    )
    deletion_prob: float = Field(0.04, ge=0, lt=1, description="of words that are lost")
    substitution_prob: float = Field(0.04, ge=0, lt=1, description="of words taken for another one")
    misspelling_prob: float = Field(0.03, ge=0, lt=1, description="of words with a wrong letter")


def disturb(text: str, rates: Disturbance, words: Sequence[str], random: Random) -> str:
    """Return ``text`` as a recognizer might have written it.

    Args:
        text: normalised; Chinese counts as one word between spaces, so only its marks go.
        rates: how often what goes wrong.
        words: what a mistaken word may turn into.
        random: where the chances come from.
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
    # Something was said, and the recognizer heard something.
    return " ".join(heard) or text
