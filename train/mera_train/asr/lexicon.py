"""The recognizer's lexicon: words by their pronunciations, and a trigram model of them.

    python -m mera_train.asr.lexicon CHECKPOINT DATA [TEXT.txt ...]

Writes ``words.npz`` beside the weights: the words that occur most often in the texts of
`mera_train.asr.language_model` and have a pronunciation in the CMU dictionary (as pocketsphinx
has it), how they follow each other, and the layer that names phones. Weight and bonus in the word
search are those with which the dev speakers are understood best.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mera_edge.asr.evaluate import word_error_rate
from mera_edge.asr.lexicon import Lexicon
from mera_edge.asr.words import WordSearch
from mera_edge.errors import InputError
from mera_train import checkpoint
from mera_train.asr.alignment import PHONES
from mera_train.asr.config import Config
from mera_train.asr.language_model import OWN, hear, text, write
from mera_train.asr.ngrams import estimate

FILE = "words.npz"
"""In a checkpoint."""
WORDS = 40_000
GAIN = 15.0
"""Nats that an n-gram has to be good for to be kept."""
PRIOR = 0.4
"""Power of the phones' frequencies by which their posteriors are divided."""
WEIGHTS = (0.9, 1.2, 1.5)
BONUSES = (0.0, 1.5)

Pronunciation = tuple[int, ...]


def pronunciations() -> dict[str, list[Pronunciation]]:
    """Return how the words of the CMU dictionary sound, as numbers of `PHONES`."""
    from pocketsphinx import get_model_path

    found: dict[str, list[Pronunciation]] = {}
    dictionary = Path(get_model_path("en-us/cmudict-en-us.dict"))
    for line in dictionary.read_text(encoding="utf-8").splitlines():
        word, *phones = line.split()
        sounds = tuple(PHONES.index(phone) for phone in phones)
        found.setdefault(word.partition("(")[0], []).append(sounds)
    return found


def tree(sounds: Iterable[tuple[int, Pronunciation]]) -> dict[str, NDArray[Any]]:
    """Return the prefix tree of pronunciations as `mera_edge.asr.lexicon.Lexicon` reads it.

    Args:
        sounds: a word's number and a pronunciation, any number for a word.
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
    # Level by level, so that the children of a node follow each other.
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
    """Estimate which word follows which: trigrams of ``words``, numbered from 1 on."""
    strange = len(words) + 1
    numbered = [[words.get(word, strange) for word in each.split()] for each in texts]
    # The last class is what has no pronunciation.
    found = estimate(numbered, strange + 1, order=3, bits=16, gain=GAIN, unlisted=strange)
    found["follows"] = found.pop("units")
    found["contexts"] = found["contexts"].astype(np.uint32)
    return found


def _tried(
    path: Path,
    said: Sequence[str],
    heard: Sequence[NDArray[np.float32]],
    sounds: int,
    chosen: tuple[float, float],
) -> float:
    lexicon = Lexicon(path)
    lexicon.weight, lexicon.bonus = chosen
    search, found = WordSearch(lexicon, sounds), []
    for likelihoods in heard:
        search.reset()
        search.accept(likelihoods)
        found.append(" ".join(lexicon.words[token.symbol] for token in search.tokens))
    return word_error_rate(said, found)["wer"]


def make(directory: Path, data: Path, texts: Sequence[Path] = ()) -> None:
    """Write the lexicon of a checkpoint, with the weight and the bonus that dev is best with.

    Raises:
        InputError: its network cannot name phones on the device.
    """
    loaded = checkpoint.load(directory)
    config = loaded.settings(Config)
    if config.model.sounding_block is None:
        raise InputError(
            f"{directory} names no phones on the device",
            "train it with model.sounding_block, as train/configs/asr/words.yaml does",
        )
    said, written = text(data, config.corpora, texts)
    everything = said * OWN + written
    sounds = pronunciations()
    occurring = Counter(word for each in everything for word in each.split() if word in sounds)
    words = [word for word, _ in occurring.most_common(WORDS)]
    numbers = {word: number for number, word in enumerate(words, 1)}
    heard = hear(loaded, data)
    frequency = np.concatenate([np.exp(each.phones) for each in heard]).mean(axis=0)
    log_prior = PRIOR * np.log(frequency)
    arrays = {
        **tree((numbers[word], phones) for word in words for phones in sounds[word]),
        **follow(everything, numbers),
        "words": np.frombuffer("\n".join(words).encode(), np.uint8),
        "phone_weights": loaded.weights["phones.weight"].numpy().T.astype(np.float16),
        "phone_bias": loaded.weights["phones.bias"].numpy().astype(np.float16),
        "log_prior": log_prior.astype(np.float16),
        "block": config.model.sounding_block,
    }
    path = directory / FILE
    transcripts = [each.text for each in heard]
    likelihoods = [each.phones - log_prior.astype(np.float32) for each in heard]
    tried = partial(_tried, path, transcripts, likelihoods, config.model.phones_per_frame)
    write(path, arrays, tried, list(product(WEIGHTS, BONUSES)))


if __name__ == "__main__":
    directory, data, *texts = map(Path, sys.argv[1:])
    make(directory, data, texts)
