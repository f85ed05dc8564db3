"""The MOSI results page: trainings, tables and chart.

    mera-edge results mosi FEATURES.npz TREEBANK.txt RUNS > docs/results/mosi.md

Trains what is missing in ``RUNS`` and resumes unfinished runs. The chart is written to
docs/images/mosi_grid.png. Every row is one configuration, trained with fixed seeds, with weights
selected on the validation videos.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mera_edge.errors import InputError
from mera_edge.metrics.confusion import intervals_by_group
from mera_train import checkpoint
from mera_train.figures import markdown
from mera_train.fusion.supervision import SUBSETS
from mera_train.msa import mosi_bclstm
from mera_train.msa.config import Config
from mera_train.msa.data import MODALITIES
from mera_train.msa.feature_file import read
from mera_train.msa.grid import RATES, area, curve, subset_name, subsets
from mera_train.msa.picture import draw
from mera_train.msa.run import MSA_run, get_config, load, over_seeds
from mera_train.msa.task import predict

DATASET = "mosi_bclstm"
FIGURES = {
    "accuracy_2_has0": ("accuracy, %", 100, 1),
    "weighted_f1_has0": ("weighted F1, %", 100, 1),
    "mae": ("MAE", 1, 3),
    "correlation": ("correlation", 1, 3),
}
GOAL = 82.3
PICTURE = Path("docs/images/mosi_grid.png")
RIVALS = ("self_mm", "lf_dnn", "tfn", "lmf", "mult")

_PLAIN = "no unimodal labels"
_UNREAD = {"transcripts": False, "network": {"corrects_text": False}}
ABLATIONS: dict[str, dict[str, Any]] = {
    "no treebank": {"treebank": None},
    "word sentiment as an ordinary feature, not corrected": {"network": {"corrects_text": False}},
    "no transcripts: published features only": _UNREAD,
    "no swapping": {"feature_swap_rate": {}},
    "neither transcripts nor swapping": {**_UNREAD, "feature_swap_rate": {}},
    "no dialogue context": {"network": {"context_dim": 0}},
    _PLAIN: {"unimodal_loss_weight": 0},
    "no modality dropout": {"full_modality_rate": 1.0},
}

Row = Mapping[str, Mapping[str, Mapping[str, float]]]
"""``test``, and ``valid`` if evaluated: ``mean`` and ``std`` by metric."""


def page(features: Path, treebank: Path, runs: Path) -> str:
    """Train, measure and draw; return the page as Markdown."""
    given = {"featurePath": str(features), "treebank": str(treebank)}
    whole = _study(given, runs / "mtme", "mtme")
    single = {
        subset_name(kept): _study(
            given,
            runs / subset_name(kept).replace(" + ", "_"),
            "mtme",
            modalities=subset_name(kept).split(" + "),
        )
        for kept in SUBSETS[1:]
    }
    rivals = {f"`{name}`": _study(given, runs / name, name) for name in RIVALS}
    ablations = {
        name: _study(given, runs / f"ablation_{number}", "mtme", **changes)
        for number, (name, changes) in enumerate(ABLATIONS.items())
    }
    grid, curves = _missing(runs / "mtme" / f"mtme-{DATASET}")
    bars = {name: row["test"]["accuracy_2_has0"]["mean"] for name, row in grid.items()}
    draw(PICTURE, bars, curves, "MOSI, mtme: accuracy with missing modalities")
    reached = _accuracy(whole)
    sure = _certainty(runs / "mtme" / f"mtme-{DATASET}")
    low, high = sure["interval_95"]["accuracy"]
    best = max(_accuracy(single[name]) for name in MODALITIES)
    rival = max(rivals, key=lambda name: _accuracy(rivals[name]))
    return PAGE.format(
        verdict=f"{'Reached' if reached >= GOAL else 'Missed'}: {reached:.1f} %.",
        reached=reached,
        n=sure["n"],
        videos=sure["videos"],
        effective=sure["effective_n"],
        low=100 * low,
        high=100 * high,
        gain=reached - best,
        rival=rival,
        rival_accuracy=_accuracy(rivals[rival]),
        plain=_accuracy(ablations[_PLAIN]),
        trained=_table("trained and tested on", {subset_name(SUBSETS[0]): whole} | single),
        models=_table("network", {"`mtme`": whole} | rivals),
        ablations=_table("`mtme`", {"as it is": whole} | ablations),
        words=_words(features, treebank),
        grid=_table("kept", grid),
        curves=_curves(curves),
    )


def _curves(curves: Mapping[str, Sequence[float]]) -> str:
    """Return a table with a row per rate and a column per modality."""
    columns = [[f"{100 * value:.1f}" for value in (*v, area(v))] for v in curves.values()]
    firsts = [*(f"{rate:.0%}" for rate in RATES), "area"]
    rows = [list(row) for row in zip(firsts, *columns, strict=True)]
    return markdown(["dropped", *curves], rows).rstrip()


def _accuracy(row: Row) -> float:
    return 100 * row["test"]["accuracy_2_has0"]["mean"]


def _certainty(saved: Path) -> dict[str, Any]:
    """Return ``n``, ``videos``, ``effective_n`` and ``interval_95`` of the mean accuracy of trained
    networks, by bootstrap over the test videos."""
    found: list[NDArray[np.float64]] = []
    for directory in sorted(path for path in saved.iterdir() if path.is_dir()):
        test = read(checkpoint.load(directory).settings(Config)).test
        if test.dialogues is None:
            raise InputError(f"{directory} was not trained on dialogues", "train it again")
        truth, said = (v >= 0 for v in (test.labels, predict(load(directory), test)))
        cells = np.zeros((test.dialogues.max() + 1, 2, 3))
        np.add.at(cells, (test.dialogues, truth.astype(int), said.astype(int)), 1)
        found.append(cells)
    cells = np.mean(found, axis=0)
    return {"n": len(truth), "videos": len(cells), **intervals_by_group(cells)}


def _study(given: Mapping[str, str], out: Path, model: str, **changes: Any) -> Row:
    """Train a configuration on all seeds, unless done; return metrics by split."""
    config = {**get_config(model, DATASET), **given}
    for key, value in changes.items():
        config[key] = {**config[key], **value} if key == "network" else value
    summary = out / "summary.json"
    if not summary.exists():
        found = MSA_run(model, DATASET, config, model_save_dir=out, log_dir=out)
        summary.write_text(json.dumps(found))
    row: Row = json.loads(summary.read_text())
    return row


def _words(features: Path, treebank: Path) -> str:
    """Return the accuracy of the cross-fitted sentiment of the words."""
    lines = ["| features | accuracy, % | correlation |", "| --- | --- | --- |"]
    for name, given in (("encoder, n-grams, lexicon", None), ("and treebank", treebank)):
        corpus = mosi_bclstm.read(features, treebank=given)
        parts = (corpus.train, corpus.valid)
        read = np.concatenate([part.features["text"][:, 0, -1] for part in parts])
        labels = np.concatenate([part.labels for part in parts])
        right = 100 * ((read >= 0) == (labels >= 0)).mean()
        lines.append(f"| {name} | {right:.1f} | {np.corrcoef(read, labels)[0, 1]:.3f} |")
    return "\n".join(lines)


def _missing(saved: Path) -> tuple[dict[str, Row], dict[str, list[float]]]:
    """Return grid and curves of trained networks, averaged over their seeds."""
    grids: dict[str, list[dict[str, float]]] = {}
    curves: dict[str, list[list[float]]] = {}
    for directory in sorted(path for path in saved.iterdir() if path.is_dir()):
        network = load(directory)
        corpus = read(checkpoint.load(directory).settings(Config))
        for name, row in subsets(network, corpus.test, corpus).items():
            grids.setdefault(name, []).append(row)
        for name in (subset_name(SUBSETS[0]), *MODALITIES):
            kept = corpus.only(name.split(" + "))
            rows = curve(network, kept.test, kept)
            curves.setdefault(name, []).append([row["accuracy_2_has0"] for row in rows])
    means = {name: np.mean(values, axis=0).tolist() for name, values in curves.items()}
    return {name: {"test": over_seeds(rows)} for name, rows in grids.items()}, means


def _table(head: str, rows: Mapping[str, Row]) -> str:
    asked = [(split, key) for split in ("valid", "test") for key in FIGURES]
    asked = [(s, k) for s, k in asked if s == "test" or k == "accuracy_2_has0"]
    asked = [(split, key) for split, key in asked if all(split in row for row in rows.values())]
    names = [("dev " if split == "valid" else "") + FIGURES[key][0] for split, key in asked]
    lines = [f"| {head} | {' | '.join(names)} |", "| --- " * (len(asked) + 1) + "|"]
    for name, row in rows.items():
        cells = []
        for split, key in asked:
            _, scale, places = FIGURES[key]
            mean, spread = (scale * row[split][key][part] for part in ("mean", "std"))
            cells.append(f"{mean:.{places}f} ± {spread:.{places}f}")
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


PAGE = """\
<!-- Made by `mera-edge results mosi`. -->
# CMU-MOSI: results

The task is positive (including 0) versus negative sentiment, on the features published by the \
authors of bc-LSTM (`mosi_bclstm.npz`). There are 62 training videos, a fifth of which (drawn \
once) is the dev split, and 31 test videos with {n} utterances. Every row is the mean ± standard \
deviation of five independently trained seeds (1111 to 1115); predictions are not averaged.

**Goal: 82.3 % with all three modalities. {verdict}** The 95 % interval of the mean \
accuracy, bootstrapped over the {videos} test videos, is {low:.1f} to {high:.1f} %; effective n \
{effective}. It is wider than the differences between most rows, which have the same n and a \
similar interval.

| system | accuracy, % | source |
| --- | --- | --- |
| `mtme`, this project | {reached:.1f} | the table below |
| bc-LSTM | 80.3 | Poria et al., ACL 2017 |
| MMMU-BA | 82.3 | Ghosal et al., EMNLP 2018 |

The published systems use the same test videos; how they selected the epoch is not known.

{trained}

Each row is a network trained with only those modalities.

```bash
mera-edge results mosi mosi_bclstm.npz trees/train.txt runs/mosi > docs/results/mosi.md
mera-edge train fusion --model mtme --dataset mosi_bclstm --features mosi_bclstm.npz
```

The first command trains every row of this page. The second trains the row *no treebank* below, \
because the command line has no option for the treebank.

**Conclusions.** All three modalities together are {gain:+.1f} points better than the best single \
one. The best of the other networks, {rival}, has {rival_accuracy:.1f} %, and `mtme` without \
unimodal labels {plain:.1f} %: the effect of the reference method is within the interval.

## Ablations

{ablations}

*Dev accuracy* is measured with swapped features, as in training (see below), so it cannot be \
used to \
assess swapping. Without swapping it only shows how much the features leak.

Voice and face alone are no better than always answering the majority class of the test videos, \
which is not that of the training videos.

## Other networks

All have the same dialogue context (a bidirectional GRU over the utterances of a video, as in \
bc-LSTM), except `mult`, whose modalities attend to each other's utterances (as in MMMU-BA). \
[Differences from the papers](../from_mmsa_and_masr.md): `self_mm`, for example, trains no text \
encoder and has a single learning rate.

{models}

## Missing modalities

`mtme` of the first table, not retrained, with modalities removed from the whole test set. The \
words are the published transcripts, because no audio of MOSI was available to recognize. With \
your own clips, `mera-edge features --words heard` gives the same table for recognized words.

{grid}

![the same table as a chart, and the curves](../images/mosi_grid.png)

Frames dropped at random, independently per modality, as in the protocol of TFR-Net (a frame is \
the vector of an utterance in one modality). Accuracy in %, mean of five seeds and three draws. \
*Area*: under the curve, for rates from 0 to 1.

{curves}

## Method: features that leak the labels

The published text and video features were trained on the training videos and separate their \
labels almost without error; on the test videos they do not. A network that relies on them learns \
nothing else, and a dev split from the same videos rewards it. There are two countermeasures:

* **Swapping** (`feature_swap_rate`). In training and on dev, the text features of 22 % of the \
utterances and the video features of 45 % are replaced by those of an utterance with the opposite \
label. 22 % is the error rate of the cross-validated word sentiment on the training videos \
(below). 45 % was set by hand, because no split of the training videos shows the error rate of the \
video features. It is in the commit before the first version of this page (0542932, 025d96f); that \
the test did not influence it cannot be proved.
* **Cross-validated word sentiment.** A ridge regression on the transcripts predicts every \
training utterance from the other videos. Its features are TF-IDF of words and bigrams, the \
default bundle's text encoder, a sentiment lexicon (VADER) and phrases of film reviews \
(`trees/train.txt` of the Stanford Sentiment Treebank). Labels of dev videos contribute to the \
predictions for training utterances, and vice versa. The network corrects this prediction with \
dialogue, voice and face.

## What was tried

Cross-validated word sentiment on the 62 training videos:

{words}

The other attempts are the rows of *Ablations*. Three more have no figures, because their scripts \
were not kept: sentences of Rotten Tomatoes instead of the treebank (worse), a recurrent network \
over \
the phrases of the treebank (no better than the regression), and mixing features with those of the \
opposite utterance instead of swapping them (no gain).
"""
