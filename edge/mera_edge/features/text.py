"""Text normalisation, the same for written text and the recognizer's output."""

from __future__ import annotations

import re
import unicodedata

SPEC = {"kind": "text", "normaliser": 1, "unicode": "NFKC", "case": "folded", "longest_run": 3}
"""Recorded in a bundle: a model trained on different features is rejected."""

LONGEST = 2000
"""Maximum length in characters; longer texts are cut at the start, since the newest words count."""

_APOSTROPHES = str.maketrans("\u2018\u2019\u02bc\u0060\u00b4", "'''''")
_LINK = re.compile(r"(?:https?://|www\.)[!-~]+")
# Account names carry no emotion, and a model could memorise people by them.
_ACCOUNT = re.compile(r"@[\w\-]+")
_RUN = re.compile(r"(.)\1{3,}", re.DOTALL)


def normalise(text: str) -> str:
    """Return the input of the text encoder: one line of at most `LONGEST` characters.

    Applies NFKC and case folding; removes control and format characters, lone surrogates, links and
    account names; shortens runs of a character to three (``"soooooo"`` -> ``"sooo"``); collapses
    white space. It is idempotent.
    """
    # Truncated first for speed, and again at the end because folding can lengthen the text.
    text = "".join(" " if c.isspace() else c for c in text[-LONGEST:] if not _is_invisible(c))
    text = _RUN.sub(r"\1\1\1", _fold(text))
    text = _ACCOUNT.sub(" @ ", _LINK.sub(" ", text))
    return " ".join(text[-LONGEST:].split())


def _is_invisible(character: str) -> bool:
    return unicodedata.category(character)[0] == "C" and not character.isspace()


def _fold(text: str) -> str:
    text = unicodedata.normalize("NFKC", text.translate(_APOSTROPHES)).casefold()
    return unicodedata.normalize("NFKC", text).translate(_APOSTROPHES)
