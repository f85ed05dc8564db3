"""The training report of a recognizer: curves, and the worst dev utterances."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from mera_edge.metrics.word_error_rate import distance, tokens
from mera_train import parallel
from mera_train.drawing import curves

WORST = 20


def write(out: Path, said: Sequence[str], heard: Sequence[str]) -> None:
    """Write ``report.md`` and ``curves.svg`` to the directory of a run.

    Args:
        out: directory with the run's ``log.jsonl``.
        said: reference texts by dev utterance.
        heard: hypotheses by dev utterance.
    """
    if not parallel.state().is_main_process:
        return
    log = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
    names = [name for name in log[-1] if name not in ("epoch", "seconds")]
    (out / "curves.svg").write_text(curves(log))
    rows = [f"| {' | '.join(['epoch', *names])} |", "| --- " * (len(names) + 1) + "|"]
    for line in log:
        figures = [f"{line[name]:.4f}" if name in line else "" for name in names]
        rows.append(f"| {line['epoch']} | {' | '.join(figures)} |")
    worst = ["| errors | words | said | understood |", "| --- | --- | --- | --- |"]
    errors = [
        (distance(tokens(reference), tokens(hypothesis)), reference, hypothesis)
        for reference, hypothesis in zip(said, heard, strict=True)
    ]
    for wrong, reference, hypothesis in sorted(errors, key=lambda each: -each[0])[:WORST]:
        if wrong:
            worst.append(f"| {wrong} | {len(tokens(reference))} | {reference} | {hypothesis} |")
    (out / "report.md").write_text(
        "# How it learnt\n\n![curves](curves.svg)\n\n"
        + "\n".join(rows)
        + "\n\n## The dev utterances that were understood worst\n\nGreedy search.\n\n"
        + "\n".join(worst)
        + "\n",
        encoding="utf-8",
    )
