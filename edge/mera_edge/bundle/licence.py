"""Classifies the licences of weights by permitted use."""

from __future__ import annotations

import re
from typing import Final, Literal

Use = Literal["commercial", "non-commercial", "unknown"]

COMMERCIAL: Final = frozenset(
    {
        "0BSD", "Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "CC-BY-3.0", "CC-BY-4.0",
        "CC-BY-SA-4.0", "CC0-1.0", "CDLA-Permissive-2.0", "ISC", "MIT", "ODC-By-1.0",
        "OpenMDW-1.1", "Unlicense",
    }
)  # fmt: skip
"""SPDX identifiers of licences that allow commercial use, under their conditions."""

MEANING: Final[dict[Use, str]] = {
    "commercial": "may be used commercially, on the conditions of its licence",
    "non-commercial": "for research and other non-commercial use only",
    "unknown": "read the licence before any use: its terms are unusual",
}
"""Descriptions of the classes."""

_RESTRICTED = re.compile(r"\bnc\b|non-?commercial|research|academic", re.IGNORECASE)


def use(licence: str) -> Use:
    """Return the permitted use of weights.

    Only licences in `COMMERCIAL`, alone or joined by ``AND``, count as commercial; anything else
    needs a person's judgement.
    """
    if all(part.strip() in COMMERCIAL for part in licence.split(" AND ")):
        return "commercial"
    return "non-commercial" if _RESTRICTED.search(licence) else "unknown"
