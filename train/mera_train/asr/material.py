"""The training material of a recognizer, and notices about excluded utterances."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mera_edge.errors import InputError
from mera_edge.table import Skipped
from mera_train import fingerprint, parallel, state
from mera_train.asr.config import Config
from mera_train.asr.corpora import Utterance
from mera_train.asr.data import Frames, contents, noises, prepare, speech, synthetic
from mera_train.asr.units import Units
from mera_train.fingerprint import Digests, Made


@dataclass(frozen=True)
class Material:
    """Utterances, and their frames."""

    frames: Frames
    train: list[Utterance]
    dev: list[Utterance]
    synthetic: list[Utterance]
    noise: list[Utterance]
    config: Config
    """The configuration, with a selection metric that can be computed."""
    made: Made
    digests: Digests


def gather(config: Config, data: Path, out: Path, resume: bool | Path) -> Material:
    """Read the corpora, cache their frames in ``out`` and exclude unusable utterances.

    Raises:
        InputError: a corpus is unusable; more than ``skip_bad`` rows are unusable; no speech is
            left; ``out`` holds another run.
    """
    skipped = Skipped(config.skip_bad)
    utterances = speech(data, config.corpora, skipped)
    _tell(_in_two_splits(utterances))
    utterances = [u for u in utterances if u.split != "test"]
    config = _selecting(config, [u.text for u in utterances if u.split == "dev"])
    corpus = config.synthetic_corpus
    read = synthetic(data, corpus) if corpus else []
    noise = noises(data) if config.augment and config.augment.noise_prob else []
    every = [*utterances, *read, *noise]
    digests = Digests(out / "digests.json")
    made = fingerprint.of(config, contents(data, every, digests), digests)
    digests.save()
    state.claim(out, made, resume)
    speeds = config.augment.speed_factors if config.augment else (1.0,)
    frames = prepare(data, every, speeds, out / "frames", digests)
    for fault in frames.faults:
        skipped.add(InputError(fault))
    _tell(skipped.faults)
    utterances, read, noise = (
        [u for u in part if frames.count(u)] for part in (utterances, read, noise)
    )
    utterances, told = _fitting(utterances, frames, config)
    _tell(told)
    train, dev = ([u for u in utterances if u.split == split] for split in ("train", "dev"))
    for split, part in (("train", train), ("dev", dev)):
        if not part:
            raise InputError(f"{', '.join(config.corpora)}: no {split} speech", "add some")
    return Material(frames, train, dev, read, noise, config, made, digests)


def trainable(material: Material, units: Units) -> list[Utterance]:
    """Return the training utterances whose duration fits their text; report the others."""
    kept, told = _trainable(material.train, material.frames, units, material.config)
    _tell(told)
    return kept


def _fitting(
    utterances: Sequence[Utterance], frames: Frames, config: Config
) -> tuple[list[Utterance], list[str]]:
    """Exclude training utterances that are too short or too long; return a notice."""
    shortest, longest = config.duration_s
    seconds = {u: frames.count(u) / 100 for u in utterances if u.split == "train"}
    short = [u for u, length in seconds.items() if length < shortest]
    long = [u for u, length in seconds.items() if length > longest]
    told = [
        f"{len(part)} training utterances skipped: {how} "
        f"(duration_s: {list(config.duration_s)}), first {part[0].file}"
        for part, how in ((short, f"under {shortest} s"), (long, f"over {longest} s"))
        if part
    ]
    gone = {*short, *long}
    return [u for u in utterances if u not in gone], told


def _trainable(
    training: Sequence[Utterance], frames: Frames, units: Units, config: Config
) -> tuple[list[Utterance], list[str]]:
    """Exclude utterances that are too short for their text; return a notice."""

    def possible(utterance: Utterance) -> bool:
        symbols = sum(len(units.encode(word)) for word in utterance.text.split())
        return symbols <= frames.count(utterance) // config.model.subsampling_factor

    kept = [u for u in training if possible(u)]
    gone = [u for u in training if not possible(u)]
    if not gone:
        return kept, []
    return kept, [
        f"{len(gone)} training utterances skipped: their text has more units than their audio "
        f"frames, first {gone[0].file}: does the text belong to another recording?"
    ]


def _selecting(config: Config, dev: Sequence[str]) -> Config:
    """Select by character error rate if the texts have no words."""
    if config.loop.metric_for_best_model != "wer" or not dev or any(" " in text for text in dev):
        return config
    _tell(["no dev transcript has a space: selecting by character error rate"])
    return config.model_copy(
        update={"loop": config.loop.model_copy(update={"metric_for_best_model": "cer"})}
    )


def _in_two_splits(utterances: Sequence[Utterance]) -> list[str]:
    """Return a notice about speakers in more than one split."""
    splits: dict[tuple[str, str], set[str]] = {}
    for u in utterances:
        if u.speaker:
            splits.setdefault((u.corpus, u.speaker), set()).add(u.split)
    both = [(speaker, found) for (_, speaker), found in splits.items() if len(found) > 1]
    if not both:
        return []
    speaker, found = both[0]
    return [
        f"{len(both)} speakers are in more than one split, {speaker} in "
        f"{' and '.join(sorted(found))}: new speakers will have a higher error rate"
    ]


def _tell(lines: Sequence[str]) -> None:
    """Print it in the main process only."""
    if parallel.state().is_main_process:
        for line in lines:
            print(line, file=sys.stderr, flush=True)
