"""The text encoder's tokenizer: subwords for alphabetic scripts, single characters for Chinese."""

from __future__ import annotations

import functools
import json
from heapq import heappop, heappush
from pathlib import Path
from typing import Any, Final

import regex

from mera_edge.errors import InputError

PIECES: Final = r"\p{Han}|\p{N}|[\p{L}\p{M}']+|[^\s\p{Han}\p{N}\p{L}\p{M}']+"
"""Pre-tokenization: single Chinese characters and digits, words with apostrophes, other runs."""
CONTINUATION: Final = "##"
"""Prefix of a token that continues a piece."""
UNKNOWN: Final = "[UNK]"

_PIECES: Final = regex.compile(PIECES)
_CACHED: Final = 10_000
"""Size of the cache from pieces to tokens."""
_MERGED: Final = -1
"""Marks a token that was merged into the one before it."""
_FORM: Final = {
    "unk_token": UNKNOWN,
    "continuing_subword_prefix": CONTINUATION,
    "end_of_word_suffix": None,
    "dropout": None,
    "fuse_unk": False,
    "byte_fallback": False,
    "ignore_merges": False,
}
"""Settings that the file's model must have."""


class Tokenizer:
    """A byte-pair encoding (Sennrich et al., 2016), read from Hugging Face's ``tokenizer.json``.

    It gives the same ids as the library ``tokenizers``, which would bring a model hub client and an
    HTTP client onto the device.

    Args:
        vocabulary: id of every token.
        merges: pairs of tokens to merge, highest priority first.
    """

    def __init__(self, vocabulary: dict[str, int], merges: list[tuple[str, str]]) -> None:
        self._vocabulary = vocabulary
        self._unknown = vocabulary[UNKNOWN]
        self._merges = {
            (vocabulary[left], vocabulary[right]): (
                rank,
                vocabulary[left + right.removeprefix(CONTINUATION)],
            )
            for rank, (left, right) in enumerate(merges)
        }
        self._tokens = functools.lru_cache(_CACHED)(self._merge)

    @classmethod
    def read(cls, path: Path) -> Tokenizer:
        """Read ``tokenizer.json``.

        Raises:
            InputError: it cannot be read, or is a different kind of tokenizer.
        """
        try:
            return cls.parse(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise InputError(
                f"{path} is not a valid tokenizer ({error})",
                "train the text encoder again with `mera-edge train text`",
            ) from error

    @classmethod
    def parse(cls, text: str) -> Tokenizer:
        """Parse the text of ``tokenizer.json``.

        Raises:
            ValueError: it is not JSON, or a different kind of tokenizer.
        """
        try:
            facts = json.loads(text)
            if differs := _differences(facts):
                raise ValueError(f"a different kind: {', '.join(differs)}")
            model = facts["model"]
            vocabulary = {str(token): int(number) for token, number in model["vocab"].items()}
            return cls(vocabulary, [(left, right) for left, right in model["merges"]])
        except (KeyError, TypeError, AttributeError, RecursionError) as error:
            raise ValueError(f"{type(error).__name__}: {error}") from error

    def __len__(self) -> int:
        return len(self._vocabulary)

    def encode(self, text: str) -> list[int]:
        """Return the token ids of a normalised text."""
        return [token for piece in _PIECES.findall(text) for token in self._tokens(piece)]

    def _merge(self, piece: str) -> tuple[int, ...]:
        """Return the tokens of one piece.

        The pair of highest priority is merged first, the leftmost among equals. A priority queue
        keeps this at ``O(n log n)``: a text without spaces is one long piece.
        """
        marked = (piece[0], *(CONTINUATION + character for character in piece[1:]))
        tokens = [self._vocabulary.get(character, self._unknown) for character in marked]
        end = len(tokens)
        before, after = [*range(-1, end - 1)], [*range(1, end + 1)]
        queue: list[tuple[int, int, tuple[int, int], int]] = []

        def offer(left: int) -> None:
            if left >= 0 and after[left] < end:
                pair = tokens[left], tokens[after[left]]
                if pair in self._merges:
                    rank, joined = self._merges[pair]
                    heappush(queue, (rank, left, pair, joined))

        for place in range(end):
            offer(place)
        while queue:
            _, left, pair, joined = heappop(queue)
            right = after[left]
            if right < end and (tokens[left], tokens[right]) == pair:
                tokens[left], tokens[right], after[left] = joined, _MERGED, after[right]
                if after[left] < end:
                    before[after[left]] = left
                offer(before[left])
                offer(left)
        return tuple(token for token in tokens if token != _MERGED)


def _differences(facts: dict[str, Any]) -> list[str]:
    """Return the settings of a file that this tokenizer does not support."""
    model, split = facts["model"], facts["pre_tokenizer"]
    found = {key: model.get(key) for key in _FORM} | {
        "type": model["type"],
        "normalizer": facts.get("normalizer"),
        "post_processor": facts.get("post_processor"),
        "pre_tokenizer": [split.get(key) for key in ("type", "pattern", "behavior", "invert")],
    }
    wanted = _FORM | {
        "type": "BPE",
        "normalizer": None,
        "post_processor": None,
        "pre_tokenizer": ["Split", {"Regex": PIECES}, "Removed", True],
    }
    return [key for key, value in wanted.items() if found[key] != value]
