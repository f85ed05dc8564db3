"""Counting tests of `strangers.py`: other levels, two voices at once, children, covered and turned
faces. Each returns a heading and a Markdown table.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mera_edge.bundle import Bundle
from mera_edge.evaluation.role_evaluators import ROLE_EVALUATORS, Prediction
from mera_edge.features.face import Face, decode
from mera_edge.features.fbank import log_mel
from mera_edge.metrics.confusion import wilson
from mera_edge.metrics.word_error_rate import normalized, word_error_rate
from mera_edge.stages.adapters.yunet import YuNet
from mera_edge.stages.face_detector import SAME, face_detector
from mera_edge.stages.vad import VoiceActivity
from mera_train.audio import read
from mera_train.figures import markdown
from mera_train.vad.teacher import silero
from mera_train.vad.teacher import speech as silero_speech
from mera_train.voice.data import NOISE, location, rows, speech, thinned

Samples = NDArray[np.float32]
Hear = Callable[[Samples], NDArray[np.float32] | None]

GAINS_DB = (-30, -20, -10, 10, 20, 30)
SPEECHOCEAN = "speechocean762"
ADULT = 18
"""Years. The children of speechocean762 are six to fifteen."""


def _ear(bundle: Bundle) -> Hear:
    """Return what hears a recording: the probabilities, or nothing where nobody speaks."""
    evaluator = ROLE_EVALUATORS["voice"]
    prepare, predict = evaluator.prepare(bundle), evaluator.predictor(bundle)

    def hear(samples: Samples) -> NDArray[np.float32] | None:
        frames = prepare(samples)
        found = None if frames is None else predict(frames)
        return found.probabilities if isinstance(found, Prediction) else None

    return hear


def _label(answer: NDArray[np.float32] | None) -> int | None:
    return None if answer is None else int(answer.argmax())


INTERVAL = "95 % interval"


def percent(hits: Sequence[bool] | NDArray[np.bool_], digits: int = 0) -> list[str]:
    """Return two cells: a share in percent, and its 95 % interval."""
    low, high = (100 * bound for bound in wilson(int(np.sum(hits)), len(hits)))
    return [f"{100 * np.mean(hits):.{digits}f}", f"{low:.{digits}f} to {high:.{digits}f}"]


def level(bundle: Bundle, data: Path, corpora: Mapping[str, str]) -> str:
    """Ask about each tenth recording at other levels: in how many the label stays the same."""
    hear, found = _ear(bundle), []
    heard = {name: _recordings(data, corpus, 0.1) for corpus, name in corpora.items()}
    heard |= _children_and_adults(data, 0.02)
    for name, recordings in heard.items():
        before = [_label(hear(samples)) for samples in recordings]
        corpus_and_n = [name, str(len(recordings))]
        for gain in GAINS_DB:
            kept = [
                _label(hear(_louder(samples, gain))) == label
                for samples, label in zip(recordings, before, strict=True)
            ]
            found.append([*corpus_and_n, f"{gain:+d}", *percent(kept)])
            corpus_and_n = ["", ""]
    head = ["corpus", "n", "gain, dB", "same label, %", INTERVAL]
    return "Recordings whose label stays the same at another gain:\n\n" + markdown(head, found)


def _louder(samples: Samples, gain_db: float) -> Samples:
    """Return them as a converter gives them: what goes beyond full scale is clipped."""
    return np.clip(samples * 10 ** (gain_db / 20), -1, 1).astype(np.float32)


def _recordings(data: Path, corpus: str, share: float) -> list[Samples]:
    place = location(data, corpus)
    return [read(place, row.file) for row in thinned(speech(data, corpus), share)]


def _spoken_by(data: Path, share: float) -> dict[str, list[dict[str, str]]]:
    """Return a share of speechocean762's test, by age and sex."""
    test = [row for row in rows(data, SPEECHOCEAN) if row["split"] == "test"]
    found: dict[str, list[dict[str, str]]] = {"girls": [], "boys": [], "women": [], "men": []}
    for row in thinned(test, share):
        names = ("men", "women") if int(row["age"]) >= ADULT else ("boys", "girls")
        found[names[row["gender"] == "f"]].append(row)
    return found


def _children_and_adults(data: Path, share: float) -> dict[str, list[Samples]]:
    spoken, place = _spoken_by(data, share), location(data, SPEECHOCEAN)
    return {
        f"speechocean762, {age}": [read(place, r["file"]) for g in groups for r in spoken[g]]
        for age, groups in {"children": ("girls", "boys"), "adults": ("women", "men")}.items()
    }


def speech_heard(bundle: Bundle, data: Path) -> str:
    """Count the recordings in which we and Silero hear speech."""
    activity, model, found = VoiceActivity(bundle), silero(), []
    street = [row["file"] for row in rows(data, NOISE) if row["fold"] == "10"]
    recordings = {"street noise, fold 10": [read(location(data, NOISE), file) for file in street]}
    recordings |= {"Urdu": _recordings(data, "urdu", 0.3)}
    recordings |= {"EmoDB": _recordings(data, "emodb_4class", 0.3)}
    recordings |= _children_and_adults(data, 0.05)
    for name, sounds in recordings.items():
        ours, theirs = [], []
        for samples in sounds:
            frames = log_mel(samples)
            ours.append(activity.span(frames) is not None)
            theirs.append(bool((silero_speech(samples, model, len(frames)) > 0.5).any()))
        found.append([name, str(len(sounds)), *percent(ours), *percent(theirs)])
    return "Recordings in which speech is heard:\n\n" + markdown(
        ["recordings", "n", "ours, %", INTERVAL, "Silero VAD, %", INTERVAL], found
    )


UNSURE = 0.5


def two_voices(bundle: Bundle, data: Path, corpus: str = "emodb_4class", pairs: int = 150) -> str:
    """Mix two people's recordings of different emotions, both as loud."""
    hear, random, place = _ear(bundle), np.random.default_rng(0), location(data, corpus)
    every, found = speech(data, corpus), []
    while len(found) < pairs:
        one, other = (every[i] for i in random.integers(len(every), size=2))
        if one.speaker == other.speaker or one.label == other.label:
            continue
        sounds = [read(place, row.file) for row in (one, other)]
        found.append([hear(samples) for samples in (*sounds, _mixed(*sounds))])
    lines = []
    alone = [(first, second) for first, second, _ in found]
    mixed = [both for *_, both in found]
    for name, answers in (("alone", [a for pair in alone for a in pair]), ("both at once", mixed)):
        sure = [answer is not None and answer.max() >= UNSURE for answer in answers]
        mean = np.mean([answer.max() for answer in answers if answer is not None])
        silent = [answer is None for answer in answers]
        lines.append([name, str(len(answers)), f"{mean:.2f}", *percent(sure), *percent(silent)])
    said = [
        both is not None and _label(both) in [_label(answer) for answer in pair]
        for pair, both in zip(alone, mixed, strict=True)
    ]
    head = ["EmoDB", "n", "mean confidence", f"confidence of {UNSURE} or more, %", INTERVAL]
    head += ["no answer, %", INTERVAL]
    agreed, interval = percent(said)
    return (
        "Two people at once, of different emotions, equally loud:\n\n"
        + markdown(head, lines)
        + f"\nThe answer to both is that to one of them alone in {agreed} % ({interval}).\n"
    )


def _mixed(one: Samples, other: Samples) -> Samples:
    """Return both at once, as long as the shorter one."""
    length = min(len(one), len(other))
    level = [float(np.sqrt(np.mean(s[:length] ** 2))) + 1e-6 for s in (one, other)]
    both = one[:length] + other[:length] * np.float32(level[0] / level[1])
    return (both / max(1.0, float(np.abs(both).max()))).astype(np.float32)


TURNS = {"frontal": 0.25, "turned": 0.6, "far from frontal": np.inf}
"""Up to which distance of the nose from the middle of the eyes, over that between the eyes."""


def turned(bundle: Bundle, clone: Path, yunet: Path, share: float = 0.2) -> str:
    """Look for the largest face that YuNet finds, by mask and by how far it is turned."""
    ours, theirs = face_detector(bundle), YuNet(yunet)
    found: dict[tuple[str, str], list[bool]] = {}
    for folder, cover in (("without_mask", "no mask"), ("with_mask", "mask")):
        for path in thinned(sorted((clone / "dataset" / folder).iterdir()), share):
            image = decode(path.read_bytes(), str(path))
            for face in theirs.find(image)[:1]:
                turn = next(name for name, limit in TURNS.items() if _turn(face) <= limit)
                hit = any(face.box.overlap(one.box) >= SAME for one in ours.find(image))
                found.setdefault((cover, turn), []).append(hit)
    lines = [[*key, str(len(hits)), *percent(hits)] for key, hits in sorted(found.items())]
    return "Faces that YuNet finds in pictures of faces with and without masks:\n\n" + markdown(
        ["mouth", "pose", "n", "found by ours, %", INTERVAL], lines
    )


def _turn(face: Face) -> float:
    right, left, nose = face.landmarks[:3]
    return float(abs(nose[0] - (right[0] + left[0]) / 2) / max(1.0, np.hypot(*(left - right))))


def transcribed(bundle: Bundle, data: Path, share: float) -> str:
    """Transcribe a share of speechocean762's test, in one pass, by age and sex."""
    recognize, place = ROLE_EVALUATORS["asr"].predictor(bundle), location(data, SPEECHOCEAN)
    lines = []
    for group, spoken in _spoken_by(data, share).items():
        words = [str(recognize(log_mel(read(place, row["file"])))) for row in spoken]
        found = word_error_rate(
            [normalized(row["text"]) for row in spoken], [normalized(text) for text in words]
        )
        low, high = (100 * bound for bound in found["interval_95"]["wer"])
        people = len({row["speaker"] for row in spoken})
        figures = [f"{100 * found['wer']:.1f}", f"{low:.1f} to {high:.1f}"]
        lines.append([group, str(found["n"]), str(people), *figures])
    return "Words of speechocean762's test, streaming:\n\n" + markdown(
        ["group", "utterances", "people", "WER, %", INTERVAL], lines
    )
