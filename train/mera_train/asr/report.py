"""What training of a recognizer leaves to look at: its curves, and what it understood worst."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from mera_edge.asr.evaluate import distance
from mera_train import parallel

WORST = 20
_WIDTH, _HEIGHT = 640, 180


def write(out: Path, said: Sequence[str], heard: Sequence[str]) -> None:
    """Write ``report.md`` and ``curves.svg`` into the directory of a run.

    Args:
        out: with the run's ``log.jsonl``.
        said: by utterance of dev, the reference.
        heard: the hypothesis.
    """
    if not parallel.state().is_main_process:
        return
    log = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
    names = [name for name in log[-1] if name not in ("epoch", "seconds")]
    (out / "curves.svg").write_text(_curves(log, names))
    rows = [f"| {' | '.join(['epoch', *names])} |", "| --- " * (len(names) + 1) + "|"]
    for line in log:
        figures = [f"{line[name]:.4f}" if name in line else "" for name in names]
        rows.append(f"| {line['epoch']} | {' | '.join(figures)} |")
    worst = ["| errors | words | said | understood |", "| --- | --- | --- | --- |"]
    errors = [
        (distance(reference.split(), hypothesis.split()), reference, hypothesis)
        for reference, hypothesis in zip(said, heard, strict=True)
    ]
    for wrong, reference, hypothesis in sorted(errors, key=lambda each: -each[0])[:WORST]:
        if wrong:
            worst.append(f"| {wrong} | {len(reference.split())} | {reference} | {hypothesis} |")
    (out / "report.md").write_text(
        "# How it learnt\n\n![curves](curves.svg)\n\n"
        + "\n".join(rows)
        + "\n\n## The dev utterances that were understood worst\n\nGreedy search.\n\n"
        + "\n".join(worst)
        + "\n",
        encoding="utf-8",
    )


def _curves(log: Sequence[dict[str, float]], names: Sequence[str]) -> str:
    """One panel a figure, from its least to its greatest value."""
    panels = []
    for number, name in enumerate(names):
        points = [(line["epoch"], line[name]) for line in log if name in line]
        low, high = min(v for _, v in points), max(v for _, v in points)
        first, last = points[0][0], points[-1][0]
        path = " ".join(
            f"{60 + (_WIDTH - 80) * (epoch - first) / max(last - first, 1):.1f},"
            f"{_HEIGHT - 30 - (_HEIGHT - 60) * (value - low) / max(high - low, 1e-9):.1f}"
            for epoch, value in points
        )
        panels.append(
            f'<g transform="translate(0 {number * _HEIGHT})">'
            f'<text x="60" y="20">{name}</text>'
            f'<text x="4" y="34">{high:.3g}</text><text x="4" y="{_HEIGHT - 26}">{low:.3g}</text>'
            f'<polyline points="{path}" fill="none" stroke="#2f7ec0" stroke-width="2"/></g>'
        )
    height = _HEIGHT * len(names)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" '
        f'font-family="sans-serif" font-size="13"><rect width="100%" height="100%" '
        f'fill="white"/>{"".join(panels)}</svg>\n'
    )
