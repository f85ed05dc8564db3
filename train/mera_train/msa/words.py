"""One number for the words of an utterance that is as honest on training material as on new."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from mera_edge.bundle import Bundle
from mera_edge.errors import InputError
from mera_edge.features.text import normalise
from mera_edge.stages.text import TextStage

Floats = NDArray[np.float32]
_WORD = re.compile(r"[\w']+")


def cross_fitted(
    fitting: Sequence[str],
    labels: Floats,
    groups: NDArray[np.int64],
    unseen: Sequence[str],
    bundle: Bundle,
    penalty: float = 1.0,
    folds: int = 5,
) -> tuple[Floats, Floats]:
    """Predict the labels from the words, every utterance by a model that has not seen its group.

    Ridge regression on two kernels added up: TF-IDF of words and pairs of words, and what the
    bundle's text encoder makes of the sentence. Utterances of ``fitting`` are predicted out of
    fold, those of ``unseen`` by a model of all of ``fitting``, so both are equally far off.

    Args:
        fitting, unseen: transcripts, ``n`` and ``m``.
        labels: ``[n]``.
        groups: ``[n]`` number of the dialogue: a fold has whole dialogues.
        bundle: whose text encoder reads the transcripts.
        penalty: of the ridge.
        folds: of the cross-fitting.

    Returns:
        ``[n]`` and ``[m]``.
    """
    texts = [normalise(text) for text in (*fitting, *unseen)]
    n = len(fitting)
    kernel = _ngrams(texts, n) + _encoded(texts, n, bundle)
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
    """Kernel of sublinear TF-IDF; the first ``n`` texts say which n-grams there are."""
    counts: list[Counter[str | tuple[str, str]]] = []
    for text in texts:
        words = _WORD.findall(text)
        counts.append(Counter([*words, *pairwise(words)]))
    known = Counter(ngram for count in counts[:n] for ngram in count)
    found: dict[str | tuple[str, str], list[tuple[int, float]]] = {ngram: [] for ngram in known}
    for row, count in enumerate(counts):
        for ngram, times in count.items():
            if ngram in known:
                idf = np.log((1 + n) / (1 + known[ngram])) + 1
                found[ngram].append((row, (1 + np.log(times)) * idf))
    kernel = np.zeros((len(texts), len(texts)))
    for places in found.values():
        rows, values = (np.array(column) for column in zip(*places, strict=True))
        kernel[np.ix_(rows, rows)] += np.outer(values, values)
    length = np.sqrt(kernel.diagonal()).clip(1e-12)
    return kernel / length / length[:, None]


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
    values = np.array(rows, np.float64)
    values = (values - values[:n].mean(axis=0)) / (values[:n].std(axis=0) + 1e-6)
    return values @ values.T / values.shape[1]
