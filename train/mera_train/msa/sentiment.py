"""External knowledge about the sentiment of words: a lexicon and a treebank."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import Ridge
from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer

from mera_edge.errors import InputError

WORD = r"[\w']+"
_TOKEN = re.compile(r"[()]|[^\s()]+")
_SHARES = ("pos", "neg", "compound")


def by_lexicon(texts: Sequence[str]) -> NDArray[np.float64]:
    """Return VADER's positive, negative and compound scores, ``[n, 3]``."""
    lexicon = SentimentIntensityAnalyzer()
    scores = [lexicon.polarity_scores(text) for text in texts]
    return np.array([[score[name] for name in _SHARES] for score in scores])


def by_treebank(texts: Sequence[str], treebank: Path) -> NDArray[np.float64]:
    """Predict ``[n]``, about -1 to 1, by ridge regression on the treebank's phrases.

    Raises:
        InputError: the file is not a treebank.
    """
    phrases = read(treebank)
    ngrams = TfidfVectorizer(
        ngram_range=(1, 3), min_df=2, sublinear_tf=True, token_pattern=WORD, lowercase=False
    )
    regression = Ridge(alpha=1.0, solver="lsqr")
    regression.fit(ngrams.fit_transform(phrases), list(phrases.values()))
    predicted: NDArray[np.float64] = regression.predict(ngrams.transform(texts))
    return predicted


def read(treebank: Path) -> dict[str, float]:
    """Read the Stanford Sentiment Treebank (Socher et al., EMNLP 2013), ``trees/train.txt``.

    Returns:
        Sentiment in [-1, 1] by lower-case phrase, for every node of every tree.

    Raises:
        InputError: the file is missing, or a line is not a tree with labels from 0 to 4.
    """
    try:
        lines = treebank.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{treebank} cannot be read ({error})", "give trees/train.txt") from error
    phrases: dict[str, float] = {}
    for number, line in enumerate(lines, 1):
        try:
            _walk(line, phrases)
        except (IndexError, ValueError) as error:
            raise InputError(
                f"{treebank}, line {number}: no tree with labels from 0 to 4",
                "give trees/train.txt of the Stanford Sentiment Treebank",
            ) from error
    return phrases


def _walk(line: str, phrases: dict[str, float]) -> None:
    """Add the phrases of a bracketed tree: ``(LABEL WORD)`` or ``(LABEL TREE TREE)``."""
    labels: list[float] = []
    spans: list[list[str]] = []
    before = ""
    for token in _TOKEN.findall(line):
        if token == "(":
            spans.append([])
        elif token == ")":
            words = spans.pop()
            phrases[" ".join(words).replace(" n't", "n't").replace(" '", "'")] = labels.pop()
            if spans:
                spans[-1] += words
        elif before == "(":
            labels.append("01234".index(token) / 2 - 1)
        else:
            spans[-1].append(token.lower())
        before = token
    if spans:
        raise ValueError("brackets are left open")
