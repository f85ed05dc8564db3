"""Tests of voice, face and text encoders on held-out people, pictures and dialogue.

    python benchmarks/strangers.py DATA [--bundle DIR] [--faces CSV] [--masks DIR --yunet ONNX]
        [--words SHARE]

DATA holds the corpora by name, as for training. Without ``--faces`` (rows *valid* of a CSV with
file, label and split), ``--masks`` (a clone of chandrikadeb7/Face-Mask-Detection) or ``--words``
(what share of speechocean762's test is transcribed) these tests are left out. Prints Markdown.
Intervals are drawn by speaker where a corpus tells ten or more, else by row.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from strangers_counted import level, speech_heard, transcribed, turned, two_voices

from mera_edge import table
from mera_edge.bundle import Bundle
from mera_edge.evaluation.role_evaluators import ROLE_EVALUATORS, Prediction
from mera_edge.labels import EMOTIONS, project, to_emotion
from mera_edge.metrics.classification import classification
from mera_train import figures
from mera_train.audio import read
from mera_train.text.data import sentences
from mera_train.text.dialogue import PATHS, DialogueName
from mera_train.voice.data import RAVDESS, TEST_SPEAKERS, location, speech

VOICES = (RAVDESS, "emodb_4class", "urdu")
NAMES = {RAVDESS: "RAVDESS", "emodb_4class": "EmoDB", "urdu": "Urdu", "cped": "CPED",
         "emorynlp": "EmoryNLP"}  # fmt: skip
MEN_OF_EMODB = frozenset({"03", "10", "11", "12", "15"})
NOTHING = np.full(len(EMOTIONS), 1 / len(EMOTIONS), np.float32)


@dataclass
class Test:
    """The answers to one test. Rows belong together."""

    name: str
    truth: list[str] = field(default_factory=list)
    answers: list[NDArray[np.float32] | None] = field(default_factory=list)
    people: list[str] = field(default_factory=list)
    groups: list[str] = field(default_factory=list)

    def add(
        self, label: str, found: Any, labels: Sequence[str], person: str = "", group: str = ""
    ) -> None:
        """Take the answer to a row, or that there was none."""
        heard = isinstance(found, Prediction)
        self.answers.append(project(found.probabilities, labels) if heard else None)
        self.truth.append(label)
        self.people += [person] if person else []
        self.groups.append(group)

    def figures(self, group: str | None = None) -> dict[str, Any]:
        """Return the metrics of all rows, or of a group."""
        rows = [i for i, name in enumerate(self.groups) if group in (None, name)]
        answers = [self.answers[i] for i in rows]
        return classification(
            [self.truth[i] for i in rows],
            np.stack([NOTHING if answer is None else answer for answer in answers]),
            EMOTIONS,
            np.array([answer is not None for answer in answers]),
            [self.people[i] for i in rows] if self.people else None,
        )


def voices(bundle: Bundle, data: Path, corpus: str) -> Test:
    """Hear a corpus, from the first word to the last."""
    evaluator = ROLE_EVALUATORS["voice"]
    prepare, predict = evaluator.prepare(bundle), evaluator.predictor(bundle)
    test = Test(NAMES[corpus])
    speakers = TEST_SPEAKERS.get(corpus)
    for row in speech(data, corpus):
        if speakers is None or row.speaker in speakers:
            frames = prepare(read(location(data, corpus), row.file))
            found = None if frames is None else predict(frames)
            sex = _sex(corpus, row.speaker)
            test.add(to_emotion(row.label), found, evaluator.labels(bundle), row.speaker, sex)
    return test


def _sex(corpus: str, speaker: str) -> str:
    if corpus == RAVDESS:
        return "men" if int(speaker) % 2 else "women"
    if corpus == "urdu":
        return "men" if speaker.startswith("SM") else "women"
    return "men" if speaker in MEN_OF_EMODB else "women"


def faces(bundle: Bundle, manifest: Path) -> Test:
    """Look at the rows *valid* of a CSV."""
    evaluator = ROLE_EVALUATORS["face"]
    predict, test = evaluator.from_file(bundle), Test(manifest.parent.name)
    for _, row in table.read(manifest, ("file", "label", "split")):
        if row["split"] == "valid":
            found = predict(str(manifest.parent / row["file"]))
            test.add(to_emotion(row["label"]), found, evaluator.labels(bundle))
    return test


def dialogue(bundle: Bundle, data: Path, corpus: DialogueName) -> Test:
    """Read the dev part of a corpus of dialogue."""
    evaluator = ROLE_EVALUATORS["text"]
    predict, test = evaluator.predictor(bundle), Test(NAMES[corpus])
    for row in sentences(data, [corpus]):
        if (row.corpus, row.split) == (corpus, "dev") and len(row.emotions) == 1:
            test.add(row.emotions[0], predict(row.text), evaluator.labels(bundle))
    return test


def page(tests: Sequence[Test]) -> str:
    """Return the tables of figures, of recall and of groups."""
    measured = {test.name: test.figures() for test in tests}
    recalls = [
        [
            name,
            *(f"{100 * of[e]['recall']:.0f}" if (of := found["per_class"]).get(e) else ""
              for e in EMOTIONS),
            str(found["unanswered"]),
        ]
        for name, found in measured.items()
    ]  # fmt: skip
    groups = {
        f"{test.name}, {group}": test.figures(group)
        for test in tests
        for group in sorted({group for group in test.groups if group})
    }
    return "\n".join(
        [
            figures.tables(measured, ("accuracy", "uar", "macro_f1", "ece")),
            "Recall, in %; only the emotions of a corpus compete:\n",
            figures.markdown(["test", *EMOTIONS, "no answer"], recalls),
            "By group, where a corpus tells:\n",
            figures.table(groups, ("uar", "ece"), first="test, group"),
        ]
    )


def main() -> None:
    """Print the page."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--bundle", type=Path)
    parser.add_argument("--faces", type=Path)
    parser.add_argument("--masks", type=Path)
    parser.add_argument("--yunet", type=Path)
    parser.add_argument("--words", type=float)
    given = parser.parse_args()
    bundle, data = Bundle.open(given.bundle), given.data
    tests = [voices(bundle, data, corpus) for corpus in VOICES]
    tests += [faces(bundle, given.faces)] if given.faces else []
    tests += [dialogue(bundle, data, corpus) for corpus in PATHS]
    print(page(tests))
    print(level(bundle, data, {corpus: NAMES[corpus] for corpus in VOICES}))
    print(speech_heard(bundle, data))
    print(two_voices(bundle, data))
    if given.masks:
        print(turned(bundle, given.masks, given.yunet))
    if given.words:
        print(transcribed(bundle, data, given.words))


if __name__ == "__main__":
    main()
