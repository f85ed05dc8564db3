"""Normalisation of written English to spoken form, for speech synthesis and the language model."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from mera_edge.errors import InputError
from mera_train.text.data import ENGLISH, sentences

_SPOKEN = re.compile(r"[a-z]+(?:'[a-z]+)?")
_END = re.compile(r"[.!?;:]+[\"')\]]*\s+|\n\s*\n")


def spoken(text: str) -> str | None:
    """Return a sentence in lower-case words; empty if it has digits or other symbols."""
    text = re.sub(r"[’`]", "'", text.lower())
    words = re.sub(r"[.,;:!?\"()\[\]_*-]+", " ", text).split()
    words = [word.strip("'") for word in words if word.strip("'")]
    return " ".join(words) if words and all(map(_SPOKEN.fullmatch, words)) else None


def everyday(data: Path) -> list[str]:
    """Read the sentences of the English training splits of ``text.zip``."""
    rows = [s.text for s in sentences(data) if s.corpus in ENGLISH and s.split == "train"]
    return list(filter(None, map(spoken, rows)))


def book_sentences(paths: Iterable[Path]) -> list[str]:
    """Read the sentences of plain-text files (UTF-8), such as books.

    Raises:
        InputError: a file cannot be read.
    """
    found: list[str] = []
    for path in paths:
        try:
            text = path.read_text(encoding="utf-8", errors="replace")
        except OSError as error:
            raise InputError(f"{path} cannot be read ({error})", "give plain text") from error
        found += filter(None, (spoken(part) for part in _END.split(text)))
    return found


def choose(texts: Iterable[str], words: range, held_out: set[str]) -> list[str]:
    """Return distinct texts whose number of words is in ``words``, in order, minus ``held_out``."""
    return [
        text for text in dict.fromkeys(texts) if len(text.split()) in words and text not in held_out
    ]
