"""Cross-fitted sentiment of an utterance's words, as accurate on training data as on new data."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sklearn.feature_extraction.text import TfidfVectorizer

from mera_edge.bundle import Bundle
from mera_edge.errors import InputError
from mera_edge.features.text import normalise
from mera_edge.stages.text import TextStage
from mera_train.msa.sentiment import WORD, by_lexicon, by_treebank

Floats = NDArray[np.float32]


def cross_fitted(
    fitting: Sequence[str],
    labels: Floats,
    groups: NDArray[np.int64],
    unseen: Sequence[str],
    bundle: Bundle,
    treebank: Path | None = None,
    penalty: float = 1.0,
    folds: int = 5,
) -> tuple[Floats, Floats]:
    """Predict the labels from the words, out of fold by group.

    Ridge regression on a sum of kernels: TF-IDF of unigrams and bigrams, outputs of the bundle's
    text encoder, a sentiment lexicon and, optionally, phrases of a treebank. Utterances of
    ``fitting`` are predicted out of fold, those of ``unseen`` by a model of all of ``fitting``, so
    that both have the same error.

    Args:
        fitting, unseen: transcripts, ``n`` and ``m``.
        labels: ``[n]``.
        groups: ``[n]`` index of the dialogue: folds have whole dialogues.
        bundle: bundle with the text encoder.
        treebank: file for `mera_train.msa.sentiment.by_treebank`.
        penalty: ridge penalty.
        folds: number of folds.

    Returns:
        Predictions ``[n]`` and ``[m]``.
    """
    texts = [normalise(text) for text in (*fitting, *unseen)]
    n = len(fitting)
    kernel = _ngrams(texts, n) + _encoded(texts, n, bundle) + _linear(by_lexicon(texts), n)
    if treebank is not None:
        kernel += _linear(by_treebank(texts, treebank)[:, None], n)
    order = np.random.default_rng(0).permutation(groups.max() + 1)
    fold = np.append(order[groups] % folds, np.full(len(unseen), folds))
    predicted = np.empty(len(texts), np.float64)
    for held_out in range(folds + 1):
        known = np.flatnonzero(fold[:n] != held_out)
        asked = np.flatnonzero(fold == held_out)
        mean = labels[known].mean()
        ridge = kernel[np.ix_(known, known)] + penalty * np.eye(len(known))
        weights = np.linalg.solve(ridge, labels[known] - mean)
        predicted[asked] = kernel[np.ix_(asked, known)] @ weights + mean
    found = predicted.astype(np.float32)
    return found[:n], found[n:]


def _ngrams(texts: Sequence[str], n: int) -> NDArray[np.float64]:
    """Kernel of TF-IDF, with the n-grams of the first ``n`` texts."""
    ngrams = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, token_pattern=WORD)
    rows = ngrams.fit(texts[:n]).transform(texts)
    kernel: NDArray[np.float64] = (rows @ rows.T).toarray()
    return kernel


def _encoded(texts: Sequence[str], n: int, bundle: Bundle) -> NDArray[np.float64]:
    """Kernel of the text encoder's embedding, probabilities and valence, standardised."""
    stage = TextStage(bundle)
    rows = []
    for text in texts:
        said = stage.accept(text, 0.0)
        if said is None:
            raise InputError("a transcript is empty", "leave out utterances without words")
        logs = np.log(said.probabilities + 1e-4)
        rows.append(np.concatenate([said.embedding, logs, [said.valence]]))
    return _linear(np.array(rows, np.float64), n)


def _linear(values: NDArray[np.float64], n: int) -> NDArray[np.float64]:
    """Kernel of columns ``[N, D]``, standardised by the first ``n`` rows."""
    values = (values - values[:n].mean(axis=0)) / (values[:n].std(axis=0) + 1e-6)
    products: NDArray[np.float64] = values @ values.T / values.shape[1]
    return products
