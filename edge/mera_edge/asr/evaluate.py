"""Word and character error rates."""

from __future__ import annotations

from collections.abc import Sequence

from mera_edge.errors import InputError


def distance(reference: Sequence[str], hypothesis: Sequence[str]) -> int:
    """Return the least number of substitutions, deletions and insertions (Levenshtein, 1966)."""
    row = list(range(len(hypothesis) + 1))
    for i, wanted in enumerate(reference, 1):
        diagonal, row[0] = row[0], i
        for j, got in enumerate(hypothesis, 1):
            diagonal, row[j] = (
                row[j],
                min(row[j] + 1, row[j - 1] + 1, diagonal + (wanted != got)),
            )
    return row[-1]


def word_error_rate(references: Sequence[str], hypotheses: Sequence[str]) -> dict[str, float]:
    """Compare transcripts, pooled over all utterances.

    Returns:
        ``wer`` and ``cer`` (errors divided by reference words and characters, 0 and up; single
        spaces count as characters), ``n`` utterances, ``words`` in the references.

    Raises:
        InputError: the numbers of transcripts differ, or the references have no word.
    """
    if len(references) != len(hypotheses):
        raise InputError(f"{len(references)} references, but {len(hypotheses)} hypotheses")
    pairs = [(r.split(), h.split()) for r, h in zip(references, hypotheses, strict=True)]
    words = sum(len(reference) for reference, _ in pairs)
    if words == 0:
        raise InputError("the references have no word", "give transcripts of what was said")
    spelled = [(" ".join(reference), " ".join(hypothesis)) for reference, hypothesis in pairs]
    return {
        "wer": sum(distance(r, h) for r, h in pairs) / words,
        "cer": sum(distance(r, h) for r, h in spelled) / sum(len(r) for r, _ in spelled),
        "n": len(pairs),
        "words": words,
    }
