"""The text normaliser: one spelling for what people write and what recognizers print."""

from __future__ import annotations

import re
import unicodedata

SPEC = {"kind": "text", "normaliser": 1, "unicode": "NFKC", "case": "folded", "longest_run": 3}
"""The facts a bundle carries about these features: a model trained on others is refused."""

LONGEST = 2000
"""Characters that are looked at: the *last* ones, since the newest words count."""

_APOSTROPHES = str.maketrans("\u2018\u2019\u02bc\u0060\u00b4", "'''''")
_LINK = re.compile(r"(?:https?://|www\.)[!-~]+")
# Names of accounts say nothing about how someone feels, and invite learning who does.
_ACCOUNT = re.compile(r"@[\w\-]+")
_RUN = re.compile(r"(.)\1{3,}", re.DOTALL)


def normalise(text: str) -> str:
    """Return ``text`` as the text encoder reads it: at most `LONGEST` characters on one line.

    Compatibility forms are unified (NFKC), case is folded, control and format characters,
    lone surrogates, links and account names go, runs of a character end at three
    (``"soooooo"`` -> ``"sooo"``), white space is single. Normalising twice changes nothing.
    """
    # Cutting first keeps a long text cheap, cutting again is needed where folding lengthens.
    text = "".join(" " if c.isspace() else c for c in text[-LONGEST:] if not _is_invisible(c))
    text = _RUN.sub(r"\1\1\1", _fold(text))
    text = _ACCOUNT.sub(" @ ", _LINK.sub(" ", text))
    return " ".join(text[-LONGEST:].split())


def _is_invisible(character: str) -> bool:
    return unicodedata.category(character)[0] == "C" and not character.isspace()


def _fold(text: str) -> str:
    text = unicodedata.normalize("NFKC", text.translate(_APOSTROPHES)).casefold()
    return unicodedata.normalize("NFKC", text).translate(_APOSTROPHES)
