"""The results page of a role, generated from its checkpoint (without measuring)."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from mera_edge.errors import InputError
from mera_edge.metrics.confusion import wilson
from mera_train import drawing
from mera_train.checkpoint import Checkpoint
from mera_train.figures import markdown, short, shown, tables
from mera_train.results import fusion_table, vad_table
from mera_train.results.roles import PAGES, Page

KEPT = "<!-- Below this line the page is written by hand; `make results` keeps it. -->\n"

Tests = Mapping[str, Mapping[str, Any]]
"""Results of `classification` by path in ``metrics.json``."""


def files(loaded: Checkpoint, role: str, page: Path) -> dict[Path, str]:
    """Return the contents of the page and its charts, by path.

    Args:
        loaded: the checkpoint.
        role: a key of `PAGES`.
        page: its path; text after `KEPT` is kept.

    Raises:
        InputError: a test in the metrics has no name in `PAGES`.
    """
    words, found = PAGES[role], classifications(loaded.metrics)
    if unnamed := set(found) - {*words.tests, *words.dev}:
        raise InputError(
            f"{loaded.directory}/metrics.json has {min(unnamed)!r}, which the page of {role} lacks",
            "name it in mera_train/results/roles.py",
        )
    tests = {words.tests[place]: found[place] for place in words.tests if place in found}
    dev = {name: found[place] for place, name in words.dev.items() if place in found}
    pictures, images = {}, page.parent.parent / "images"
    if sure := {name: test for name, test in tests.items() if "reliability" in test}:
        pictures[images / f"{role}_reliability.svg"] = drawing.reliability(
            {short(name): test for name, test in sure.items()}
        )
    if history := loaded.metrics.get("history"):
        pictures[images / f"{role}_learning.svg"] = drawing.curves(history)
    parts = [
        _head(role, words, tests),
        _MORE[role](loaded.metrics) if role in _MORE else "",
        _dev(dev, words.figures),
        *(_PICTURES[p.stem.split("_")[1]].format(file=p.name) for p in pictures),
        _confusions(tests),
        _mistakes(loaded.metrics.get("mistakes", {})),
        _commands(role, words),
        KEPT,
        kept(page),
    ]
    return {page: "".join(parts), **pictures}


def kept(page: Path) -> str:
    """Return the handwritten text at the end of a page."""
    text = page.read_text(encoding="utf-8") if page.exists() else ""
    return text.partition(KEPT)[2]


def classifications(metrics: Mapping[str, Any], name: str = "") -> dict[str, Any]:
    """Return all classification results in ``metrics.json`` by their path of keys."""
    if "confusion" in metrics:
        return {name: metrics}
    found: dict[str, Any] = {}
    for key, value in metrics.items():
        if isinstance(value, dict):
            found |= classifications(value, f"{name} · {key}".removeprefix(" · "))
    return found


def _head(role: str, words: Page, tests: Tests) -> str:
    rows = [[p.test, p.figure, p.value, p.source] for p in words.published]
    beside = markdown(["test", "figure", "value", "source"], rows)
    published = f"For comparison:\n\n{beside}\n" if rows else ""
    return f"""\
<!-- Made by `make results` from train/checkpoints/{role}/metrics.json. -->
# {words.title}

{_wrapped(words.lead)}

{tables(tests, words.figures) + chr(10) if tests else ""}\
```bash
{command(role)}   # measures every row again
```

{published}{_wrapped(words.caution)}

{_TERMS if tests else ""}The data, their licences and the limits:
[card](../../train/checkpoints/{role}/card.md).

"""


_TERMS = "UAR: unweighted average recall; ECE: expected calibration error. "


def _wrapped(text: str) -> str:
    return textwrap.fill(text, 100, break_long_words=False, break_on_hyphens=False)


def command(role: str) -> str:
    """Return the command that measures the checkpoint of a role and writes its page."""
    return f"mera-edge results pages {role} --data DIR"


def _dev(dev: Tests, figures: Sequence[str]) -> str:
    if not dev:
        return ""
    return f"## Dev sets, used for model selection\n\n{tables(dev, figures, 'dev set')}\n"


def _disturbed(metrics: Mapping[str, Any]) -> str:
    from mera_train.face.disturbances import DISTURBANCES

    n, rows = metrics["test"]["majority"]["n"], []
    for name, (_, what) in DISTURBANCES.items():
        if name in metrics.get("disturbed", {}):
            right = metrics["disturbed"][name]
            sure = " to ".join(shown("accuracy", bound) for bound in wilson(right * n, n))
            rows.append([name.replace("_", " "), what, shown("accuracy", right), sure])
    found = markdown(["disturbance", "description", "accuracy, %", "95 % interval"], rows)
    return f"## Robustness\n\nThe first test ({n:,} faces) with disturbed pictures:\n\n{found}\n"


_MORE: dict[str, Callable[[Mapping[str, Any]], str]] = {
    "face": _disturbed,
    "fusion": fusion_table.section,
    "vad": vad_table.section,
}
"""Additional sections by role."""

_PICTURES = {
    "reliability": """\
## Calibration

Each bar is a bin of confidence; its height is the accuracy of the answers in it. The diagonal is
perfect calibration. Pale bars contain few answers.

![reliability](../images/{file})

""",
    "learning": """\
## Training curves

By epoch: `train_loss` on training data, the others on dev.

![training curves](../images/{file})

""",
}


def _confusions(tests: Tests) -> str:
    found = "".join(f"### {short(name)}\n\n{_confusion(test)}\n" for name, test in tests.items())
    return f"## Confusion matrices\n\nRows: truth. Columns: answer.\n\n{found}" if tests else ""


def _confusion(test: Mapping[str, Any]) -> str:
    labels, rows = test["confusion"]["labels"], test["confusion"]["rows_are_truth"]
    facts = [test["per_class"][label] for label in labels]
    body = [
        [label, *map(str, row), f"{100 * fact['recall']:.1f}", f"{100 * fact['precision']:.1f}"]
        for label, row, fact in zip(labels, rows, facts, strict=True)
    ]
    return markdown(["", *labels, "recall, %", "precision, %"], body)


def _mistakes(mistakes: Mapping[str, Sequence[Mapping[str, Any]]]) -> str:
    if not mistakes:
        return ""
    head = ["row", "truth", "answer", "confidence"]
    found = "".join(
        f"### {test}\n\n"
        + markdown(
            head, [[m["row"], m["truth"], m["answer"], f"{m['confidence']:.3f}"] for m in rows]
        )
        + "\n"
        for test, rows in mistakes.items()
    )
    return (
        "## Most confident errors\n\nTen per test. A row is a file of the corpus or the number of "
        f"a sentence in the test split; the data itself may not be published.\n\n{found}"
    )


def _commands(role: str, words: Page) -> str:
    run = f"runs/{words.config.split('/')[1].removesuffix('.yaml')}"
    return f"""\
## Train it

```bash
mera-edge train {role} --config train/configs/{words.config} --data DIR --out {run}
cp {run}/{{card.md,config.yaml,metrics.json,model.safetensors}} train/checkpoints/{role}/
make results      # this page, the card, the tables of README.md and docs/results/README.md
```

"""
