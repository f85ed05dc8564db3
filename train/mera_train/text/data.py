"""Sentences with emotion labels in two languages: five corpora (``text.zip``), and dialogue."""

from __future__ import annotations

import csv
import io
import json
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from mera_edge.errors import InputError
from mera_edge.features.text import normalise
from mera_edge.labels import EMOTIONS, VALENCE, to_emotion
from mera_train.text.dialogue import DialogueName, dialogue

ARCHIVE = "text.zip"

SPOKEN = {
    "goemotions": EMOTIONS,
    "meld": EMOTIONS,
    "carer": ("happy", "sad", "angry", "fear", "surprise"),
    "smp_usual": ("neutral", "happy", "sad", "angry", "fear", "surprise"),
    "smp_virus": ("neutral", "happy", "sad", "angry", "fear", "surprise"),
    "chsims": (),
    "cped": EMOTIONS,
    "emorynlp": ("neutral", "happy", "sad", "angry", "fear"),
}
"""The label set of each corpus. Its labels say nothing about other emotions: a sentence labelled
*angry* in a corpus without *disgust* may express disgust.
"""

LONG = 24
"""Minimum length in characters at which equal sentences are duplicates, unlike ``"oh my god!"``."""

ENGLISH = frozenset({"goemotions", "meld", "carer", "emorynlp"})

# CARER separates *love* from *joy*; like GoEmotions we map love to joy.
_CARER = {"love": "happy"}
_SENTIMENT = {"positive": 0.7, "neutral": 0.0, "negative": -0.6}


@dataclass(frozen=True, slots=True)
class Sentence:
    """One normalised sentence."""

    corpus: str
    split: str
    text: str
    emotions: tuple[str, ...]
    """Annotated emotions: usually one; none if only valence is known."""
    valence: float
    """In [-1, 1]: annotated, or else the valence of the emotions."""


def sentences(data: Path, spoken: Sequence[DialogueName] = ()) -> list[Sentence]:
    """Read all corpora, without long training sentences that are also in a dev or test split.

    Args:
        data: directory with ``text.zip``.
        spoken: dialogue corpora to add.

    Raises:
        InputError: the archive or a corpus is missing, or a label is unknown.
    """
    path = data / ARCHIVE
    if not path.is_file():
        raise InputError(f"{path} does not exist", "give the folder of the corpora with --data")
    with zipfile.ZipFile(path) as archive:
        rows = [*_goemotions(archive), *_meld(archive), *_carer(archive), *_smp(archive)]
        rows += _chsims(archive)
    rows += [_spoken(corpus, *row) for corpus in spoken for row in dialogue(data, corpus)]
    held_out = {row.text for row in rows if row.split != "train" and len(row.text) >= LONG}
    return [row for row in rows if row.split != "train" or row.text not in held_out]


def _goemotions(archive: zipfile.ZipFile) -> Iterator[Sentence]:
    names = _lines(archive, "goemotions_ekman/labels.txt")
    for split in ("train", "dev", "test"):
        for line in _lines(archive, f"goemotions_ekman/{split}.tsv"):
            text, numbers, _ = line.split("\t")
            labels = [names[int(number)] for number in numbers.split(",")]
            yield _sentence("goemotions", split, text, labels)


def _meld(archive: zipfile.ZipFile) -> Iterator[Sentence]:
    for split in ("train", "dev", "test"):
        for row in _csv(archive, f"meld/{split}.csv"):
            sentence = _sentence("meld", split, row["Utterance"], [row["Emotion"]])
            # The sentiment tells whether a surprise was pleasant.
            if sentence.emotions == ("surprise",):
                valence = _SENTIMENT[row["Sentiment"]]
                sentence = Sentence("meld", split, sentence.text, sentence.emotions, valence)
            yield sentence


def _carer(archive: zipfile.ZipFile) -> Iterator[Sentence]:
    for split, name in (("train", "train"), ("dev", "val"), ("test", "test")):
        for line in _lines(archive, f"carer/{name}.txt"):
            text, label = line.rsplit(";", 1)
            yield _sentence("carer", split, text, [_CARER.get(label, label)])


def _smp(archive: zipfile.ZipFile) -> Iterator[Sentence]:
    files = {
        ("smp_usual", "train"): "usual_train.json",
        ("smp_usual", "dev"): "usual_eval_labeled.txt",
        ("smp_usual", "test"): "usual_test_labeled.txt",
        ("smp_virus", "train"): "virus_train.txt",
        ("smp_virus", "dev"): "virus_eval_labeled.txt",
        ("smp_virus", "test"): "virus_test_labeled.txt",
    }
    for (corpus, split), name in files.items():
        for row in json.loads(archive.read(f"smp2020/{name}")):
            yield _sentence(corpus, split, str(row["content"]), [row["label"]])


def _chsims(archive: zipfile.ZipFile) -> Iterator[Sentence]:
    splits = {"train": "train", "valid": "dev", "val": "dev", "dev": "dev", "test": "test"}
    for name in ("sims", "simsv2"):
        for row in _csv(archive, f"chsims/{name}_text_m_label.csv"):
            text = normalise(row["chinese"])
            if row["val"] and text:
                yield Sentence("chsims", splits[row["split"]], text, (), float(row["val"]))


def _spoken(
    corpus: str, split: str, text: str, emotions: tuple[str, ...], valence: float | None
) -> Sentence:
    if valence is None:
        return _sentence(corpus, split, text, [*emotions])
    return Sentence(corpus, split, normalise(text), emotions, valence)


def _sentence(corpus: str, split: str, text: str, labels: list[str]) -> Sentence:
    emotions = tuple(dict.fromkeys(to_emotion(label) for label in labels))
    valence = sum(VALENCE[emotion] for emotion in emotions) / len(emotions)
    return Sentence(corpus, split, normalise(text), emotions, valence)


def _lines(archive: zipfile.ZipFile, name: str) -> list[str]:
    return archive.read(name).decode("utf-8").replace("\r\n", "\n").strip("\n").split("\n")


def _csv(archive: zipfile.ZipFile, name: str) -> list[dict[str, str]]:
    with archive.open(name) as file:
        return list(csv.DictReader(io.TextIOWrapper(file, "utf-8-sig", newline="")))
