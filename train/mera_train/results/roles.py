"""The texts of the results pages, by role."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Published:
    """A published result on the same test."""

    test: str
    figure: str
    value: str
    source: str


@dataclass(frozen=True)
class Page:
    """The texts of one page."""

    title: str
    config: str
    """Training configuration, in ``train/configs``."""
    lead: str
    """Introduction: metrics, test data, model selection."""
    tests: Mapping[str, str]
    """Descriptions of tests by path in ``metrics.json``."""
    figures: tuple[str, ...]
    dev: Mapping[str, str] = field(default_factory=dict)
    """Descriptions of dev sets by path."""
    published: tuple[Published, ...] = ()
    caution: str = ""
    """Caveat about the results."""


_BARSOUM = "VGG13, 8.8 M parameters: [Barsoum et al., 2016](https://arxiv.org/abs/1608.01041)"
_MAJORITY = (
    "FER+ test, the authors' protocol: faces on which more than half of the annotators agree"
)
_PRIVATE = "FER2013 PrivateTest; a second output, for comparison only"

PAGES = {
    "vad": Page(
        title="Speech detector: results",
        config="vad/causal.yaml",
        lead="The detector answers every 40 ms. It is measured with the device's own stage and the "
        "default bundle, beside Silero VAD 6.2.3 (the teacher) with the same thresholds for onset "
        "and end (0.5 for 80 ms; below 0.25 for 600 ms). Speakers and noises were not used for "
        "training. The thresholds were chosen on dev, twice; in between, this test was measured "
        "with the first ones (*What was tried*).",
        tests={},
        figures=(),
        caution="Intervals assume independent recordings. x86; **not run on a Jetson**.",
    ),
    "face": Page(
        title="Face encoder: results",
        config="face/wild.yaml",
        lead="The encoder maps one grey face crop of 48 pixels to eight labels (FER+). All figures "
        "are in FP32. The tests are official test splits. The weights and the temperature were "
        "chosen on FER+ valid and on part of RAF-DB's training set (see the table of dev sets).",
        tests={
            "test · majority": _MAJORITY,
            "test · plurality": "FER+ test, all faces: the label with the most votes",
            "test · fer2013": _PRIVATE,
        },
        dev={
            "valid · majority": "FER+ valid, the authors' protocol",
            "valid · plurality": "FER+ valid, all faces: the label with the most votes",
            "valid · fer2013": "FER2013 PublicTest; the second output",
            "further_valid": "RAF-DB, 1,527 pictures of its training part, split off by similarity",
        },
        figures=("accuracy", "uar", "macro_f1", "ece"),
        published=(
            Published(_MAJORITY, "accuracy", "85.0 %", _BARSOUM),
            Published(_PRIVATE, "accuracy", "71.2 %", "winner of the FER2013 contest"),
            Published(_PRIVATE, "accuracy", "73.3 %", "Khaireddin and Chen, 2021"),
        ),
        caution="Intervals assume independent pictures; FER+ does not identify people.",
    ),
    "voice": Page(
        title="Voice encoder: results",
        config="voice/ensemble.yaml",
        lead="Whole recordings, trimmed to speech, in FP32. The weights and the temperature were "
        "chosen on dev speakers of four corpora.",
        tests={
            "ravdess_speech": "RAVDESS, actors 23 and 24, who were not trained on",
            "emodb_4class": "EmoDB (German), a corpus that was not trained on",
            "urdu": "Urdu, a corpus that was not trained on",
        },
        figures=("uar", "accuracy", "macro_f1", "ece"),
        published=(
            Published("RAVDESS, actors 23 and 24", "UAR", "12.5 %", "chance"),
            Published("EmoDB", "UAR", "25.0 %", "chance"),
            Published("Urdu", "UAR", "25.0 %", "chance"),
        ),
        caution="Where the table has an effective n, the intervals are bootstrapped over speakers, "
        "because recordings of one person are not independent. Two actors are too few for that: "
        "the intervals of RAVDESS assume independent recordings and are too narrow. All voices are "
        "acted. *What was tried* states which decisions these tests influenced.",
    ),
    "text": Page(
        title="Text encoder: results",
        config="text/spoken.yaml",
        lead="The encoder maps one sentence to seven labels. All figures are in FP32, on the "
        "sentences with exactly one label of the official test splits (GoEmotions: 4,968 of "
        "5,427). The weights, the mixture and the temperature were chosen on the dev splits of "
        "GoEmotions, MELD and SMP2020 usual, and on a show of CPED and a season of EmoryNLP.",
        tests={
            "test · goemotions": "GoEmotions (English forum comments)",
            "test · meld": "MELD (English television dialogue)",
            "test · carer": "CARER (English tweets)",
            "test · smp_usual": "SMP2020 usual (Chinese microblogs)",
            "test · smp_virus": "SMP2020 virus (Chinese microblogs, never trained on)",
            "test_disturbed · goemotions": "GoEmotions, with word errors",
            "test_disturbed · meld": "MELD, with word errors",
            "test_disturbed · carer": "CARER, with word errors",
        },
        dev={
            "dialogue · cped": "CPED (Chinese television dialogue), one show",
            "dialogue · emorynlp": "EmoryNLP (English television dialogue), one season",
        },
        figures=("macro_f1", "weighted_f1", "accuracy", "ece"),
        published=(
            Published(
                "GoEmotions", "macro-F1", "0.62 to 0.64", "BERT, Ekman grouping, multi-label"
            ),
            Published("SMP2020 usual", "macro-F1", "0.739", "BERT"),
            Published(
                "MELD", "weighted F1", "0.564", "bc-LSTM on words, *with* preceding dialogue"
            ),
        ),
        caution="*With word errors*: without punctuation, and with words deleted, replaced and "
        "misspelt as by a recognizer. Intervals assume independent sentences, although those of "
        "one dialogue are not.",
    ),
    "fusion": Page(
        title="Fusion: results",
        config="fusion/mtme.yaml",
        lead="**The examples are composed; they are not recordings of people.** Each combines a "
        "voice (RAVDESS, actors 23 and 24), a face (FER+ test) and a sentence (test splits of "
        "GoEmotions, MELD, CARER and SMP2020) with the same label. The encoders are those of the "
        "default bundle. The weights and the temperature were chosen on examples composed from "
        "dev splits.",
        tests={"test": "composed, all three modalities"},
        figures=("macro_f1", "accuracy", "ece"),
        caution="Examples share recordings, pictures and sentences. The intervals and the "
        "effective n are therefore bootstrapped over those (pigeonhole bootstrap), not over "
        "examples. They do not cover variation between actors. The modalities of a composed "
        "example come from different people, so their errors are independent; those of one person "
        "are not. Expect lower figures for real people.",
    ),
}
