"""An encoder learns from one's own examples, beside the shipped one as a baseline."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

from mera_edge.errors import InputError
from mera_train import checkpoint, disk, fingerprint, parallel, state
from mera_train.loop import fit
from mera_train.own import examples as own
from mera_train.own.card import card
from mera_train.own.comparison import compare
from mera_train.own.config import OwnConfig, required
from mera_train.own.encoder import Encoder, Network, Settings
from mera_train.own.examples import Example, Kind
from mera_train.own.measure import ANSWERS, measured
from mera_train.own.splits import divide
from mera_train.own.task import OwnTask, rows_of
from mera_train.temperature import fit_temperature


def train(
    encoder: Encoder[Network], config: Settings, out: Path, resume: bool | Path
) -> dict[str, Any]:
    """Train, choose and calibrate on valid, measure once on test, beside the shipped encoder.

    What is worse than the weights that it began from, for people who were not learnt from, is not
    kept: `mera_train.own.comparison`.

    Writes a checkpoint to ``out``, ``examples.csv``: which example was in which split, and
    ``answers.csv``: what the test examples are taken for.

    Returns:
        The metrics: ``valid``, ``test``, and ``shipped``: the shipped bundle on the same test;
        ``comparison`` with what it began from and, where that is kept, ``learnt``: the test of
        what was learnt.

    Raises:
        InputError: the examples cannot be used, or ``out`` holds another run.
    """
    given = required(config.own)
    examples = usable(given, encoder.kind, encoder.labels, encoder.read)
    digests = fingerprint.Digests(out / "digests.json")
    told = own.digest(examples, encoder.kind, digests)
    made = fingerprint.of(config, {"the examples": told}, digests)
    digests.save()
    state.claim(out, made, resume)
    encoder.begin(examples, out, digests)
    torch.manual_seed(config.loop.seed)
    start = checkpoint.load(given.init_checkpoint) if given.init_checkpoint else None
    model = encoder.network(start, rows_of(examples, "train"))
    task = OwnTask(encoder, model, examples, config)
    chosen = fit(task, config.loop, out, made, resume)
    truth = torch.tensor([task.truth[i] for i in task.valid])
    model.temperature.mul_(fit_temperature(encoder.scores(model, task.valid), truth))
    metrics: dict[str, Any] = {"dev": chosen}
    if start is not None and not given.keep_learnt:
        found = compare(encoder, start, model, examples, config, out, made, resume, tell)
        metrics["comparison"] = found.as_metrics()
        if not found.kept:
            metrics["learnt"] = task.classification_metrics(model, rows_of(examples, "test"))
            begun = encoder.network(start, rows_of(examples, "train"))
            model = begun.to(model.temperature.device)
    figures, answers = measured(task, model, examples)
    metrics |= {
        "parameters": sum(p.numel() for p in model.parameters()),
        "temperature": float(model.temperature),
        **figures,
    }
    said = card(encoder, config, examples, metrics)
    checkpoint.save(out, model, encoder.configuration(model), metrics, said)
    if parallel.state().is_main_process:
        disk.write(out / own.TABLE, own.written(examples, encoder.kind))
        disk.write(out / ANSWERS, answers)
        for name, text in encoder.files().items():
            disk.write(out / name, text)
    return metrics


def usable(
    given: OwnConfig, kind: Kind, labels: Sequence[str], look: Callable[[Example], None]
) -> list[Example]:
    """Return the examples that can be used, each with its split; says what is left out.

    Args:
        given: where they are.
        kind: what the model gets.
        labels: what it tells apart.
        look: reads an example and raises where it cannot be used.

    Raises:
        InputError: more of them than may cannot be used, or nothing can be learnt from the others.
    """
    faults: list[InputError] = []
    found = own.read(given.source, kind, labels, given.labels, faults)
    found = readable(given, found, look, faults)
    own.enough(given.source, found)
    return divide(found, given.held_out, tell)


def readable(
    given: OwnConfig,
    examples: Sequence[Example],
    look: Callable[[Example], None],
    faults: list[InputError],
) -> list[Example]:
    """Return the examples that can be read; says what is left out.

    Args:
        given: with how many may be left out.
        examples: as their rows name them.
        look: reads an example and raises where it cannot be used.
        faults: of rows that are no examples.

    Raises:
        InputError: more of them than may cannot be used.
    """
    found = []
    for example in examples:
        try:
            look(example)
        except InputError as error:
            faults.append(InputError(f"{example.where}: {error.what}", error.remedy))
        else:
            found.append(example)
    if len(faults) > given.skip_bad:
        raise InputError(
            f"{len(faults)} of {len(faults) + len(found)} examples cannot be used; the first: "
            f"{faults[0].what}",
            f"{faults[0].remedy}; --skip-bad {len(faults)} skips all of them"
            if found
            else faults[0].remedy,
        )
    for fault in faults:
        tell(f"left out: {fault}")
    return found


def tell(line: str) -> None:
    """Say it once, whatever number of processes trains."""
    if parallel.state().is_main_process:
        print(line, file=sys.stderr, flush=True)
