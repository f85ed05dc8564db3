"""The model card of what learnt from one's own examples: their data, their licence."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from mera_train.own.comparison import Comparison
from mera_train.own.config import OwnConfig, required
from mera_train.own.encoder import Encoder, Settings
from mera_train.own.examples import Example
from mera_train.provenance import licence_text, origin_text

FIGURES = {"accuracy": "accuracy", "uar": "UAR", "macro_f1": "macro-F1", "ece": "ECE"}


def card(
    encoder: Encoder[Any], config: Settings, examples: Sequence[Example], metrics: dict[str, Any]
) -> str:
    """Return Markdown: what it learnt from, how well it does beside the shipped one, the licence.

    Args:
        encoder: of the role.
        config: what it was trained with.
        examples: with their splits.
        metrics: of `mera_train.own.train.train`.
    """
    own = required(config.own)
    labels = [label for label in encoder.labels if any(e.label == label for e in examples)]
    rows = "".join(_row(label, [e for e in examples if e.label == label]) for label in labels)
    figures = figure_rows(metrics, lambda found: [_figure(found, figure) for figure in FIGURES])
    people = len({e.person for e in examples if e.person})
    whose = f"of {people} people, none of them in two splits" if people else "of unnamed people"
    silent = [label for label in encoder.labels if label not in labels]
    never = f" It has seen no examples of {', '.join(silent)}, and hardly ever answers so."
    return f"""\
# {encoder.title}, from one's own examples

{metrics["parameters"] / 1e6:.2f} M parameters, {origin_text(own.init_checkpoint)}.

* **Data**: `{own.source.name}`, {len(examples)} examples {whose}. Their licence is for whoever
  gave them to state.
* **Licence** of the weights: {licence_text(config.licence)}.
* **Choice**: the valid examples chose the weights and the temperature
  ({metrics["temperature"]:.2f}); the test examples chose nothing.{kept(metrics)}

| label | train | valid | test |
| --- | --- | --- | --- |
{rows}
On the {metrics["test"]["n"]} test examples, among the labels that occur in them (95 % intervals,
which {drawn(metrics["test"])}):

| encoder | {" | ".join(FIGURES.values())} |
|{" --- |" * (1 + len(FIGURES))}
{figures}
{command(encoder.role, own)}

**Know before use.** It knows people and places like those in the examples, and says what was
labelled there, not what a person feels.{never if silent else ""} Not for decisions about people.
"""


def figure_rows(
    metrics: Mapping[str, Any], cells: Callable[[dict[str, Any]], Sequence[str]]
) -> str:
    """Return the rows of a card's table: the new weights, the shipped ones, the rejected ones.

    Args:
        metrics: of a run.
        cells: from the figures of one of them to the cells of its row.
    """
    return "".join(
        f"| {what} | {' | '.join(cells(metrics[name]))} |\n"
        for name, what in (
            ("test", "this one"),
            ("shipped", "the shipped one"),
            ("learnt", "what was learnt, not kept"),
        )
        if name in metrics
    )


def kept(metrics: Mapping[str, Any]) -> str:
    """Return the line of a card that says whether the new weights were kept; empty: not asked."""
    compared = metrics.get("comparison")
    return f"\n* **Kept**: {Comparison.of(compared).sentence()}." if compared else ""


def command(role: str, own: OwnConfig) -> str:
    """Return the line of a card that says how its figures came about."""
    return f"Command: `mera-edge train {role} --data {own.source.name}`, settings: `config.yaml`."


def shown(found: Mapping[str, Any], name: str) -> str:
    """Return the cell of a rate, in percent with its interval."""
    low, high = found["interval_95"][name]
    return f"{found[name]:.1%} ({low:.1%} to {high:.1%})"


def drawn(found: Mapping[str, Any]) -> str:
    """Say what the intervals of figures draw again."""
    if "effective_n" not in found:
        return "take the examples as independent"
    return f"draw the {found['people']} people again; effective n {found['effective_n']}"


def _row(label: str, examples: Sequence[Example]) -> str:
    counts = Counter(e.split for e in examples)
    return f"| {label} | {counts['train']} | {counts['valid']} | {counts['test']} |\n"


def _figure(found: dict[str, Any], name: str) -> str:
    value = found[name]
    if value is None:
        return "-"
    interval = found["interval_95"].get(name)
    return f"{value:.3f}" + (f" ({interval[0]:.3f} to {interval[1]:.3f})" if interval else "")
