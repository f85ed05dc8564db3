"""All texts that are generated from the committed checkpoints."""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from typing import Any

from mera_edge.bundle.load import DEFAULT
from mera_train import checkpoint
from mera_train.results import page, summary
from mera_train.results.roles import PAGES

ROOT = Path(__file__).parents[3]
CHECKPOINTS, RESULTS = ROOT / "train" / "checkpoints", ROOT / "docs" / "results"
MANIFEST = DEFAULT / "bundle.json"

NOTES = "\n## Notes\n"
"""Text after this heading in a card is handwritten and kept."""

BY_HAND = {
    "asr": "`mera-edge evaluate asr` on corpora; the commands are on the page",
    "int8": "`mera-edge export --int8 --report`",
    "mosi": "`mera-edge results mosi`, which trains 100 networks",
    "own_data": "`python benchmarks/own_data.py`",
    "promises": "`python benchmarks/promises.py`",
    "live": "`mera-edge bench` on a quiet machine",
    "first_run": "`python benchmarks/first_run.py` on a quiet machine",
    "faults": "`python benchmarks/faults.py`",
    "home": "`python benchmarks/outages.py`, `assist.py`, `page.py`",
    "strangers": "`python benchmarks/strangers.py` on corpora",
    "verdict": "`python benchmarks/talk.py`",
    "arm64": "`benchmarks/arm64.sh`",
}
"""Pages that are not generated here: why, and how to make them."""


def files() -> dict[Path, str]:
    """Return the contents of every card, page, chart and table, by path."""
    made: dict[Path, str] = {}
    tests = {}
    manifest = json.loads(MANIFEST.read_text(encoding="utf-8"))
    for directory in sorted(path for path in CHECKPOINTS.iterdir() if path.is_dir()):
        role, loaded = directory.name, checkpoint.load(directory)
        text = card(role, loaded)
        made[directory / "card.md"] = text
        tests[role] = page.classifications(loaded.metrics)
        if role in manifest["roles"]:
            manifest["roles"][role]["card"] = text
        if role in PAGES:
            made |= page.files(loaded, role, RESULTS / f"{role}.md")
    entries = summary.read(RESULTS / "figures.yaml", tests)
    made |= summary.with_tables(ROOT / "README.md", RESULTS / "README.md", entries)
    made[MANIFEST] = json.dumps(manifest, indent=1, ensure_ascii=False) + "\n"
    return made


def card(role: str, loaded: checkpoint.Checkpoint) -> str:
    """Return the current model card of a checkpoint, with its existing notes."""
    module: Any = importlib.import_module(f"mera_train.{role}.train")
    text = module.card_text(loaded.settings(module.Config), loaded.metrics)
    _, heading, notes = loaded.card.partition(NOTES)
    return f"{text.rstrip()}\n{heading}{notes}"
