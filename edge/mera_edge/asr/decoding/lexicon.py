"""The models of the word search: pronunciations, a word trigram model and a phone classifier."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from mera_edge.bundle.arrays import read_arrays, require_offsets
from mera_edge.errors import BundleError

SILENCE = 0
"""The phone between words."""
START = 65535
"""The word before the first one of a text; others are numbered from 1."""

_WORD, _BITS = np.uint64(0xFFFF), np.uint64(16)

_SHAPES = {
    "phones": "N", "children": "M", "endings": "E", "ends": "M", "words": "W",
    "phone_weights": "IO", "phone_bias": "O", "log_prior": "P",
    "contexts": "C", "backoffs": "C", "begins": "B", "follows": "G", "log_probabilities": "G",
    "weight": "", "bonus": "", "by_language": "", "by_unit": "", "by_sound": "", "block": "",
}  # fmt: skip


class Lexicon:
    """A pronunciation prefix tree, a word trigram model and a phone classifier, from an ``.npz``.

    The tree: node 0 is the root; ``phones [N]`` is the phone of each node; the children of node
    ``n`` are ``children[n]`` to ``children[n + 1]``; the words ``endings[ends[n]:ends[n + 1]]`` end
    there. ``ahead [N]``: unigram log-probability of the most likely word at or below a node
    (language model look-ahead).

    The trigram model has the format of `mera_edge.asr.decoding.ngram_lm.LanguageModel`, with word
    numbers of 16 bits.

    The phone classifier is a linear layer over the entries of the encoder's attention cache for an
    encoder frame, which may consist of several cache frames: ``phone_weights [inputs, outputs]``,
    ``phone_bias``, and ``log_prior [phones]``, which is subtracted from the log-posteriors to get
    scaled likelihoods.

    Attributes:
        block: the encoder block whose cache is used.
        sounds: phone of each state of `WordSearch`; shared by all searches (1.4 MB).
        weight, bonus: language model weight, and bonus per word, in the search.
        by_language, by_unit, by_sound: weights of
            `mera_edge.asr.decoding.hypothesis_scorer.HypothesisScorer`.

    Raises:
        BundleError: the file is not a valid lexicon.
    """

    def __init__(self, path: Path) -> None:
        try:
            read = read_arrays(path, _SHAPES)
            self.words = ["", *read["words"].tobytes().decode().split("\n")]
            _require(read, len(self.words))
            self.weight, self.bonus = float(read["weight"]), float(read["bonus"])
            self.by_language, self.by_unit = float(read["by_language"]), float(read["by_unit"])
            self.by_sound = float(read["by_sound"])
            self.block = int(read["block"])
        except (OSError, KeyError, ValueError, BadZipFile) as error:
            raise BundleError(f"{path} is not a valid lexicon ({error})", "export again") from error
        self.phones = read["phones"].astype(np.intp)
        self.children, self.ends = read["children"], read["ends"]
        self.endings = read["endings"].astype(np.intp)
        self._weights = read["phone_weights"].astype(np.float32)
        self._bias = read["phone_bias"].astype(np.float32)
        self._log_prior = read["log_prior"].astype(np.float32)
        self._contexts = read["contexts"].astype(np.uint64)
        self._backoffs = read["backoffs"]
        contexts = np.repeat(self._contexts, np.diff(read["begins"]))
        self._ngrams = contexts << _BITS | read["follows"].astype(np.uint64)
        self._log_probabilities = read["log_probabilities"]
        # The empty context comes first and lists all words in order.
        self._single = np.full(len(self.words), -np.inf)
        self._single[1:] = self._log_probabilities[: len(self.words) - 1]
        # Nodes are numbered in breadth-first order.
        self._parents = np.repeat(np.arange(self.states), np.diff(self.children))
        order = np.argsort(self.endings, kind="stable")
        self._ended = self.endings[order]
        self._leaves = np.repeat(np.arange(self.states), np.diff(self.ends))[order]
        self._numbers = {word: number for number, word in enumerate(self.words)}
        self.ahead = self._look_ahead()
        self.sounds = np.concatenate([self.phones, self.phones, [SILENCE]])
        self.sounds[self.states] = SILENCE

    @property
    def states(self) -> int:
        """Number of nodes of the tree."""
        return len(self.phones)

    @property
    def inputs(self) -> int:
        """Inputs of the phone classifier: cache values of `block` per encoder frame."""
        return len(self._weights)

    def pronunciations(self, word: str) -> list[tuple[int, ...]]:
        """Return a word's pronunciations as phones; empty if it is not in the lexicon."""
        number = self._numbers.get(word, 0)
        first, last = np.searchsorted(self._ended, (number, number + 1))
        return [tuple(self._path(int(node))) for node in self._leaves[first:last]]

    def _path(self, node: int) -> list[int]:
        phones = []
        while node:
            phones.append(int(self.phones[node]))
            node = int(self._parents[node - 1])
        return phones[::-1]

    def phone_log_likelihoods(self, cache: NDArray[np.float32], count: int) -> NDArray[np.float32]:
        """Compute the scaled phone likelihoods of the newest ``count`` encoder frames.

        Args:
            cache: keys and values of `block` ``[heads, frames, 2 d/heads]``, newest frames last.

        Returns:
            Log of posteriors over priors, ``[sounds, phones]``; a sound is a phone frame of 40 ms.
        """
        heads, _, width = cache.shape
        newest = cache[:, -count * (self.inputs // (heads * width)) :]
        frames = newest.transpose(1, 0, 2).reshape(count, -1)
        scores = (frames @ self._weights + self._bias).reshape(-1, len(self._log_prior))
        scores -= scores.max(axis=1, keepdims=True)
        scores -= np.log(np.exp(scores).sum(axis=1, keepdims=True))
        named: NDArray[np.float32] = scores - self._log_prior
        return named

    def advance_ngram(
        self, histories: NDArray[np.uint64], words: NDArray[np.intp]
    ) -> tuple[NDArray[np.float64], NDArray[np.uint64]]:
        """Return ``log P(word | history)`` and the new histories, ``[n]`` each."""
        if not len(words):  # in a third of all calls
            return np.zeros(0), histories
        word = words.astype(np.uint64)
        last = histories & _WORD
        pairs, after = self._find(self._ngrams, last << _BITS | word)
        of_last, known = self._find(self._contexts, last)
        backed = self._single[words] + np.where(known, self._backoffs[of_last], 0)
        found = np.where(after, self._log_probabilities[pairs], backed)
        two = histories > _WORD
        triples, after = self._find(self._ngrams, histories << _BITS | word)
        of_two, known = self._find(self._contexts, histories)
        found += np.where(known & two, self._backoffs[of_two], 0)
        found = np.where(after & two, self._log_probabilities[triples], found)
        return found, last << _BITS | word

    def _find(
        self, listed: NDArray[np.uint64], wanted: NDArray[np.uint64]
    ) -> tuple[NDArray[np.intp], NDArray[np.bool_]]:
        places = np.searchsorted(listed, wanted)
        places[places == len(listed)] = 0
        return places, listed[places] == wanted

    def _look_ahead(self) -> NDArray[np.float64]:
        best = np.full(self.states, -np.inf)
        ending = np.flatnonzero(np.diff(self.ends))
        best[ending] = np.maximum.reduceat(self._single[self.endings], self.ends[ending])
        levels = [0, 1]
        while levels[-1] < self.states:
            levels.append(int(self.children[levels[-1]]))
        for first, last in reversed(list(pairwise(levels[1:]))):
            np.maximum.at(best, self._parents[first - 1 : last - 1], best[first:last])
        best[0] = 0.0
        return best


def _require(read: dict[str, NDArray[Any]], words: int) -> None:
    """Check that all references within the file are valid.

    Raises:
        ValueError: one is not.
    """
    nodes, classes = len(read["phones"]), len(read["log_prior"])
    require_offsets("children", read["children"], 1, nodes, nodes)
    require_offsets("ends", read["ends"], 0, len(read["endings"]), nodes)
    require_offsets("begins", read["begins"], 0, len(read["follows"]), len(read["contexts"]))
    # Required for the breadth-first order.
    if (read["children"][:-1] <= np.arange(nodes)).any():
        raise ValueError("children come before their parents")
    if not classes or len(read["phone_bias"]) % classes or read["phones"].max() >= classes:
        raise ValueError(f"phones do not fit log_prior, which has {classes}")
    if read["endings"].min(initial=1) < 1 or read["endings"].max(initial=1) >= words:
        raise ValueError(f"endings do not match the {words - 1} words of the file")
    if len(read["log_probabilities"]) < words - 1:
        raise ValueError("not every word has a log-probability")
