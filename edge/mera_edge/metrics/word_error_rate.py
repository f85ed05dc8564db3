"""Word and character error rates."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mera_edge.errors import InputError
from mera_edge.metrics.confusion import LEAST_GROUPS, drawn_rates

_UNSPACED = (
    "\u0e00-\u0eff\u0f00-\u0fff\u1000-\u109f\u1780-\u17ff"  # Thai, Lao, Tibetan, Burmese, Khmer
    "\u3005-\u3007\u3040-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
    "\uff66-\uff9f\U00020000-\U0003ffff"  # Chinese, Japanese
)
"""Characters of scripts without spaces between words."""

_TOKEN = re.compile(rf"[{_UNSPACED}]|[^\s{_UNSPACED}]+")
_NO_SPACE = re.compile(rf"(?<=[{_UNSPACED}])\s+|\s+(?=[{_UNSPACED}])")


def tokens(text: str) -> list[str]:
    """Return the tokens that the word error rate counts: words, or characters in scripts without
    spaces."""
    return _TOKEN.findall(text)


_DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
_SPOKEN = {"mr": "mister", "mrs": "missus", "dr": "doctor", "&": "and"} | {
    str(digit): word for digit, word in enumerate(_DIGITS)
}


def normalized(text: str) -> str:
    """Normalise a transcript for comparison.

    Converts to lower case, removes punctuation except apostrophes, and spells out single digits and
    titles, since recognizers differ in how they write these.
    """
    text = re.sub(r"([0-9&])", r" \1 ", text.lower().replace("’", "'"))
    return " ".join(_SPOKEN.get(word, word) for word in re.sub(r"[^\w'&]|_", " ", text).split())


def distance(reference: Sequence[str], hypothesis: Sequence[str]) -> int:
    """Return the edit distance: substitutions, deletions and insertions (Levenshtein, 1966)."""
    row = list(range(len(hypothesis) + 1))
    for i, wanted in enumerate(reference, 1):
        diagonal, row[0] = row[0], i
        for j, got in enumerate(hypothesis, 1):
            diagonal, row[j] = (
                row[j],
                min(row[j] + 1, row[j - 1] + 1, diagonal + (wanted != got)),
            )
    return row[-1]


def word_error_rate(
    references: Sequence[str], hypotheses: Sequence[str], people: Sequence[str] | None = None
) -> dict[str, Any]:
    """Compare transcripts, pooled over all utterances.

    Args:
        references: ``n`` transcripts.
        hypotheses: ``n`` texts of the recognizer.
        people: who says each, for the confidence intervals.

    Returns:
        ``wer`` and ``cer`` (errors divided by reference words and characters, may exceed 1; single
        spaces between words count as characters); ``n`` utterances; ``words`` in the references,
        and their kind, ``counts``: ``words``, ``characters`` for scripts without spaces between
        words (`tokens`), or ``words and characters`` for both. ``interval_95`` of both rates, by
        bootstrap over utterances, taken as independent. With ``people``: their number; from
        `LEAST_GROUPS` on, the bootstrap is over them, and ``effective_n`` is the number of
        independent utterances for which the word error rate would have the same variance.

    Raises:
        InputError: the numbers of transcripts differ, or the references contain no words.
    """
    if len(references) != len(hypotheses):
        raise InputError(f"{len(references)} references, but {len(hypotheses)} hypotheses")
    pairs = [(tokens(r), tokens(h)) for r, h in zip(references, hypotheses, strict=True)]
    every = [token for reference, _ in pairs for token in reference]
    if not every:
        raise InputError("the references contain no words", "give non-empty transcripts")
    spelled = [tuple(map(_spelled, pair)) for pair in zip(references, hypotheses, strict=True)]
    single = [re.match(f"[{_UNSPACED}]", token) is not None for token in every]
    counts = "characters" if all(single) else "words and characters" if any(single) else "words"
    # Errors and reference length per utterance.
    counted = {
        "wer": np.array([(distance(r, h), len(r)) for r, h in pairs]),
        "cer": np.array([(distance(r, h), len(r)) for r, h in spelled]),
    }
    drawn = {name: drawn_rates(rows) for name, rows in counted.items()}
    told: dict[str, int] = {}
    if people is not None:
        names, whose = np.unique(np.array(people), return_inverse=True)
        told["people"] = len(names)
        if len(names) >= LEAST_GROUPS:
            alone = drawn["wer"].var()
            drawn = {name: drawn_rates(_summed(rows, whose)) for name, rows in counted.items()}
            effective = len(pairs) * alone / max(drawn["wer"].var(), 1e-12)
            told["effective_n"] = min(len(pairs), round(effective)) if alone else len(pairs)
    return {
        **{name: float(rows[:, 0].sum() / rows[:, 1].sum()) for name, rows in counted.items()},
        "n": len(pairs),
        "words": len(every),
        "counts": counts,
        **told,
        "interval_95": {n: np.percentile(v, (2.5, 97.5)).tolist() for n, v in drawn.items()},
    }


def _summed(rows: NDArray[np.int64], whose: NDArray[np.intp]) -> NDArray[np.int64]:
    """Return the sums of rows ``[n, 2]`` by person."""
    summed = np.zeros((whose.max() + 1, rows.shape[1]), np.int64)
    np.add.at(summed, whose, rows)
    return summed


def _spelled(text: str) -> str:
    return _NO_SPACE.sub("", " ".join(text.split()))
