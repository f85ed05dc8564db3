"""Fitting of the text encoder's n-gram classifier, a convex problem, to convergence."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mera_train.text.model import NgramClassifier

Example = tuple[Tensor, Tensor, Tensor]
"""A batch: tokens ``[B, L]``, target ``[B, 7]``, logit adjustment ``[B, 7]``."""


RARE = 3
"""Minimum document frequency of an n-gram."""


def fit_ngrams(
    classifier: NgramClassifier, examples: Sequence[Example], penalty: float, iterations: int
) -> None:
    """Select the n-grams of ``classifier`` and fit its weights, in place.

    Multinomial logistic regression on TF-IDF by L-BFGS. SGD on batches does much worse: weights of
    frequent n-grams do not converge, rare ones are overfitted.

    Args:
        classifier: an unfitted classifier.
        examples: the training sentences.
        penalty: L2 penalty (of half the squared weights), added to the summed cross-entropy.
        iterations: L-BFGS iterations.
    """
    ngrams, occurrences, count = _occurrences(classifier, [tokens for tokens, _, _ in examples])
    _choose(classifier, ngrams, count)
    slots, known = classifier.find(torch.from_numpy(ngrams))
    slots, sentences = slots[known], torch.from_numpy(occurrences)[known]
    value = classifier.weights[slots, -1]
    norm = torch.zeros(count).index_add_(0, sentences, value**2).sqrt()
    tfidf = torch.sparse_coo_tensor(
        torch.stack([sentences, slots]),
        value / norm[sentences],
        (count, classifier.slots),
        check_invariants=False,
    ).coalesce()
    target = torch.cat([target for _, target, _ in examples])
    offset = torch.cat([offset for _, _, offset in examples]).clamp(min=-1e4)
    weights, bias = _regress(tfidf, target, offset, penalty, iterations)
    classifier.weights[:, :-1] = weights
    classifier.bias.copy_(bias)


def _occurrences(
    classifier: NgramClassifier, batches: Sequence[Tensor]
) -> tuple[NDArray[np.int64], NDArray[np.int64], int]:
    """Return the distinct pairs of n-gram and sentence, and the number of sentences."""
    ngrams, sentences, count = [], [], 0
    for tokens in batches:
        for numbers in classifier.numbers(tokens).numpy():
            found = numbers[numbers > 0]
            ngrams.append(found)
            sentences.append(np.full(len(found), count))
            count += 1
    return np.concatenate(ngrams), np.concatenate(sentences), count


def _choose(classifier: NgramClassifier, ngrams: NDArray[np.int64], sentences: int) -> None:
    """Assign every slot to the most frequent n-gram that hashes to it, by first or second probe."""
    found, frequency = np.unique(ngrams, return_counts=True)
    often = frequency >= RARE
    found, frequency = found[often], frequency[often]
    rare_first = np.argsort(frequency, kind="stable")
    found, frequency = found[rare_first], frequency[rare_first]
    lives = np.zeros(classifier.slots, np.int64)
    scale = np.zeros(classifier.slots, np.float32)
    for slots in classifier.choices(torch.from_numpy(found)):
        choice = slots.numpy()
        homeless = ~np.isin(found, lives)
        free = homeless & (lives[choice] == 0)
        # Of several n-grams in one slot, numpy keeps the last.
        lives[choice[free]] = found[free]
        scale[choice[free]] = np.log((1 + sentences) / (1 + frequency[free])) + 1
    numbers = torch.from_numpy(lives)
    classifier.keys.copy_(torch.where(numbers > 0, classifier.key(numbers), 0))
    classifier.weights[:, -1] = torch.from_numpy(scale)


def _regress(
    features: Tensor, target: Tensor, offset: Tensor, penalty: float, iterations: int
) -> tuple[Tensor, Tensor]:
    """Fit weights ``[F, C]`` and bias ``[C]`` to sparse features ``[n, F]``."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Sparse CSR tensor support is in beta")
        by_row, by_column = features.to_sparse_csr(), features.t().coalesce().to_sparse_csr()
    parameters = torch.zeros(features.shape[1] + 1, target.shape[1], requires_grad=True)
    optimizer = torch.optim.LBFGS(
        [parameters],
        max_iter=iterations,
        history_size=20,
        tolerance_grad=0,
        tolerance_change=0,
        line_search_fn="strong_wolfe",
    )

    def closure() -> float:
        weights, bias = parameters.detach()[:-1], parameters.detach()[-1]
        logits = by_row @ weights + bias + offset
        log_shares = torch.log_softmax(logits, dim=1)
        # The gradient is computed explicitly, which is cheaper than autograd for sparse rows.
        error = log_shares.exp() * target.sum(dim=1, keepdim=True) - target
        gradient = torch.cat([by_column @ error + penalty * weights, error.sum(0, keepdim=True)])
        parameters.grad = gradient / len(target)
        loss = -(target * log_shares).sum() + penalty / 2 * (weights**2).sum()
        return float(loss) / len(target)

    optimizer.step(closure)
    return parameters.detach()[:-1], parameters.detach()[-1]
