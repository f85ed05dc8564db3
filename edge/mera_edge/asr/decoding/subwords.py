"""The recognizer's units: subwords; the first one of a word begins with ``▁``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import pairwise
from pathlib import Path

from mera_edge.asr.decoding.ctc import BLANK
from mera_edge.errors import BundleError, InputError

WORD_START = "▁"


def words(units: Iterable[int], symbols: list[str]) -> tuple[str, ...]:
    """Join units to words."""
    return tuple("".join(symbols[unit] for unit in units).replace(WORD_START, " ").split())


def bpe_encode(text: str, symbols: list[str]) -> tuple[int, ...]:
    """Return the units of a text by byte-pair encoding; pairs of the lowest class are merged first.

    Raises:
        InputError: it has a character that is not a unit.
    """
    classes = {symbol: number for number, symbol in enumerate(symbols)}
    parts = joined(WORD_START + WORD_START.join(text.lower().split()), classes)
    strange = "".join(part for part in parts if part not in classes)
    if strange:
        raise InputError(
            f"{text!r}: the recognizer cannot write {strange!r}",
            "write it as spoken, without digits and punctuation",
        )
    return tuple(classes[part] for part in parts)


def joined(text: str, classes: Mapping[str, int]) -> list[str]:
    """Split a text into units by byte-pair encoding; other characters remain single."""
    parts = list(text)
    while True:
        pairs = [(classes.get(a + b, len(classes)), i) for i, (a, b) in enumerate(pairwise(parts))]
        best, place = min(pairs, default=(len(classes), 0))
        if best == len(classes):
            return parts
        parts[place : place + 2] = [parts[place] + parts[place + 1]]


def read_symbols(path: Path) -> list[str]:
    """Read ``tokens.txt``: a symbol and its class per line; class 0 is the blank.

    Raises:
        BundleError: a line is not such a pair, or the classes are not 0, 1, 2, …
    """
    symbols = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines()):
        symbol, _, index = line.rpartition(" ")
        if index != str(number):
            raise BundleError(f"{path}, line {number + 1}: class {number} expected, not {line!r}")
        symbols.append(symbol)
    if len(symbols) <= BLANK + 1:
        raise BundleError(f"{path} lists no symbols", "export the bundle again")
    return symbols
