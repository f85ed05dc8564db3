"""An encoder learns from one's own examples, whatever they are given as."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
import soundfile
import soxr
import torch
from four_commands import HEARD, spoken
from hypothesis import given, settings
from hypothesis import strategies as st
from loudness_teacher import loudness_teacher
from safetensors.torch import load_file

from mera_edge.bundle import Bundle
from mera_edge.cli import main
from mera_edge.errors import InputError
from mera_train.fingerprint import Digests
from mera_train.own.command import CHECKPOINTS
from mera_train.own.examples import Example
from mera_train.own.splits import divide
from mera_train.voice.config import Config
from mera_train.voice.own import OwnVoices

ROLES = ("face", "voice", "text")
PEOPLE = [f"p{n}" for n in range(6)]
QUICK = {
    "face": "loop: {epochs: 4, learning_rate: 0.002, ema_decay: 0.5}\nbatch_size: 8\n",
    "voice": "corpora: {}\nloop: {epochs: 2, learning_rate: 0.001}\nbatch_size: 12\n"
    "crop_frames: 64\n",
    "text": "loop: {epochs: 4, learning_rate: 0.002, ema_decay: 0.5}\nbatch_size: 8\n"
    "max_length: 16\n",
}


def run(*arguments: str) -> int:
    with pytest.raises(SystemExit) as left:
        main(arguments)
    return int(left.value.code or 0)


def put(path: Path, rows: list[dict[str, str]]) -> Path:
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


def faces(folder: Path, number: int, happy: bool) -> dict[str, str]:
    generator = np.random.default_rng(number)
    face = generator.integers(0, 90, (48, 48)).astype(np.uint8)
    face[slice(0, 24) if happy else slice(24, 48)] += 120
    cv2.imwrite(str(folder / f"{number}.png"), face)
    return {"file": f"{number}.png"}


def texts(folder: Path, number: int, happy: bool) -> dict[str, str]:
    return {"text": f"the {'warm' if happy else 'cold'} soup of day {number} is here"}


def voices(folder: Path, number: int, happy: bool) -> dict[str, str]:
    sound = spoken()
    rate = (1.15 if happy else 1.0) + number / 500
    soundfile.write(folder / f"{number}.wav", soxr.resample(sound, 16_000 * rate, 16_000), 16_000)
    return {"file": f"{number}.wav"}


MAKERS: dict[str, Callable[[Path, int, bool], dict[str, str]]] = {
    "face": faces, "voice": voices, "text": texts,
}  # fmt: skip


def made(folder: Path, role: str, count: int = 24) -> list[dict[str, str]]:
    """Examples of six people, happy or sad by turns."""
    folder.mkdir(exist_ok=True)
    return [
        {
            **MAKERS[role](folder, n, n % 2 == 0),
            "label": "Freude" if n % 2 == 0 else "SAD",
            "speaker": PEOPLE[n // 2 % len(PEOPLE)],
        }
        for n in range(count)
    ]


@pytest.mark.parametrize("role", ROLES)
def test_own_examples_are_learnt_from(
    tmp_path: Path, role: str, capsys: pytest.CaptureFixture[str]
) -> None:
    data = put(tmp_path / "data.csv", made(tmp_path, role))
    config, out = tmp_path / "quick.yaml", tmp_path / "run" / role
    config.write_text(f"own: {{}}\n{QUICK[role]}")
    args = ("train", role, "--data", str(data), "--out", str(out))
    told = ("--label", "freude=happy", "--licence", "CC0-1.0", "--config", str(config))
    assert run(*args, *told) == 0
    metrics = json.loads((out / "metrics.json").read_text())
    assert metrics["test"]["n"] == metrics["shipped"]["n"] == 8
    with (out / "examples.csv").open() as file:
        rows = list(csv.DictReader(file))
    splits: dict[str, set[str]] = {}
    for row in rows:
        splits.setdefault(row["person"], set()).add(row["split"])
    assert len(rows) == 24 and all(len(found) == 1 for found in splits.values())
    card = (out / "card.md").read_text()
    for said in ("data.csv", "24 examples of 6 people", "CC0-1.0", "CC-BY-NC" if role == "voice"
                 else "research", "the shipped one", "no examples of neutral, angry"):  # fmt: skip
        assert said in card
    # The same again is the same run; another meaning of a label is another one.
    assert run(*args, *told) == 0
    assert run(*args, "--label", "freude=angry", "--config", str(config)) == 2
    assert "--fresh" in capsys.readouterr().err


def test_text_encoder_trained_from_scratch_has_its_own_vocabulary(tmp_path: Path) -> None:
    data = put(tmp_path / "data.csv", made(tmp_path, "text", 60))
    (tmp_path / "quick.yaml").write_text(
        f"own: {{}}\n{QUICK['text']}model: {{hash_buckets: 997}}\n"
    )
    out = tmp_path / "text"
    args = ("train", "text", "--data", str(data), "--out", str(out), "--from", "nothing")
    assert run(*args, "--label", "freude=happy", "--config", str(tmp_path / "quick.yaml")) == 0
    assert json.loads((out / "metrics.json").read_text())["test"]["accuracy"] == 1
    assert "from nothing" in (out / "card.md").read_text()


def test_folders_by_label_with_splits(tmp_path: Path) -> None:
    for n, row in enumerate(made(tmp_path, "face")):
        split = ("train", "train", "val", "test")[n // 2 % 4]
        folder = tmp_path / "faces" / split / ("happiness" if n % 2 == 0 else "sad")
        folder.mkdir(parents=True, exist_ok=True)
        (tmp_path / row["file"]).rename(folder / row["file"])
    (tmp_path / "quick.yaml").write_text(f"own: {{}}\n{QUICK['face']}")
    args = ("train", "face", "--data", str(tmp_path / "faces"), "--out", str(tmp_path / "run"))
    assert run(*args, "--config", str(tmp_path / "quick.yaml")) == 0
    metrics = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert (metrics["valid"]["n"], metrics["test"]["n"]) == (6, 6)


Rows = list[dict[str, str]]


def nothing(rows: Rows) -> Rows:
    return rows


def one_label(rows: Rows) -> Rows:
    return [{**row, "label": "happy"} for row in rows]


def two_splits(rows: Rows) -> Rows:
    return [{**row, "split": ("train", "test")[n // 12]} for n, row in enumerate(rows)]


@pytest.mark.parametrize(
    ("change", "args", "message"),
    [
        (nothing, (), r"labels that are unknown: 'Freude' \(12 rows, line 2 first\).*--label"),
        (nothing, ("--label", "Freude"), "NAME=EMOTION"),
        (nothing, ("--label", "Freude="), "every example is 'sad'"),
        (one_label, (), "every example is 'happy': add"),
        (lambda rows: rows[:10], ("--label", "Freude=happy"), "10 usable examples: .*at least 20"),
        (two_splits, ("--label", "Freude=happy"), "line 14: p0 is in test, and in train by"),
        (lambda rows: [*rows, {**rows[0], "file": "gone.png"}], ("--label", "Freude=happy"),
         "1 of 25 examples .*line 26: .*gone.png does not exist: .*--skip-bad 1"),
        (lambda rows: [*rows, {**rows[0], "file": "wall.png"}], ("--label", "Freude=happy"),
         "line 26: no face was found in .*wall.png: .*128 pixels"),
        (lambda rows: [{**r, "file": "wall.png"} for r in rows], ("--label", "Freude=happy"),
         "24 of 24 examples .*wall.png: leave it out, or give the face .*128 pixels high$"),
        (lambda rows: [*rows, {**rows[0], "file": "data.csv"}], ("--label", "Freude=happy"),
         "line 26: .*data.csv is not an image"),
        (lambda rows: [*rows, {**rows[0], "label": ""}], ("--label", "Freude=happy"),
         "line 26: label is empty"),
        (lambda rows: [{**r, "weight": "-1"} for r in rows], ("--label", "Freude=happy"),
         "weight '-1': give a number above 0"),
        (lambda rows: [{**r, "split": "later"} for r in rows], ("--label", "Freude=happy"),
         "split 'later': use train, valid"),
        (nothing, ("--from", "nowhere"), "no checkpoint in nowhere: .*--from default"),
    ],
)  # fmt: skip
def test_unusable_training_data_is_a_one_line_error(
    tmp_path: Path,
    change: Callable[[Rows], Rows],
    args: tuple[str, ...],
    message: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    cv2.imwrite(str(tmp_path / "wall.png"), np.full((200, 200), 90, np.uint8))
    data = put(tmp_path / "data.csv", change(made(tmp_path, "face")))
    code = run("train", "face", "--data", str(data), "--out", str(tmp_path / "run"), *args)
    said = capsys.readouterr().err
    assert code == 2 and re.search(message, " ".join(said.split())), said
    assert "Traceback" not in said


def test_sound_without_speech_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = made(tmp_path, "voice", 20)
    soundfile.write(tmp_path / "hum.wav", np.zeros(16_000), 16_000)
    data = put(tmp_path / "data.csv", [*rows, {**rows[0], "file": "hum.wav"}])
    args = ["train", "voice", "--data", str(data), "--out", str(tmp_path / "run")]
    assert run(*args, "--label", "Freude=happy") == 2
    said = " ".join(capsys.readouterr().err.split())
    assert "line 22: no speech was found in" in said and "--skip-bad 1" in said


@pytest.mark.parametrize("silent", [1, 10])
def test_recordings_without_words_are_named(
    tmp_path: Path, silent: int, capsys: pytest.CaptureFixture[str]
) -> None:
    for n in range(10):
        sound = np.zeros(16_000) if n >= 10 - silent else spoken()
        soundfile.write(tmp_path / f"{n}.wav", sound, 16_000)
    data = put(tmp_path / "said.csv", [{"file": f"{n}.wav", "text": HEARD} for n in range(10)])
    assert run("train", "asr", "--data", str(data), "--out", str(tmp_path / "run")) == 2
    said = " ".join(capsys.readouterr().err.split())
    assert f"no speech was detected in {silent} of 10 recordings; the first: " in said
    assert f"line {12 - silent}: listen, and leave out" in said
    assert ("has only 10 usable recordings" in said) == (silent == 1)


def test_clips_of_one_label_are_refused_before_they_are_looked_at(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [{"file": f"{n}.wav", "label": "happy", "text": "so"} for n in range(12)]
    for row in rows:
        (tmp_path / row["file"]).touch()
    data = put(tmp_path / "clips.csv", rows)
    assert run("train", "fusion", "--data", str(data), "--out", str(tmp_path / "run")) == 2
    assert "clips.csv: every clip has the same label: add" in capsys.readouterr().err


def test_a_recording_that_vanishes_during_the_run_is_named(tmp_path: Path) -> None:
    encoder = OwnVoices(Config.model_validate({"corpora": {}}))
    examples = [
        Example(voices(tmp_path, n, True)["file"], "happy", "", tmp_path, "train") for n in range(2)
    ]
    for example in examples:
        encoder.read(example)
    (tmp_path / "1.wav").unlink()
    with pytest.raises(InputError, match=r"1\.wav of .*: copy it again"):
        encoder.begin(examples, tmp_path / "run", Digests())


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.sampled_from("abcdefgh"), st.sampled_from(["happy", "sad", "fear"])),
                min_size=20, max_size=60))  # fmt: skip
def test_splits_separate_people_and_keep_every_example(rows: list[tuple[str, str]]) -> None:
    told: list[str] = []
    examples = [Example(str(n), label, "", person=who) for n, (who, label) in enumerate(rows)]
    try:
        found = divide(examples, (0.15, 0.25), told.append)
    except InputError as error:
        assert "two labels" in str(error)
        return
    assert [e.given for e in found] == [e.given for e in examples]
    people: dict[str, set[str]] = {}
    for e in found:
        people.setdefault(e.person, set()).add(e.split)
    assert told or all(len(splits) == 1 for splits in people.values())
    assert {e.split for e in found} == {"train", "valid", "test"}


def test_people_with_a_single_label_are_reported() -> None:
    told: list[str] = []
    people = [(f"p{n // 4}", "happy" if n // 4 % 2 else "sad") for n in range(40)]
    divide([Example(str(n), label, "", person=who) for n, (who, label) in enumerate(people)],
           (0.15, 0.25), told.append)  # fmt: skip
    assert any("10 of 10 people have examples of one label only" in line for line in told)


def moods(wrong: bool = False, alone: bool = False) -> list[dict[str, str]]:
    """What six people say; the fifth is for validation and the last for the test.

    Args:
        wrong: whether those who are learnt from are labelled wrongly.
        alone: whether each has one label only.
    """
    said = {"happy": "i am so happy and glad", "sad": "i am sad and i cry"}
    other = {"happy": "sad", "sad": "happy"}
    rows = []
    for n in range(96):
        person = n // 16
        label = ("happy", "sad")[(person if alone else n) % 2]
        text = said[other[label] if wrong and person < 4 else label]
        split = (*("train",) * 4, "valid", "test")[person]
        rows.append({"text": f"{text} {n}", "label": label, "person": f"p{person}", "split": split})
    return rows


def test_training_that_does_not_improve_keeps_the_initial_weights(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data, out = put(tmp_path / "said.csv", moods(wrong=True)), tmp_path / "text"
    (tmp_path / "quick.yaml").write_text(
        "own: {}\nbatch_size: 8\nmax_length: 16\nloop: {epochs: 6, learning_rate: 0.02}\n"
    )
    args = ("train", "text", "--data", str(data), "--config", str(tmp_path / "quick.yaml"))
    assert run(*args, "--out", str(out)) == 0
    assert "what it began from is kept: for valid people" in capsys.readouterr().err
    begun = load_file(CHECKPOINTS / "text" / "model.safetensors")
    assert all(torch.equal(v, begun[k]) for k, v in load_file(out / "model.safetensors").items())
    metrics = json.loads((out / "metrics.json").read_text())
    assert metrics["comparison"]["learnt"] < metrics["comparison"]["begun"]
    assert metrics["test"]["uar"] == metrics["shipped"]["uar"] > metrics["learnt"]["uar"]
    assert "what was learnt, not kept" in (out / "card.md").read_text()
    # Who wants it all the same trains no second time.
    trained = (out / "last.safetensors").stat().st_mtime_ns
    assert run(*args, "--out", str(out), "--keep-learnt") == 0
    assert (out / "last.safetensors").stat().st_mtime_ns == trained
    changed = load_file(out / "model.safetensors")
    assert any(not torch.equal(value, begun[name]) for name, value in changed.items())
    assert json.loads((out / "metrics.json").read_text())["test"] == metrics["learnt"]


def test_people_with_one_label_are_evaluated_by_leaving_them_out(tmp_path: Path) -> None:
    data, out = put(tmp_path / "said.csv", moods(alone=True)), tmp_path / "text"
    (tmp_path / "quick.yaml").write_text(f"own: {{}}\n{QUICK['text']}")
    args = ("train", "text", "--data", str(data), "--config", str(tmp_path / "quick.yaml"))
    assert run(*args, "--out", str(out)) == 0
    found = json.loads((out / "metrics.json").read_text())["comparison"]
    with (out / "examples.csv").open() as file:
        learnt = [row for row in csv.DictReader(file) if row["split"] == "train"]
    assert found["left_out"] and found["n"] == len(learnt), "each was left out once"
    assert found["people"] == len({row["person"] for row in learnt})
    assert sorted(p.name for p in (out / "left_out").iterdir()) == ["1", "2", "3"]
    assert "left out by thirds" in (out / "card.md").read_text()


def test_recognizer_starts_from_the_shipped_one_and_is_kept_unless_worse(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = []
    for n in range(30):
        soundfile.write(tmp_path / f"{n}.wav", spoken() * (0.5 + n / 60), 16_000)
        rows.append({"audio_filepath": f"{n}.wav", "text": HEARD, "speaker": f"p{n // 6}"})
    broken = {"audio_filepath": "gone.wav", "text": HEARD, "speaker": "p0"}
    data = put(tmp_path / "said.csv", [*rows, broken])
    (tmp_path / "quick.yaml").write_text(
        "own: {held_out: [0.2, 0.2]}\naugment: null\nphone_loss_weight: 0\nframe_ce_epochs: 0\n"
        "loop: {epochs: 1, learning_rate: 1.0, metric_for_best_model: wer}\n"
    )
    args = ("train", "asr", "--data", str(data), "--config", str(tmp_path / "quick.yaml"))
    out = tmp_path / "run" / "asr"
    assert run(*args, "--out", str(out)) == 2
    assert "line 32" in capsys.readouterr().err
    args = (*args, "--skip-bad", "1")
    assert run(*args, "--out", str(out), "--licence", "CC0-1.0") == 0
    assert "what it began from is kept: for valid recordings" in capsys.readouterr().err
    metrics = json.loads((out / "metrics.json").read_text())
    assert metrics["test"]["n"] == metrics["shipped"]["n"] == 6
    assert metrics["test"]["wer"] == metrics["shipped"]["wer"] < metrics["learnt"]["wer"]
    weights, begun = (load_file(d / "model.safetensors") for d in (out, CHECKPOINTS / "asr"))
    assert all(torch.equal(value, begun[name]) for name, value in weights.items())
    card = (out / "card.md").read_text()
    assert "said.csv" in card and "30 recordings of 5 people" in card and "CC0-1.0" in card
    # Other texts are another run, and what is noted of the first one stays.
    noted = (out / "examples.csv").read_text()
    put(data, [{**row, "text": "so sad"} for row in rows])
    assert run(*args, "--out", str(out)) == 2
    assert (out / "examples.csv").read_text() == noted


def test_a_speech_detector_learns_its_noises(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = []
    generator = np.random.default_rng(0)
    for n in range(20):
        sound = spoken() if n % 2 else generator.normal(0, 0.05, 16_000)
        soundfile.write(tmp_path / f"{n}.wav", sound, 16_000)
        rows.append({"file": f"{n}.wav", "label": ("Lärm", "speech")[n % 2], "person": f"p{n}"})
    data = put(tmp_path / "sounds.csv", rows)
    (tmp_path / "quick.yaml").write_text(
        "own: {}\ncorpora: {}\nsynthetic_noises_per_kind: 8\nbatch_size: 2\n"
        "batches_per_epoch: 2\ndev_batches: 4\nloop: {epochs: 1, learning_rate: 3}\n"
        f"teacher: {loudness_teacher(tmp_path / 'teacher.onnx')}\n"
    )
    out = tmp_path / "vad"
    args = ("train", "vad", "--data", str(data), "--out", str(out))
    given = ("--config", str(tmp_path / "quick.yaml"))
    assert run(*args, *given) == 2
    assert "'Lärm'" in capsys.readouterr().err
    assert run(*args, *given, "--label", "Lärm=noise") == 0
    metrics = json.loads((out / "metrics.json").read_text())
    assert {"recall", "false_alarms"} <= metrics["test"].keys() & metrics["shipped"].keys()
    assert "what it began from is kept: for valid scenes" in capsys.readouterr().err
    assert metrics["test"] == metrics["shipped"] != metrics["learnt"]
    assert "10 of speech, 10 of noise" in (out / "card.md").read_text()


def test_a_fusion_learns_from_clips_in_one_command(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = []
    for n in range(10):
        soundfile.write(tmp_path / f"{n}.wav", spoken(), 16_000)
        text, label = (("i am so glad", "Freude"), ("i am sad", "-0.8"))[n % 2]
        rows.append({"file": f"{n}.wav", "label": label, "text": text, "speaker": f"p{n // 2}"})
    (tmp_path / "broken.wav").write_bytes(b"RIFF")
    bad = [{**rows[0], "file": name} for name in ("gone.wav", "broken.wav")]
    unsure = {**rows[0], "file": "nowhere.wav", "label": "unsure"}
    data = put(tmp_path / "clips.csv", [*rows, *bad, {**rows[0], "label": "3"}, unsure])
    (tmp_path / "quick.yaml").write_text(
        "own: {held_out: [0.2, 0.2]}\nbatch_size: 4\n"
        "loop: {epochs: 1, metric_for_best_model: valence_error}\n"
    )
    out = tmp_path / "run" / "fusion"
    args = ("train", "fusion", "--data", str(data), "--config", str(tmp_path / "quick.yaml"))
    assert run(*args, "--out", str(out)) == 2
    said = " ".join(capsys.readouterr().err.split())
    assert "unknown: 'Freude' (7 rows, line 2 first), 'unsure' (1 rows, line 15 first)" in said
    args = (*args, "--label", "freude=happy", "--label", "unsure=")
    assert run(*args, "--out", str(out)) == 2
    assert "line 12" in (said := capsys.readouterr().err) and "gone.wav does not exist" in said
    assert run(*args, "--out", str(out), "--skip-bad", "2") == 2, "the third is found out last"
    assert "broken.wav" in capsys.readouterr().err
    assert run(*args, "--out", str(out), "--skip-bad", "3") == 0
    metrics = json.loads((out / "metrics.json").read_text())
    assert (
        metrics["before"]["test"]["valence"]["n"] == metrics["after"]["test"]["valence"]["n"] == 2
    )
    with (out / "examples.csv").open() as file:
        splits = {(row["person"], row["split"]) for row in csv.DictReader(file)}
    assert len(splits) == 5
    weights, begun = (load_file(d / "model.safetensors") for d in (out, CHECKPOINTS / "fusion"))
    same = [torch.equal(value, begun[name]) for name, value in weights.items()]
    assert (
        all(same)
        != metrics["left_out"]["kept"]
        == (metrics["left_out"]["after"] > metrics["left_out"]["before"])
    )
    assert "each of 5 people left out once" in (out / "card.md").read_text()
    assert run(*args, "--out", str(out), "--skip-bad", "3", "--keep-learnt") == 0
    learnt = load_file(out / "model.safetensors")
    assert any(not torch.equal(value, begun[name]) for name, value in learnt.items())
    alone = tmp_path / "alone"
    nothing = ("--from", "nothing", "--skip-bad", "3", "--keep-learnt")
    assert run(*args, "--out", str(alone), *nothing) == 0
    fresh = load_file(alone / "model.safetensors")
    assert fresh["voice_scale"].shape == learnt["voice_scale"].shape
    assert fresh["voice_scale"].isfinite().all() and (fresh["face_scale"] == 1).all(), "no faces"
    assert "from one's own clips alone" in (card := (alone / "card.md").read_text())
    assert "trained from nothing" in card and "FER+" not in card
    bundle = tmp_path / "bundle"
    export = ("export", "--checkpoints", str(tmp_path / "run"), "--role", "fusion")
    assert run(*export, "--base", str(Bundle.open().directory), "--out", str(bundle)) == 0
