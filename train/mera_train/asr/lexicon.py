"""The recognizer's lexicon: pronunciations of words, and a word trigram model.

    mera-edge train lexicon CHECKPOINT DATA [TEXT.txt ...] [--counts-of OTHER]

Writes ``words.npz`` next to the weights: the most frequent words in the texts of
`mera_train.asr.language_model` that have a pronunciation in the CMU dictionary (as in
pocketsphinx), their trigrams, and the phone layer. The weights of the scores are tuned on dev.
CHECKPOINT needs a language model (`mera_train.asr.language_model`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mera_edge.asr.alternatives import Words
from mera_edge.asr.decoding.hypothesis_scorer import HypothesisScorer, RescoringModels
from mera_edge.asr.decoding.lexicon import Lexicon
from mera_edge.asr.decoding.ngram_lm import LanguageModel
from mera_edge.asr.decoding.prefix_beam import PrefixBeam
from mera_edge.asr.decoding.rescoring import combine
from mera_edge.asr.decoding.subwords import words as written
from mera_edge.asr.decoding.word_search import WordSearch
from mera_edge.errors import InputError
from mera_edge.metrics.word_error_rate import word_error_rate
from mera_train import checkpoint, workers
from mera_train.asr import language_model
from mera_train.asr.alignment import PHONES
from mera_train.asr.config import Config
from mera_train.asr.language_model import (
    OWN,
    Choice,
    Posteriors,
    compute_posteriors,
    counts_of,
    dev,
    text,
    write,
)
from mera_train.asr.ngrams import estimate

FILE = "words.npz"
"""File name in a checkpoint."""
WORDS = 40_000
GAIN = 15.0
"""Minimum gain in log-likelihood (nats) of an n-gram to be kept."""
PRIOR = 0.4
"""Exponent of the phone priors by which the phone posteriors are divided."""
WEIGHT, BONUS = 1.2, 0.0
"""Language model weight and word bonus with which the word search alone makes the fewest errors."""
BY_LANGUAGE = (1.2, 1.5, 1.8)
BY_UNIT = (3.0, 4.0, 5.0)
BY_SOUND = (0.4, 0.6, 0.8)

_FACTORS = ("by_language", "by_unit", "by_sound")

Pronunciation = tuple[int, ...]


def pronunciations() -> dict[str, list[Pronunciation]]:
    """Return the pronunciations in the CMU dictionary, as indices into `PHONES`."""
    from pocketsphinx import get_model_path

    found: dict[str, list[Pronunciation]] = {}
    dictionary = Path(get_model_path("en-us/cmudict-en-us.dict"))
    for line in dictionary.read_text(encoding="utf-8").splitlines():
        word, *phones = line.split()
        sounds = tuple(PHONES.index(phone) for phone in phones)
        found.setdefault(word.partition("(")[0], []).append(sounds)
    return found


def tree(sounds: Iterable[tuple[int, Pronunciation]]) -> dict[str, NDArray[Any]]:
    """Return the prefix tree of pronunciations for the device's `Lexicon`.

    Args:
        sounds: pairs of word index and pronunciation; a word may have several.
    """
    children: list[dict[int, int]] = [{}]
    endings: list[list[int]] = [[]]
    for word, phones in sounds:
        node = 0
        for phone in phones:
            if phone not in children[node]:
                children[node][phone] = len(children)
                children.append({})
                endings.append([])
            node = children[node][phone]
        endings[node].append(word)
    # Level by level, so that the children of a node are contiguous.
    order, phones_of, begins = [0], [0], []
    for node in order:
        begins.append(len(order))
        for phone, child in sorted(children[node].items()):
            order.append(child)
            phones_of.append(phone)
    words = [endings[node] for node in order]
    return {
        "phones": np.array(phones_of, np.uint8),
        "children": np.array([*begins, len(order)], np.int32),
        "endings": np.array([word for here in words for word in here], np.uint16),
        "ends": np.concatenate([[0], np.cumsum([len(here) for here in words])]).astype(np.int32),
    }


def follow(texts: Sequence[str], words: Mapping[str, int]) -> dict[str, NDArray[Any]]:
    """Estimate a trigram model of ``words``, numbered from 1."""
    strange = len(words) + 1
    numbered = [[words.get(word, strange) for word in each.split()] for each in texts]
    # The last class is for words without a pronunciation.
    found = estimate(numbered, strange + 1, order=3, bits=16, gain=GAIN, unlisted=strange)
    found["follows"] = found.pop("units")
    found["contexts"] = found["contexts"].astype(np.uint32)
    return found


def vocabulary(
    said: Mapping[str, Sequence[Pronunciation]], texts: Sequence[str]
) -> dict[str, NDArray[Any]]:
    """Return the arrays for the device's `Lexicon`: pronunciations and trigrams."""
    numbers = {word: number for number, word in enumerate(said, 1)}
    return {
        **tree((numbers[word], phones) for word, spoken in said.items() for phones in spoken),
        **follow(texts, numbers),
        "words": np.frombuffer("\n".join(said).encode(), np.uint8),
    }


def _models(path: Path, symbols: list[str]) -> RescoringModels:
    model = LanguageModel(path.parent / language_model.FILE, len(symbols))
    return RescoringModels(Lexicon(path), model, symbols)


def _found(path: Path, symbols: list[str], heard: Sequence[Posteriors]) -> list[list[Words]]:
    """Return the texts that both searches find."""
    models, found = _models(path, symbols), []
    beam = PrefixBeam(language_model=models.language_model)
    search = WordSearch(models.lexicon)
    for each in heard:
        beam.reset()
        search.reset()
        beam.accept(each.units)
        search.accept(each.phones)
        found.append([*(written(text, symbols) for text in beam.texts), search.words])
    return found


def _tried(
    path: Path,
    symbols: list[str],
    heard: Sequence[Posteriors],
    texts: Sequence[Sequence[Words]],
    chosen: Choice,
) -> float:
    models = _models(path, symbols)
    vars(models.lexicon).update(chosen)
    best = [
        combine(HypothesisScorer(models, each.units, each.phones), found)
        for each, found in zip(heard, texts, strict=True)
    ]
    said = [" ".join(words) for words in best]
    rate: float = word_error_rate([each.text for each in heard], said)["wer"]
    return rate


def make(
    directory: Path, data: Path, texts: Sequence[Path] = (), other: Path | None = None
) -> None:
    """Write the lexicon of a checkpoint, with factors tuned on dev.

    Raises:
        InputError: its network cannot predict phones on the device.
    """
    loaded = checkpoint.load(directory)
    config = loaded.settings(Config)
    if config.model.phone_head_block is None:
        raise InputError(
            f"the network in {directory} cannot predict phones on the device",
            "train it with model.phone_head_block, as train/configs/asr/words.yaml does",
        )
    if other is not None:
        listed = counts_of(other, config.symbols, FILE, _FACTORS)
    else:
        said, written = text(data, config.corpora, texts)
        everything = said * OWN + written
        sounds = pronunciations()
        occurring = Counter(word for each in everything for word in each.split() if word in sounds)
        words = [word for word, _ in occurring.most_common(WORDS)]
        listed = vocabulary({word: sounds[word] for word in words}, everything)
    heard = compute_posteriors(loaded, data, dev(loaded, data))
    frequency = np.concatenate([np.exp(each.phones) for each in heard]).mean(axis=0)
    log_prior = PRIOR * np.log(frequency)
    arrays: dict[str, Any] = {
        **listed,
        "phone_weights": loaded.weights["phones.weight"].numpy().T.astype(np.float16),
        "phone_bias": loaded.weights["phones.bias"].numpy().astype(np.float16),
        "log_prior": log_prior.astype(np.float16),
        "block": config.model.phone_head_block,
        "weight": WEIGHT,
        "bonus": BONUS,
    }
    path = directory / FILE
    heard = [replace(each, phones=each.phones - log_prior.astype(np.float32)) for each in heard]
    choices = [
        {"by_language": language, "by_unit": unit, "by_sound": sound}
        for language, unit, sound in product(BY_LANGUAGE, BY_UNIT, BY_SOUND)
    ]
    np.savez(path, **{**arrays, **choices[0]})
    parts = [heard[start : start + 32] for start in range(0, len(heard), 32)]
    with workers.pool() as pool:
        found = pool.map(partial(_found, path, config.symbols), parts)
        hypotheses = [each for part in found for each in part]
    write(path, arrays, partial(_tried, path, config.symbols, heard, hypotheses), choices)
