"""Every test of the senses on people, pictures and dialogue that nothing was learnt from.

    python benchmarks/strangers.py DATA [--bundle DIR] [--faces rafdb/faces.csv] > strangers.md

DATA holds the corpora by name, as for training; faces are the rows *valid* of a CSV with file,
label and split. Intervals are drawn by speaker where a corpus tells them, else by row.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mera_edge import table
from mera_edge.bundle import Bundle, RoleName
from mera_edge.evaluation.role_evaluators import (
    ROLE_EVALUATORS,
    Prediction,
    Predictor,
    Prepare,
)
from mera_edge.features.fbank import log_mel
from mera_edge.labels import EMOTIONS, project, to_emotion
from mera_edge.metrics.classification import classification
from mera_edge.stages.vad import VoiceActivity
from mera_train.audio import read
from mera_train.text.data import sentences
from mera_train.text.dialogue import PATHS, DialogueName
from mera_train.vad.teacher import silero
from mera_train.vad.teacher import speech as silero_speech
from mera_train.voice.data import NOISE, RAVDESS, TEST_SPEAKERS, location, rows, speech, thinned

VOICES = (RAVDESS, "emodb_4class", "urdu")
GAINS_DB = (-30, -20, -10, 10, 20, 30)
MEN_OF_EMODB = frozenset({"03", "10", "11", "12", "15"})
DRAWS = 1000


@dataclass
class Test:
    """The answers to one test. Rows belong together."""

    name: str
    truth: list[str] = field(default_factory=list)
    answers: list[NDArray[np.float32]] = field(default_factory=list)
    people: list[str] = field(default_factory=list)
    groups: list[str] = field(default_factory=list)
    silent: int = 0

    def add(self, label: str, found: Any, labels: Sequence[str], person: str, group: str) -> None:
        """Take an answer; no answer is as unsure as can be."""
        heard = isinstance(found, Prediction)
        self.silent += not heard
        even = np.full(len(EMOTIONS), 1 / len(EMOTIONS), np.float32)
        self.answers.append(project(found.probabilities, labels) if heard else even)
        self.truth.append(label)
        self.people.append(person)
        self.groups.append(group)

    def figures(self, chosen: NDArray[np.bool_] | None = None) -> dict[str, Any]:
        """Return the metrics of all rows, or of some."""
        here = np.arange(len(self.truth)) if chosen is None else np.flatnonzero(chosen)
        answers = np.stack([self.answers[i] for i in here])
        return classification([self.truth[i] for i in here], answers, EMOTIONS)

    def interval(self) -> tuple[float, float]:
        """Return the 95 % interval of UAR, people drawn anew."""
        labels = sorted(set(self.truth))
        columns = [EMOTIONS.index(label) for label in labels]
        said = np.stack(self.answers)[:, columns].argmax(1)
        true = np.array([labels.index(label) for label in self.truth])
        people = sorted(set(self.people))
        hits, counts = np.zeros((2, len(people), len(labels)))
        who = np.array([people.index(person) for person in self.people])
        np.add.at(hits, (who, true), said == true)
        np.add.at(counts, (who, true), 1)
        drawn = np.random.default_rng(0).integers(len(people), size=(DRAWS, len(people)))
        total = counts[drawn].sum(1)
        recall = np.where(total > 0, hits[drawn].sum(1) / np.maximum(total, 1), np.nan)
        low, high = np.nanpercentile(np.nanmean(recall, 1), (2.5, 97.5))
        return float(low), float(high)


def voices(bundle: Bundle, data: Path, corpus: str) -> Test:
    """Hear a corpus, from the first word to the last."""
    prepare, predict, labels = _stages(bundle, "voice")
    test = Test(corpus)
    speakers = TEST_SPEAKERS.get(corpus)
    for row in speech(data, corpus):
        if speakers is None or row.speaker in speakers:
            frames = prepare(read(location(data, corpus), row.file))
            found = None if frames is None else predict(frames)
            test.add(to_emotion(row.label), found, labels, row.speaker, _sex(corpus, row.speaker))
    return test


def _sex(corpus: str, speaker: str) -> str:
    if corpus == RAVDESS:
        return "men" if int(speaker) % 2 else "women"
    if corpus == "urdu":
        return "men" if speaker.startswith("SM") else "women"
    return "men" if speaker in MEN_OF_EMODB else "women"


def faces(bundle: Bundle, manifest: Path) -> Test:
    """Look at the rows *valid* of a CSV."""
    predict = ROLE_EVALUATORS["face"].from_file(bundle)
    labels = ROLE_EVALUATORS["face"].labels(bundle)
    test = Test(manifest.parent.name)
    for line, row in table.read(manifest, ("file", "label", "split")):
        if row["split"] == "valid":
            found = predict(str(manifest.parent / row["file"]))
            test.add(to_emotion(row["label"]), found, labels, str(line), "")
    return test


def dialogue(bundle: Bundle, data: Path, corpus: DialogueName) -> Test:
    """Read the dev part of a corpus of dialogue."""
    _, predict, labels = _stages(bundle, "text")
    test = Test(corpus)
    for number, row in enumerate(sentences(data, [corpus])):
        if (row.corpus, row.split) == (corpus, "dev") and len(row.emotions) == 1:
            test.add(row.emotions[0], predict(row.text), labels, str(number), "")
    return test


def _stages(bundle: Bundle, role: RoleName) -> tuple[Prepare, Predictor, Sequence[str]]:
    evaluator = ROLE_EVALUATORS[role]
    return evaluator.prepare(bundle), evaluator.predictor(bundle), evaluator.labels(bundle)


def level(bundle: Bundle, data: Path, corpus: str) -> list[str]:
    """Return in how many of each tenth recording the label stays the same at every gain."""
    prepare, predict, _ = _stages(bundle, "voice")

    def label(samples: NDArray[np.float32]) -> int | None:
        frames = prepare(samples)
        found = None if frames is None else predict(frames)
        return int(found.probabilities.argmax()) if isinstance(found, Prediction) else None

    kept = np.zeros(len(GAINS_DB))
    chosen = thinned(speech(data, corpus), 0.1)
    for row in chosen:
        samples = read(location(data, corpus), row.file)
        before = label(samples)
        for number, gain in enumerate(GAINS_DB):
            louder = np.clip(samples * 10 ** (gain / 20), -1, 1).astype(np.float32)
            kept[number] += label(louder) == before
    return [f"{100 * share / len(chosen):.0f}" for share in kept]


def heard(bundle: Bundle, data: Path, corpus: str) -> tuple[int, float, float]:
    """Return how many recordings there are, and the share in which we and Silero hear speech."""
    activity, model = VoiceActivity(bundle), silero()
    if corpus == NOISE:
        files = [row["file"] for row in rows(data, NOISE) if row["fold"] == "10"]
    else:
        files = [row.file for row in thinned(speech(data, corpus), 0.3)]
    ours, theirs = [], []
    for file in files:
        samples = read(location(data, corpus), file)
        frames = log_mel(samples)
        ours.append(activity.span(frames) is not None)
        theirs.append(bool((silero_speech(samples, model, len(frames)) > 0.5).any()))
    return len(files), float(np.mean(ours)), float(np.mean(theirs))


def page(tests: Sequence[Test]) -> list[str]:
    """Return the tables of figures, of recall and of groups."""
    head = ["n", "people", "accuracy", "UAR", "UAR, 95 %", "macro-F1", "ECE", "no answer"]
    lines = _header(["test", *head])
    recalls, groups = _header(["test", *EMOTIONS]), _header(["test", "group", "n", "UAR", "ECE"])
    for test in tests:
        found = test.figures()
        low, high = test.interval()
        people = len(set(test.people)) if any(test.groups) else "-"
        figures = [f"{found[k]:.3f}" for k in ("accuracy", "uar")]
        rest = [f"{low:.3f} to {high:.3f}", f"{found['macro_f1']:.3f}", f"{found['ece']:.3f}"]
        lines.append(_row([test.name, found["n"], people, *figures, *rest, test.silent]))
        by_label = found["per_class"]
        recall = [f"{100 * by_label[e]['recall']:.0f}" if e in by_label else "" for e in EMOTIONS]
        recalls.append(_row([test.name, *recall]))
        for group in sorted({g for g in test.groups if g}):
            part = test.figures(np.array(test.groups) == group)
            shown = [f"{part['uar']:.3f}", f"{part['ece']:.3f}"]
            groups.append(_row([test.name, group, part["n"], *shown]))
    return [
        *lines,
        "",
        "Recall, in %; only the emotions of a corpus compete:",
        "",
        *recalls,
        "",
        "By group, where a corpus tells:",
        "",
        *groups,
    ]


def _header(names: Sequence[object]) -> list[str]:
    return [_row(names), _row(["---"] * len(names))]


def _row(cells: Sequence[object]) -> str:
    return f"| {' | '.join(map(str, cells))} |"


def main() -> None:
    """Print the page."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--bundle", type=Path)
    parser.add_argument("--faces", type=Path)
    given = parser.parse_args()
    bundle = Bundle.open(given.bundle)
    tests = [voices(bundle, given.data, corpus) for corpus in VOICES]
    if given.faces:
        tests.append(faces(bundle, given.faces))
    tests += [dialogue(bundle, given.data, corpus) for corpus in PATHS]
    print("\n".join(page(tests)))
    print("\nThe voice keeps its label at another gain, in % of each tenth recording:\n")
    print("\n".join(_header(["corpus", *(f"{gain:+d} dB" for gain in GAINS_DB)])))
    for corpus in VOICES:
        print(_row([corpus, *level(bundle, given.data, corpus)]))
    print("\nRecordings in which speech is heard, in %:\n")
    print("\n".join(_header(["recordings", "n", "ours", "Silero VAD"])))
    for corpus in (NOISE, "urdu", "emodb_4class"):
        n, ours, theirs = heard(bundle, given.data, corpus)
        name = "street noise, fold 10" if corpus == NOISE else corpus
        print(_row([name, n, f"{100 * ours:.1f}", f"{100 * theirs:.1f}"]))


if __name__ == "__main__":
    main()
