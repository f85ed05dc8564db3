"""Results pages, cards and tables are what the committed checkpoints say."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from mera_edge.errors import InputError
from mera_edge.metrics.classification import classification
from mera_train import checkpoint
from mera_train.figures import intervals_of, table
from mera_train.msa import results as msa_results
from mera_train.results import generated, page
from mera_train.results.measure import MEASURES
from mera_train.results.roles import PAGES

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def made() -> dict[Path, str]:
    return generated.files()


def test_committed_sample_equals_the_generated_one(made: dict[Path, str]) -> None:
    stale = [
        str(path.relative_to(ROOT))
        for path, text in made.items()
        if not path.exists() or path.read_text(encoding="utf-8") != text
    ]
    assert not stale, "run: make results"


def test_every_results_page_is_made_or_says_how_its_figures_are(made: dict[Path, str]) -> None:
    pages = {path.stem for path in generated.RESULTS.glob("*.md")} - {"README"}
    assert pages == set(PAGES) | set(generated.BY_HAND)
    # The recognizer has a card of its own; its page needs the device and two passes.
    assert {*PAGES, "asr"} == set(MEASURES)


@pytest.mark.parametrize("role", [role for role, words in PAGES.items() if words.tests])
def test_every_accuracy_has_its_n_and_interval(role: str, made: dict[Path, str]) -> None:
    text = made[generated.RESULTS / f"{role}.md"].split(page.KEPT)[0]
    first = text[text.index("| test |") :].splitlines()
    head = [cell.strip() for cell in first[0].strip("|").split("|")]
    for line in re.findall(r"^\| (?:test|dev set) \| .*(?=\|$)", text, re.MULTILINE):
        names = [cell.strip() for cell in line.split("|")]
        for number, name in enumerate(names):
            if name.startswith(("accuracy", "UAR", "macro-F1", "weighted")):
                assert names[number + 1] == "95 % interval"
    for line in first[2 : 2 + len(PAGES[role].tests)]:
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        assert re.fullmatch(r"[\d,]+", cells[head.index("n")])
        assert not any(re.search(r"\d.*/|±", cell) for cell in cells[1:]), "one figure a cell"
    assert (ROOT / "train" / "configs" / PAGES[role].config).exists()


QUALITY = re.compile(r"accuracy|UAR|F1|WER|recall|same label|speech missed|loss of any|ECE|right")


@pytest.mark.parametrize(
    "row", yaml.safe_load((generated.RESULTS / "figures.yaml").read_text(encoding="utf-8"))
)
def test_a_figure_of_the_overview_says_how_sure_it_is(row: dict[str, Any]) -> None:
    if "from" in row:
        return
    if QUALITY.search(row["measure"]):
        assert row.get("n") and (row.get("interval") or row.get("no_interval"))
    if "readme" in row:
        assert row["readme"]["command"], "what measures it"


@pytest.mark.parametrize("path", sorted(generated.CHECKPOINTS.glob("*/card.md")), ids=str)
def test_a_card_gives_intervals_and_the_command(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert re.search(r"Command: `mera-edge (results pages|train) ", text)
    for head in re.findall(r"^\| .*\|$(?=\n\| ---)", text, re.MULTILINE):
        if re.search(r"figure|test|dev|modalities", head):
            assert "95 % interval" in head


def test_a_figure_lies_in_its_interval_even_if_only_a_confusion_is_known() -> None:
    truth = ["happy", "sad", "sad", "happy"] * 25
    found = classification(truth, np.eye(2)[[0, 1, 0, 0] * 25], ("happy", "sad"))
    bare = {key: value for key, value in found.items() if key != "interval_95"}
    for figure, (low, high) in intervals_of(bare).items():
        assert low < found[figure] < high
        assert [low, high] == pytest.approx(found["interval_95"][figure])
    assert "| made | 2 | 100 | 75.0 |" in table({"made": bare}, ("accuracy",))


def test_the_page_of_mosi_has_the_words_of_its_generator() -> None:
    """Its figures need a hundred trainings; its words do not."""
    text = (generated.RESULTS / "mosi.md").read_text(encoding="utf-8")
    place = 0
    for part in re.split(r"\{[^}]*\}", msa_results.PAGE):
        found = text.find(part, place)
        assert found >= place, f"run its generator, or mend the page: {part[:60]!r}"
        place = found + len(part)


def test_a_test_without_a_name_is_not_left_out_in_silence(tmp_path: Path) -> None:
    loaded = checkpoint.load(generated.CHECKPOINTS / "voice")
    loaded.metrics["another_corpus"] = loaded.metrics["urdu"]
    with pytest.raises(InputError, match=r"another_corpus.*name it in mera_train/results/roles"):
        page.files(loaded, "voice", tmp_path / "voice.md")
