"""The recognizer's language model: n-grams of its units, from training text.

    python -m mera_train.asr.language_model CHECKPOINT DATA [TEXT.txt ...]

Writes ``language_model.npz`` beside the weights. It counts what the training speech says, the
English sentences of ``text.zip`` and the texts that are named. Its weight and bonus in the beam
search are those with which the dev speakers are understood best; none of their sentences, and none
of a test speaker's, is in the text.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from mera_edge.asr.beam import PrefixBeam
from mera_edge.asr.decode import Decoder, Greedy
from mera_edge.asr.evaluate import word_error_rate
from mera_edge.asr.language_model import START, LanguageModel
from mera_edge.features.fbank import BINS, FLOOR, log_mel
from mera_train import audio, checkpoint, workers
from mera_train.asr.config import Config
from mera_train.asr.corpora import location
from mera_train.asr.data import speech
from mera_train.asr.networks import build
from mera_train.asr.texts import choose, everyday, prose
from mera_train.asr.units import WORD_START, Units
from mera_train.checkpoint import Checkpoint

Keys = NDArray[np.uint64]
_BYTE = np.uint64(8)

FILE = "language_model.npz"
"""In a checkpoint."""
OWN = 3
"""Times that the transcripts of the training speech count: they are of the kind that is heard."""
WEIGHTS = (0.6, 0.7, 0.8, 0.9)
BONUSES = (2.0, 2.5, 3.0, 3.5)


def count(texts: Sequence[Sequence[int]], order: int) -> list[tuple[Keys, NDArray[np.int64]]]:
    """Return by length from 1 to ``order`` the n-grams, as numbers in rising order, and how often
    each occurs. A text begins with `START`, which is never the last unit of an n-gram."""
    units = np.array([u for text in texts for u in (START, *text)], np.uint64)
    place = np.concatenate([np.arange(len(text) + 1) for text in texts])
    keys = np.zeros(len(units), np.uint64)
    found = []
    for length in range(1, order + 1):
        shifted = np.concatenate([np.zeros(length - 1, np.uint64), units])[: len(units)]
        keys = keys | shifted << np.uint64(8 * (length - 1))
        whole = (place >= length - 1) & (place > 0)
        found.append(np.unique(keys[whole], return_counts=True))
    return found


def estimate(
    texts: Sequence[Sequence[int]],
    classes: int,
    order: int = 6,
    fewest: int = 2,
    most: int = 1_500_000,
) -> dict[str, NDArray[Any]]:
    """Estimate an interpolated Kneser-Ney model (Chen and Goodman, 1999, one discount an order).

    Args:
        texts: classes from 1 to 254.
        classes: of the recognizer, blank included.
        order: units of the longest n-gram.
        fewest: times that an n-gram of three units or more has to occur to be kept.
        most: of these n-grams that are kept; ``fewest`` rises until there are no more.

    Returns:
        The arrays that `mera_edge.asr.language_model.LanguageModel` reads.
    """
    counted = count(texts, order)
    while sum(int((times >= fewest).sum()) for _, times in counted[2:]) > most:
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
            # How many different units it follows; what begins a text follows nothing.
            longer = counted[length][0] & np.uint64(256**length - 1)
            followed, different = np.unique(longer, return_counts=True)
            begins = (keys >> np.uint64(8 * (length - 1))) == START
            inside = ~begins & (times > 0)
            weights[inside] = different[np.searchsorted(followed, keys[inside])]
        once, twice = (weights == 1).sum(), (weights == 2).sum()
        discount = once / (once + 2 * twice) if once and twice else 0.5
        contexts, of = np.unique(keys >> _BYTE, return_inverse=True)
        total = np.bincount(of, weights)
        left = np.bincount(of, np.minimum(weights, discount)) / total
        if length == 1:
            lower = np.full(len(keys), 1 / (classes - 1))
        else:
            lower = probability(keys & np.uint64(256 ** (length - 1) - 1), kept, backoffs)
        share = (weights - discount).clip(0) / total[of] + left[of] * lower
        often = np.ones(len(keys), bool) if length < 3 else times >= fewest
        if not often.any():
            break
        if length == 1:
            # All units are listed.
            backoffs.append((contexts, np.ones(1)))
        else:
            # What the kept ones leave, spread as the shorter context says.
            missing = 1 - np.bincount(of[often], share[often], len(contexts))
            unlisted = 1 - np.bincount(of[often], lower[often], len(contexts))
            known = np.bincount(of[often], minlength=len(contexts)) > 0
            gamma = missing.clip(1e-9) / unlisted.clip(1e-9)
            backoffs.append((contexts[known], gamma[known]))
        kept.append((keys[often], share[often]))
    return _arrays(kept, backoffs)


def probability(
    keys: Keys,
    kept: Sequence[tuple[Keys, NDArray[np.float64]]],
    backoffs: Sequence[tuple[Keys, NDArray[np.float64]]],
) -> NDArray[np.float64]:
    """Return the probabilities of n-grams as long as the model so far has them."""
    length = len(kept)
    listed, shares = kept[-1]
    place = np.searchsorted(listed, keys).clip(max=len(listed) - 1)
    here = listed[place] == keys
    found = np.where(here, shares[place], 0.0)
    contexts, gammas = backoffs[-1]
    if length == 1:
        return found
    context = keys >> _BYTE
    place = np.searchsorted(contexts, context).clip(max=len(contexts) - 1)
    gamma = np.where(contexts[place] == context, gammas[place], 1.0)
    shorter = keys & np.uint64(256 ** (length - 1) - 1)
    return np.where(here, found, gamma * probability(shorter, kept[:-1], backoffs[:-1]))


def text(data: Path, corpora: Sequence[str], texts: Sequence[Path]) -> tuple[list[str], list[str]]:
    """Return what the training speech says, and written sentences as they are spoken."""
    utterances = speech(data, corpora)
    held_out = {u.text for u in utterances if u.split != "train"}
    said = [u.text for u in utterances if u.split == "train" and u.text not in held_out]
    return said, choose([*everyday(data), *prose(texts)], range(1, 41), held_out)


def hear(loaded: Checkpoint, data: Path) -> tuple[list[str], list[NDArray[np.float32]]]:
    """Return what the dev speakers said, and the log-probabilities ``[n, classes]`` of each."""
    config = loaded.settings(Config)
    empty = build(config.model, torch.zeros(BINS), torch.ones(BINS), len(config.symbols))
    model = loaded.fill(empty)
    silence = np.full((20 + config.model.right_context, BINS), FLOOR, np.float32)
    said, heard = [], []
    for utterance in speech(data, config.corpora):
        if utterance.split == "dev":
            samples = audio.read(location(data, utterance.corpus), utterance.file)
            frames = torch.from_numpy(np.concatenate([log_mel(samples), silence]))[None]
            with torch.inference_mode():
                scores = model((frames - model.mean) * model.inverse_std, config.model.chunk)[0]
            said.append(utterance.text)
            heard.append(scores[0].log_softmax(-1).numpy())
    return said, heard


def errors(
    said: Sequence[str],
    heard: Sequence[NDArray[np.float32]],
    search: Decoder,
    symbols: Sequence[str],
) -> float:
    """Return the word error rate of a search."""
    hypotheses = []
    for log_probabilities in heard:
        search.reset()
        search.accept(log_probabilities)
        units = "".join(symbols[token.symbol] for token in search.tokens)
        hypotheses.append(units.replace(WORD_START, " ").strip())
    return word_error_rate(said, hypotheses)["wer"]


def _tried(
    path: Path,
    said: Sequence[str],
    heard: Sequence[NDArray[np.float32]],
    symbols: Sequence[str],
    chosen: tuple[float, float],
) -> float:
    language = LanguageModel(path, len(symbols))
    language.weight, language.bonus = chosen
    return errors(said, heard, PrefixBeam(language_model=language), symbols)


def tune(directory: Path, data: Path, texts: Sequence[Path] = ()) -> None:
    """Estimate the model of a checkpoint, choose weight and bonus on dev, write it, print why."""
    loaded = checkpoint.load(directory)
    config = loaded.settings(Config)
    symbols, units = config.symbols, Units(config.symbols)
    said, written = text(data, config.corpora, texts)
    arrays = estimate([units.encode(each) for each in said * OWN + written], len(symbols))
    path = directory / FILE
    sentences, heard = hear(loaded, data)
    print(f"greedy {errors(sentences, heard, Greedy(), symbols):.1%}")
    print(f"beam {errors(sentences, heard, PrefixBeam(), symbols):.1%}", flush=True)
    np.savez_compressed(path, **arrays, weight=0.0, bonus=0.0)
    choices = list(product(WEIGHTS, BONUSES))
    with workers.pool() as pool:
        found = pool.map(partial(_tried, path, sentences, heard, symbols), choices)
        rates = dict(zip(choices, found, strict=True))
    for (weight, bonus), rate in rates.items():
        print(f"weight {weight} bonus {bonus}: {rate:.1%}", flush=True)
    weight, bonus = min(rates, key=lambda chosen: rates[chosen])
    np.savez_compressed(path, **arrays, weight=weight, bonus=bonus)


def _arrays(
    kept: Sequence[tuple[Keys, NDArray[np.float64]]],
    backoffs: Sequence[tuple[Keys, NDArray[np.float64]]],
) -> dict[str, NDArray[Any]]:
    keys = np.concatenate([keys for keys, _ in kept])
    shares = np.concatenate([shares for _, shares in kept])
    contexts = np.concatenate([contexts for contexts, _ in backoffs])
    gammas = np.concatenate([gammas for _, gammas in backoffs])
    # Shorter contexts are smaller numbers, and each length is in order already.
    begins = np.searchsorted(keys >> _BYTE, contexts)
    return {
        "contexts": contexts,
        "begins": np.append(begins, len(keys)).astype(np.int32),
        "units": (keys & np.uint64(255)).astype(np.uint8),
        "log_probabilities": np.log(shares).astype(np.float16),
        "backoffs": np.log(gammas).astype(np.float16),
    }


if __name__ == "__main__":
    directory, data, *texts = map(Path, sys.argv[1:])
    tune(directory, data, texts)
