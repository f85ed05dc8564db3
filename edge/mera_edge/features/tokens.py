"""Tokens: subwords for alphabets, single characters for Chinese."""

from __future__ import annotations

import functools
import json
from heapq import heappop, heappush
from pathlib import Path
from typing import Any, Final

import regex

from mera_edge.errors import InputError

PIECES: Final = r"\p{Han}|\p{N}|[\p{L}\p{M}']+|[^\s\p{Han}\p{N}\p{L}\p{M}']+"
"""Chinese characters and digits one by one, words with their apostrophes, runs of anything else."""
CONTINUATION: Final = "##"
"""Before a token that continues a piece."""
UNKNOWN: Final = "[UNK]"

_PIECES: Final = regex.compile(PIECES)
_CACHED: Final = 10_000
"""Pieces whose tokens are remembered."""
_GONE: Final = -1
"""In the place of a token that was joined to the one before it."""
_FORM: Final = {
    "unk_token": UNKNOWN,
    "continuing_subword_prefix": CONTINUATION,
    "end_of_word_suffix": None,
    "dropout": None,
    "fuse_unk": False,
    "byte_fallback": False,
    "ignore_merges": False,
}
"""What a file's model must say of itself."""


class Tokenizer:
    """A byte-pair encoding (Sennrich et al., 2016), read from Hugging Face's ``tokenizer.json``.

    It gives the numbers that the library ``tokenizers`` gives, which would bring a client of a
    model hub and an HTTP client onto the device.

    Args:
        vocabulary: number of every token.
        merges: pairs of tokens that are joined, the first first.
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
            InputError: it cannot be read, or is a tokenizer of another kind.
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
        """Read the text of ``tokenizer.json``.

        Raises:
            ValueError: it is not JSON, or a tokenizer of another kind.
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
        """Return the token numbers of a text that was normalised."""
        return [token for piece in _PIECES.findall(text) for token in self._tokens(piece)]

    def _merge(self, piece: str) -> tuple[int, ...]:
        """Return the tokens of one piece: its characters, joined pair by pair.

        Those that were learnt first are joined first, and of the same the leftmost, in
        ``n log n`` steps: a text without spaces is one long piece.
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
                tokens[left], tokens[right], after[left] = joined, _GONE, after[right]
                if after[left] < end:
                    before[after[left]] = left
                offer(before[left])
                offer(left)
        return tuple(token for token in tokens if token != _GONE)


def _differences(facts: dict[str, Any]) -> list[str]:
    """Name what a file asks for and this tokenizer does not do."""
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
