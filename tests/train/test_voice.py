"""The voice encoder hears the same in pieces as in one; its data keeps speakers apart."""

import io
import json
import shutil
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mera_edge.errors import ConfigError, InputError
from mera_train import checkpoint
from mera_train.asr.augment import warp
from mera_train.asr.pretrained import PretrainedConfig
from mera_train.own.config import OwnConfig
from mera_train.voice.augment import AugmentConfig, disturb, equaliser, narrow
from mera_train.voice.balance import choices, shares
from mera_train.voice.config import Config
from mera_train.voice.data import LABELS, Utterance, fold, speech
from mera_train.voice.measure import masked_nll, temperature
from mera_train.voice.model import ModelConfig, VoiceEncoder
from mera_train.voice.rooms import clip, echo
from mera_train.voice.teacher import soft_labels
from mera_train.voice.train import joined, measured, train


def encoder(seed: int = 0) -> VoiceEncoder:
    torch.manual_seed(seed)
    config = ModelConfig(channels=(4, 4, 8), width=16, blocks=2, embedding_dim=64)
    model = VoiceEncoder(config, torch.full((80,), 8.0), torch.full((80,), 0.25), len(LABELS))
    return model.eval()


def test_chunked_output_equals_whole_output() -> None:
    model = encoder()
    frames = torch.randn(2, 6 * 32, 80) * 4 + 8
    with torch.no_grad():
        *whole, last = model(frames, model.empty(2))
        caches, parts = model.empty(2), []
        for chunk in frames.split(32, 1):
            *answers, caches = model(chunk, caches)
            parts.append(answers)
    for index, expected in enumerate(whole):
        torch.testing.assert_close(torch.cat([part[index] for part in parts], 1), expected)
    for name, mine, theirs in zip(model.cache_names, caches, last, strict=True):
        torch.testing.assert_close(mine, theirs, msg=name)


def test_model_is_causal() -> None:
    model = encoder()
    frames = torch.randn(1, 4 * 32, 80) * 4 + 8
    other = frames.clone()
    other[:, 64:] = 0
    with torch.no_grad():
        one, two = model(frames, model.empty())[0], model(other, model.empty())[0]
    torch.testing.assert_close(one[:, :2], two[:, :2])


@given(st.floats(-16, 12))
@settings(max_examples=20)
def test_output_does_not_depend_on_loudness(gain: float) -> None:
    model = encoder()
    frames = torch.randn(1, 3 * 32, 80) * 2 + 8
    with torch.no_grad():
        here, there = (model(frames + g, model.empty())[2] for g in (0.0, gain))
    torch.testing.assert_close(here, there, atol=1e-3, rtol=1e-3)


def test_long_stream_stays_finite() -> None:
    model, caches = encoder(), encoder().empty()
    with torch.no_grad():
        for _ in range(300):
            scores, _, _, caches = model(torch.full((1, 32, 80), 24.0), caches)
    assert all(cache.isfinite().all() and cache.abs().max() < 1e6 for cache in caches)
    assert scores.isfinite().all()


def test_folds_keep_actors_apart_and_test_each_once() -> None:
    tested = []
    for number in range(1, 7):
        dev, test = fold(number)
        assert not set(dev) & set(test)
        tested += test
    assert sorted(tested) == [f"{actor:02d}" for actor in range(1, 25)]


def test_sampling_is_balanced_by_emotion() -> None:
    counts = {("a", "sad"): 3, ("a", "calm"): 8, ("a", "neutral"): 4, ("b", "neutral"): 40}
    recordings = [
        Utterance(corpus, str(i), label, str(i % 2))
        for (corpus, label), count in counts.items()
        for i in range(count)
    ]
    drawn = shares(recordings, {"a": 1.0, "b": 0.5})
    of = [drawn[[(u.corpus, u.label) == key for u in recordings]].sum() for key in counts]
    assert of == pytest.approx([1 / 2, 1 / 6, 1 / 6, 1 / 6])


def test_emotions_absent_from_a_corpus_get_a_reduced_gradient() -> None:
    heard = (("a", "sad"), ("a", "neutral"), ("read", "neutral"))
    told = choices([Utterance(corpus, "", label, "") for corpus, label in heard])
    asked = [label for label, there in zip(LABELS, told["a"], strict=True) if there == 1]
    assert asked == ["neutral", "sad", "calm"]
    assert (told["read"] == 1).all(), "of one emotion alone: it could have been any other"
    scores = torch.zeros(1, 3, len(LABELS), requires_grad=True)
    sad = torch.tensor([[float(label == "sad") for label in LABELS]])
    masked_nll(scores, sad, 0.1, told["a"][None]).sum().backward()
    assert scores.grad is not None
    push = scores.grad[0].sum(0)
    angry, neutral = push[LABELS.index("angry")], push[LABELS.index("neutral")]
    assert 0 < angry < 0.5 * neutral


def test_temperature_scaling_reduces_overconfidence() -> None:
    generator = torch.Generator().manual_seed(0)
    scores = torch.randn(500, 8, generator=generator)
    drawn = torch.multinomial(scores.softmax(1), 1, generator=generator).squeeze(1)
    classes = torch.eye(8)[drawn]
    assert temperature(scores * 3, classes) == pytest.approx(3, rel=0.2)


def test_disturbances_keep_the_shape_and_what_they_promise() -> None:
    generator = np.random.default_rng(0)
    frames = generator.normal(8, 4, (50, 80)).astype(np.float32)
    disturbed = disturb(frames, frames[::-1], AugmentConfig(), generator)
    assert disturbed.shape == frames.shape
    assert np.isfinite(disturbed).all()
    np.testing.assert_allclose(warp(frames, 0.0), frames, atol=1e-6)
    thin = narrow(frames, generator)
    assert np.array_equal(thin[:, 13:48], frames[:, 13:48]) and (thin <= frames).all()
    assert not equaliser(80, 0.0, generator).any()
    samples = generator.normal(0, 0.1, 8000).astype(np.float32)
    cut = clip(samples, generator)
    assert np.abs(cut).max() < np.abs(samples).max() and np.mean(cut == samples) > 0.01
    wet = echo(samples, generator)
    assert wet.shape == samples.shape
    assert np.std(wet) == pytest.approx(np.std(samples), rel=0.01)


def test_a_missing_corpus_says_where_it_can_be_had(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="amu-cai/nEMO"):
        speech(tmp_path, "nemo")


def test_emospeech_skips_user_ids_that_start_with_a_digit(tmp_path: Path) -> None:
    names = ("go-safe-calm-1-ab12.wav", "go-safe-fearful-2-ab12.wav", "go-safe-calm-3-1bcd.wav",
             "background-safe-calm-4-ab12.wav", "go-safe-None-5-ab12.wav")  # fmt: skip
    folder = tmp_path / "emospeech" / "House"
    folder.mkdir(parents=True)
    for name in names:
        (folder / name).touch()
    assert speech(tmp_path, "emospeech") == [
        Utterance("emospeech", f"House/{names[0]}", "neutral", "ab12"),
        Utterance("emospeech", f"House/{names[1]}", "fear", "ab12"),
    ]


def write(path: Path, head: str, rows: list[tuple[str, int]]) -> None:
    """Write a corpus of the real layout: by row a tone of so many hertz, and a little noise."""
    import soundfile

    generator, time = np.random.default_rng(0), np.arange(8000) / 16000
    with zipfile.ZipFile(path, "w") as archive:
        for number, (_, pitch) in enumerate(rows):
            file = io.BytesIO()
            noisy = 0.2 * np.sin(2 * np.pi * pitch * time) + generator.normal(0, 0.01, 8000)
            soundfile.write(file, noisy, 16000, format="WAV")
            archive.writestr(f"{number}.wav", file.getvalue())
        lines = [f"{i}.wav,{row}" for i, (row, _) in enumerate(rows)]
        archive.writestr("manifest.csv", "\n".join([head, *lines]) + "\n")


def write_ravdess(directory: Path, actors: Sequence[int], labels: Sequence[str]) -> None:
    """Write RAVDESS with a tone for each emotion, and noises."""
    acted = [
        (f"{actor:02},{label}", 200 + 300 * index)
        for actor in actors
        for index, label in enumerate(labels)
    ]
    write(directory / "ravdess_speech.zip", "file,actor,emotion", acted)
    noises = [("1", 60), ("2", 90), ("10", 70)]
    write(directory / "urbansound_noise.zip", "file,fold", noises)


SMALL = {
    "model": {"channels": [4, 4, 4], "width": 16, "blocks": 1, "embedding_dim": 64},
    "corpora": {"ravdess_speech": 1.0},
    "test_corpora": [],
    "crop_frames": 32,
    "batch_size": 8,
    "examples_per_epoch": 24,
    "loop": {"epochs": 1, "ema_decay": 0.5},
}


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """The folder of the corpora."""
    directory = tmp_path / "data"
    directory.mkdir()
    write_ravdess(directory, (1, 2, 21, 22, 23, 24), LABELS)
    strange = [("a,happy", 500), ("a,sad", 800)]
    write(directory / "strange.zip", "file,speaker,emotion", strange)
    return directory


def test_train_writes_a_checkpoint_that_says_what_it_can(data: Path, tmp_path: Path) -> None:
    loop = {"epochs": 2, "ema_decay": 0.5}
    longer = {"test_corpora": ["strange"], "examples_per_epoch": 48, "loop": loop}
    config = Config.model_validate({**SMALL, **longer})
    out = tmp_path / "run"
    metrics = train(config, data, out, resume=True)
    assert metrics["strange"]["n"] == 2
    assert metrics["ravdess_speech"]["n"] == 2 * len(LABELS)
    kept = json.loads((out / "metrics.json").read_text())
    assert [line["epoch"] for line in kept.pop("history")] == [1, 2]
    assert kept == metrics
    together = {"ensemble": [out, out]}
    both = train(config.model_copy(update=together), data, tmp_path / "both", resume=True)
    assert both["ravdess_speech"]["confusion"] == metrics["ravdess_speech"]["confusion"]
    assert both["temperature"] == pytest.approx(metrics["temperature"])
    with pytest.raises(InputError, match="both is an ensemble"):
        joined([tmp_path / "both"])
    again = measured(checkpoint.load(out), data)
    assert again == {key: metrics[key] for key in again}, "measured again, it is the same"
    card = (out / "card.md").read_text()
    assert "CC BY-NC-SA" in card and "nEMO" not in card, "what it was trained on, and no more"
    assert "| strange, not trained on | 2 |" in card
    assert "not stated (`licence` in the configuration)" in card


def test_every_actor_is_tested_in_one_of_six_folds(tmp_path: Path) -> None:
    write_ravdess(tmp_path, range(1, 25), ("happy", "sad"))
    folds = Config.model_validate({**SMALL, "protocol": "folds", "examples_per_epoch": 8})
    metrics = train(folds, tmp_path, tmp_path / "run", resume=True)
    assert [metrics[f"fold{number}"]["ravdess_speech"]["n"] for number in range(1, 7)] == [8] * 6
    assert metrics["all"]["n"] == 48


def test_distillation_from_a_whisper_teacher_changes_the_result(
    data: Path, tmp_path: Path, model_bin: Callable[[Path], tuple[PretrainedConfig, Any]]
) -> None:
    encoder, _ = model_bin(tmp_path / "model.bin")
    alone = train(Config.model_validate(SMALL), data, tmp_path / "alone", resume=True)
    # The frames are the same.
    (tmp_path / "taught").mkdir()
    for path in (tmp_path / "alone").glob("frames.*"):
        shutil.copy(path, tmp_path / "taught")
    taught = Config.model_validate({**SMALL, "distillation": {"encoder": encoder.model_dump()}})
    metrics = train(taught, data, tmp_path / "taught", resume=True)
    assert metrics["dev"] != alone["dev"], "its opinion counts"
    assert "Whisper" in (tmp_path / "taught" / "card.md").read_text()
    before = (tmp_path / "taught" / "states.npy").stat().st_mtime_ns
    assert train(taught, data, tmp_path / "taught", resume=True) == metrics
    assert (tmp_path / "taught" / "states.npy").stat().st_mtime_ns == before, "heard once"
    with pytest.raises(ConfigError, match="leave it out"):
        taught.learning_from(OwnConfig(data=tmp_path))


def test_soft_labels_do_not_depend_on_the_speakers_own_labels() -> None:
    people = [
        Utterance("ravdess_speech", f"{who} {label}", label, str(who))
        for who in range(4)
        for label in ("happy", "sad")
    ]
    # Everybody has a voice of their own, in which happy and sad lie as at random.
    random = np.random.default_rng(0)
    heard = random.normal(size=(len(people), 4)).astype(np.float16)
    before = soft_labels(heard, people, {"ravdess_speech": 1.0}, 0.1)
    swapped = {"happy": "sad", "sad": "happy"}
    others = [replace(u, label=swapped[u.label]) if u.speaker == "3" else u for u in people]
    after = soft_labels(heard, others, {"ravdess_speech": 1.0}, 0.1)
    theirs = torch.tensor([u.speaker == "3" for u in people])
    torch.testing.assert_close(before[theirs], after[theirs])
    assert (before[~theirs] != after[~theirs]).any()
    with pytest.raises(InputError, match="all recordings are of one speaker"):
        soft_labels(heard[:2], people[:2], {"ravdess_speech": 1.0}, 0.1)
