"""Selects the text of the streaming or the final pass, and computes its confidence."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from mera_edge.asr.protocol import Hypothesis, Word
from mera_edge.asr.utterance import UtteranceText
from mera_edge.metrics.word_error_rate import distance, normalized, tokens

LEAST_LOG_PROBABILITY = -0.3
"""Mean token log-probability above which the final pass's text is used; below it the streaming
pass's text is kept. Chosen on training speakers: see docs/results/asr.md."""


STRANGE_LOG_PROBABILITY, LEAST_AGREEMENT = -1.0, 0.2
"""If the mean token log-probability and the agreement of the passes are both below these, the
utterance is taken for another language and has no text: 52 % of German utterances, 66 % of Urdu
ones, 1 % of accented English (training speakers)."""

_SURE, _BY_WORD, _BY_UTTERANCE = 3.44, 2.36, 3.40
"""Logistic regression of a word's correctness: intercept, coefficients of the log-probabilities of
the word and of the utterance."""

_JOINT, _JOINT_BY_WORD, _JOINT_BY_OWN, _JOINT_BY_AGREEMENT = 0.66, 0.40, 0.76, 1.50
"""The same for jointly rescored words: intercept, coefficients of the word's log-probability, of
the log-probability of the final pass's own text, and of the agreement of the passes."""


def is_sure(said: UtteranceText) -> bool:
    """Whether the final pass is confident enough for its text to be used."""
    return bool(said.text) and said.log_probability >= LEAST_LOG_PROBABILITY


def chosen(streamed: Hypothesis, said: UtteranceText, trusted: float) -> tuple[Hypothesis, float]:
    """Return the final hypothesis and the trust for the next utterance, from 0 to 1.

    Args:
        trusted: the trust after the previous utterance. If it is below 1, the final pass alone is
            not sufficient: in another language it may be confident of words that were never said.
    """
    trust = agreement(streamed.text, said.text)
    if not is_sure(said) or (trusted < 1 and trust < LEAST_AGREEMENT):
        # Passes that disagree, for example on another language, are both unreliable.
        strange = not said.text or said.log_probability < STRANGE_LOG_PROBABILITY
        if strange and trust < LEAST_AGREEMENT:
            return replace(streamed, text="", words=(), confidence=0.0), trust
        if said.joint is None:
            return replace(streamed, confidence=streamed.confidence * trust), trust
        joint = _final(streamed, said.joint.text, _joint_confidences(said, said.joint, trust))
        # Someone who speaks another language is likely to continue in it.
        doubt = trust if min(trust, trusted) < LEAST_AGREEMENT else 1.0
        return replace(joint, confidence=joint.confidence * doubt), trust
    return _final(streamed, said.text, confidences(said)), 1.0


def _final(streamed: Hypothesis, text: str, right: Sequence[float]) -> Hypothesis:
    words = timed(text, right, streamed.words[0].start_s, streamed.words[-1].end_s)
    return replace(
        streamed,
        text=text,
        words=words,
        confidence=sum(right) / len(right),
        recognized_by="final",
    )


def confidences(said: UtteranceText) -> list[float]:
    """Return the probability that each word of the final pass's own text is correct."""
    utterance = _BY_UTTERANCE * said.log_probability
    return [_logistic(_SURE + _BY_WORD * word + utterance) for word in said.words]


def _joint_confidences(said: UtteranceText, joint: UtteranceText, agreed: float) -> list[float]:
    utterance = _JOINT + _JOINT_BY_OWN * said.log_probability + _JOINT_BY_AGREEMENT * agreed
    return [_logistic(utterance + _JOINT_BY_WORD * word) for word in joint.words]


def _logistic(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def timed(text: str, right: Sequence[float], start_s: float, end_s: float) -> tuple[Word, ...]:
    """Estimate word times in proportion to word lengths: the final pass has no timestamps.

    Args:
        right: the confidence of each word.
    """
    words = text.split()
    ends = np.cumsum([len(word) + 1 for word in words])
    at = [start_s + (end_s - start_s) * float(end / ends[-1]) for end in (0, *ends)]
    return tuple(map(Word, words, at[:-1], at[1:], right))


def agreement(one: str, other: str) -> float:
    """Return the agreement of two texts, from 0 to 1: 1 minus the normalised edit distance."""
    words, others = tokens(normalized(one)), tokens(normalized(other))
    return 1 - distance(words, others) / max(len(words), len(others), 1)
