"""N-gram models of units or words, from texts encoded as integers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Keys = NDArray[np.uint64]


def count(
    texts: Sequence[Sequence[int]], order: int, bits: int
) -> list[tuple[Keys, NDArray[np.int64]]]:
    """Return the n-grams of each length from 1 to ``order`` as sorted integers, with their counts.
    A text begins with the highest number of ``bits`` bits, which is never the last unit of an
    n-gram.
    """
    start = 2**bits - 1
    units = np.array([u for text in texts for u in (start, *text)], np.uint64)
    place = np.concatenate([np.arange(len(text) + 1) for text in texts])
    keys = np.zeros(len(units), np.uint64)
    found = []
    for length in range(1, order + 1):
        shifted = np.concatenate([np.zeros(length - 1, np.uint64), units])[: len(units)]
        keys = keys | shifted << np.uint64(bits * (length - 1))
        whole = (place >= length - 1) & (place > 0)
        found.append(np.unique(keys[whole], return_counts=True))
    return found


def estimate(
    texts: Sequence[Sequence[int]],
    classes: int,
    order: int = 6,
    fewest: int = 2,
    most: int = 1_500_000,
    bits: int = 8,
    gain: float | None = None,
    unlisted: int = 0,
) -> dict[str, NDArray[Any]]:
    """Estimate an interpolated Kneser-Ney model (Chen and Goodman, 1999, one discount an order).

    Args:
        texts: classes from 1 on.
        classes: number of classes of the recognizer, including blank.
        order: length of the longest n-gram.
        fewest: minimum count of n-grams with three or more units.
        most: maximum number of such n-grams; ``fewest`` is raised until it is met.
        bits: bits per class; the highest such number begins a text.
        gain: instead, keep n-grams with two or more units that raise the log-likelihood of their
            own occurrences by this many nats in total over the shorter n-gram (Seymore and
            Rosenfeld, 1996).
        unlisted: a class that is never queried, but takes its share of probability.

    Returns:
        The arrays for `mera_edge.asr.decoding.ngram_lm.LanguageModel`.
    """
    counted, base = count(texts, order, bits), np.uint64(bits)
    start = 2**bits - 1
    while gain is None and sum(int((times >= fewest).sum()) for _, times in counted[2:]) > most:
        fewest += 1
    every = np.arange(1, classes, dtype=np.uint64)
    single, times = counted[0]
    whole = np.zeros(len(every), np.int64)
    whole[np.searchsorted(every, single)] = times
    counted[0] = (every, whole)
    kept: list[tuple[Keys, NDArray[np.float64]]] = []
    backoffs: list[tuple[Keys, NDArray[np.float64]]] = []
    for length, (keys, times) in enumerate(counted, 1):
        weights = times.astype(np.float64)
        if length < order:
            # Number of distinct preceding units; the beginning of a text has none.
            longer = counted[length][0] & _lowest(length, bits)
            followed, different = np.unique(longer, return_counts=True)
            begins = (keys >> np.uint64(bits * (length - 1))) == start
            inside = ~begins & (times > 0)
            weights[inside] = different[np.searchsorted(followed, keys[inside])]
        once, twice = (weights == 1).sum(), (weights == 2).sum()
        discount = once / (once + 2 * twice) if once and twice else 0.5
        contexts, of = np.unique(keys >> base, return_inverse=True)
        total = np.bincount(of, weights)
        left = np.bincount(of, np.minimum(weights, discount)) / total
        if length == 1:
            lower = np.full(len(keys), 1 / (classes - 1))
        else:
            lower = probability(keys & _lowest(length - 1, bits), kept, backoffs, bits)
        share = (weights - discount).clip(0) / total[of] + left[of] * lower
        often = np.ones(len(keys), bool)
        if length > 1 and gain is not None:
            often = times * np.log(share / (left[of] * lower)) >= gain
        elif length > 2:
            often = times >= fewest
        if length > 1 and unlisted:
            parts = [keys >> np.uint64(bits * at) & _lowest(1, bits) for at in range(length)]
            often &= ~np.any([part == unlisted for part in parts], axis=0)
        if not often.any():
            break
        if length == 1:
            # All units are listed.
            backoffs.append((contexts, np.ones(1)))
        else:
            # The remaining mass is distributed by the shorter context (back-off).
            missing = 1 - np.bincount(of[often], share[often], len(contexts))
            others = 1 - np.bincount(of[often], lower[often], len(contexts))
            known = np.bincount(of[often], minlength=len(contexts)) > 0
            gamma = missing.clip(1e-9) / others.clip(1e-9)
            backoffs.append((contexts[known], gamma[known]))
        kept.append((keys[often], share[often]))
    return _arrays(kept, backoffs, bits)


def probability(
    keys: Keys,
    kept: Sequence[tuple[Keys, NDArray[np.float64]]],
    backoffs: Sequence[tuple[Keys, NDArray[np.float64]]],
    bits: int,
) -> NDArray[np.float64]:
    """Return the probabilities of n-grams, up to the length that is already estimated."""
    length = len(kept)
    listed, shares = kept[-1]
    place = np.searchsorted(listed, keys).clip(max=len(listed) - 1)
    here = listed[place] == keys
    found = np.where(here, shares[place], 0.0)
    contexts, gammas = backoffs[-1]
    if length == 1:
        return found
    context = keys >> np.uint64(bits)
    place = np.searchsorted(contexts, context).clip(max=len(contexts) - 1)
    gamma = np.where(contexts[place] == context, gammas[place], 1.0)
    shorter = probability(keys & _lowest(length - 1, bits), kept[:-1], backoffs[:-1], bits)
    return np.where(here, found, gamma * shorter)


def _lowest(units: int, bits: int) -> np.uint64:
    """Return the bit mask of the last ``units`` units of an n-gram."""
    mask: np.uint64 = np.uint64(2 ** (bits * units) - 1)
    return mask


def _arrays(
    kept: Sequence[tuple[Keys, NDArray[np.float64]]],
    backoffs: Sequence[tuple[Keys, NDArray[np.float64]]],
    bits: int,
) -> dict[str, NDArray[Any]]:
    keys = np.concatenate([keys for keys, _ in kept])
    shares = np.concatenate([shares for _, shares in kept])
    contexts = np.concatenate([contexts for contexts, _ in backoffs])
    gammas = np.concatenate([gammas for _, gammas in backoffs])
    # Shorter contexts are smaller numbers, and each length is already sorted.
    begins = np.searchsorted(keys >> np.uint64(bits), contexts)
    return {
        "contexts": contexts,
        "begins": np.append(begins, len(keys)).astype(np.int32),
        "units": (keys & _lowest(1, bits)).astype(np.uint8 if bits == 8 else np.uint16),
        "log_probabilities": np.log(shares).astype(np.float16),
        "backoffs": np.log(gammas).astype(np.float16),
    }
