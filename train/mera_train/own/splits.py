"""Who is learnt from, who chooses, who tests: nobody is in two of them."""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import replace

from mera_edge.errors import InputError
from mera_train.own.examples import Example

TRIES = 300
"""Random divisions, of which the one is taken in which every split has most of every label."""


def divide(
    examples: Sequence[Example], held_out: tuple[float, float], tell: Callable[[str], None]
) -> list[Example]:
    """Give every example a split: the one that it says, else one by person.

    Args:
        examples: with the splits that their rows name.
        held_out: shares of valid and test, each where no row is in it.
        tell: told what the figures will not show.

    Raises:
        InputError: a person is in two splits, or a split would be empty.
    """
    _apart(examples)
    found = [replace(e, split=e.split or "train") for e in examples]
    wanted = [(name, share) for name, share in zip(("valid", "test"), held_out, strict=True)
              if not any(e.split == name for e in found)]  # fmt: skip
    if wanted and (why := _strangers(found)):
        tell(
            f"{why}: {' and '.join(name for name, _ in wanted)} have people who are learnt from "
            "too, and strangers will be read worse than the figures say"
        )
    if why := confounded(found):
        tell(why)
    for name, share in reversed(wanted):
        found = hold_out(found, name, share)
    labels = {e.label for e in found}
    if len(labels) > 1 and len({e.label for e in found if e.split == "train"}) < 2:
        raise InputError(
            "fewer than two labels are left to learn from: all others are only in valid or test",
            "give examples of more people, or name the splits in a column `split`",
        )
    return found


def _apart(examples: Sequence[Example]) -> None:
    first: dict[str, Example] = {}
    for e in examples:
        before = first.setdefault(e.person, e)
        if e.person and before.split != e.split:
            raise InputError(
                f"{e.where}: {e.person} is in {e.split or 'no split'}, and in "
                f"{before.split or 'no split'} by {before.where}",
                "put each person into one split, or leave the column empty to have people divided",
            )


def confounded(examples: Sequence[Example]) -> str:
    """Return that people and labels go together, where they do, or nothing."""
    labels: dict[str, set[str]] = defaultdict(set)
    for e in examples:
        if e.person:
            labels[e.person].add(e.label)
    single = sum(len(found) == 1 for found in labels.values())
    if len({e.label for e in examples}) < 2 or 2 * single <= len(labels):
        return ""
    return (
        f"{single} of {len(labels)} people have examples of one label only: what is learnt may be "
        "who they are, and strangers be read worse than by the shipped model; add other labels"
    )


def _strangers(examples: Sequence[Example]) -> str:
    """Return why splits cannot be by person, or nothing."""
    people = {e.person for e in examples if e.split == "train"}
    if "" in people:
        return "not every example names its person (column `person`)"
    return f"{len(people)} people are too few to divide" if len(people) < 4 else ""


def hold_out(examples: list[Example], name: str, share: float) -> list[Example]:
    """Move a share of the training examples to another split: whole persons, if they are known."""
    rows = [i for i, e in enumerate(examples) if e.split == "train"]
    groups: dict[str, list[int]] = defaultdict(list)
    for i in rows:
        groups[examples[i].person or f"row {i}"].append(i)
    if len(groups) < 3:
        groups = {f"row {i}": [i] for i in rows}
    labels = Counter(examples[i].label for i in rows)

    def apart(chosen: Sequence[int]) -> float:
        taken = Counter(examples[i].label for i in chosen)
        left = sum(taken[label] == n for label, n in labels.items())
        return left * len(rows) + sum(abs(taken[x] - share * n) for x, n in labels.items())

    generator = random.Random(0)
    names = sorted(groups)
    best: list[int] = []
    for _ in range(TRIES):
        generator.shuffle(names)
        chosen: list[int] = []
        for group in names:
            if chosen and len(chosen) + len(groups[group]) / 2 > share * len(rows):
                break
            chosen += groups[group]
        if not best or apart(chosen) < apart(best):
            best = chosen
    moved = set(best)
    return [replace(e, split=name) if i in moved else e for i, e in enumerate(examples)]
