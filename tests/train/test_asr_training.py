"""Corpora are split by speaker, batches are bounded, and a toy run leaves a usable checkpoint."""

import csv
import io
import zipfile
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from hypothesis import given
from hypothesis import strategies as st

from mera_edge.errors import ConfigError, InputError
from mera_edge.features.fbank import BINS
from mera_train import checkpoint
from mera_train.asr import augment
from mera_train.asr.augment import AugmentConfig
from mera_train.asr.config import Config
from mera_train.asr.data import batches, speech
from mera_train.asr.encoder import ModelConfig
from mera_train.asr.measure import measured
from mera_train.asr.train import train
from mera_train.asr.units import BLANK, Units
from mera_train.task import LoopConfig

SENTENCES = ["the cat sat", "a dog ran home", "we saw the sea", "she made tea", "he is here now"]


def tone(seconds: float, seed: int) -> bytes:
    samples = np.random.default_rng(seed).normal(size=int(seconds * 16_000)) * 0.1
    file = io.BytesIO()
    soundfile.write(file, samples, 16_000, format="WAV")
    return file.getvalue()


def archive(path: Path, rows: list[dict[str, str]]) -> None:
    with zipfile.ZipFile(path, "w") as corpus:
        text = io.StringIO()
        writer = csv.DictWriter(text, rows[0])
        writer.writeheader()
        writer.writerows(rows)
        corpus.writestr("manifest.csv", text.getvalue())
        for number, row in enumerate(rows):
            corpus.writestr(row["file"], tone(1 + number % 3 / 2, number))


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The layout of the real corpora, with noise for speech."""
    directory = tmp_path_factory.mktemp("data")
    rows = [
        {
            "file": f"{split}/{speaker:02}{number}.wav",
            "split": split,
            "speaker": f"{split[:2]}{speaker:02}",
            "text": SENTENCES[(speaker + number) % 5]
            if split == "train"
            else f"only tested {number}",
        }
        for split, speakers in (("train", 13), ("test", 2))
        for speaker in range(speakers)
        for number in range(2)
    ]
    rows[0]["text"] = rows[4]["text"] = "only tested 1"  # rows[0]: of a dev speaker
    archive(directory / "speechocean762.zip", rows)
    archive(
        directory / "librispeech_train7.zip",
        [{"file": "a.wav", "speaker": "19", "text": "northanger abbey"}],
    )
    archive(directory / "lj_text_male.zip", [{"file": "a.wav", "text": "in being modern"}])
    archive(
        directory / "urbansound_noise.zip",
        [{"file": f"{fold}.wav", "fold": str(fold)} for fold in (1, 2, 10)],
    )
    return directory


def test_no_speaker_and_no_tested_sentence_crosses_the_splits(data: Path) -> None:
    parts = {
        split: [u for u in speech(data) if u.split == split] for split in ("train", "dev", "test")
    }
    speakers = {split: {u.speaker for u in part} for split, part in parts.items()}
    assert speakers["dev"] == {"tr00", "tr12"}
    assert not speakers["dev"] & speakers["train"]
    assert not speakers["test"] & speakers["train"]
    texts = {split: {u.text for u in part} for split, part in parts.items()}
    assert not texts["test"] & (texts["train"] | texts["dev"])
    assert {u.corpus for u in parts["train"]} == {
        "speechocean762", "librispeech_train7", "lj_text_male",
    }  # fmt: skip


def test_a_missing_corpus_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"speechocean762\.zip"):
        speech(tmp_path)


@given(st.lists(st.integers(50, 2000), min_size=1, max_size=60))
def test_batches_hold_everything_once_and_are_bounded(lengths: list[int]) -> None:
    groups = list(batches(lengths, 4000, np.random.default_rng(0)))
    assert sorted(index for group in groups for index in group) == list(range(len(lengths)))
    for group in groups:
        assert max(lengths[index] for index in group) * len(group) <= 4000


def test_units_are_the_same_every_time_and_class_0_is_the_blank() -> None:
    units = Units.learn(SENTENCES, 30)
    assert units.symbols == Units.learn(SENTENCES, 30).symbols
    assert units.symbols[0] == BLANK
    for sentence in SENTENCES:
        classes = units.encode(sentence)
        assert 0 not in classes
        assert units.decode(classes) == sentence
        assert Units(units.symbols).encode(sentence) == classes, "symbols are all there is"
    assert units.unwritable("the ß 1") == {"ß", "1"}


def test_noise_is_mixed_at_the_ratio_that_was_asked_for() -> None:
    generator = np.random.default_rng(0)
    frames = generator.normal(size=(200, BINS)).astype(np.float32)
    noise = generator.normal(3, 1, size=(90, BINS)).astype(np.float32)
    for snr_db in (-5.0, 0.0, 20.0):
        added = np.exp(augment.add_noise(frames, noise, snr_db)) - np.exp(frames)
        ratio = np.exp(frames).mean() / added.mean()
        assert 10 * np.log10(ratio) == pytest.approx(snr_db, abs=0.5)
    assert augment.gain(frames, 10.0) == pytest.approx(frames + np.log(10), abs=1e-5)


def test_masking_does_not_modify_the_input_frames() -> None:
    frames = np.ones((300, BINS), np.float32)
    config = AugmentConfig(
        freq_masks=2, freq_mask_width=20, time_masks_per_s=2.0, time_mask_width=10
    )
    masked = augment.mask(frames, np.zeros(BINS, np.float32), config, np.random.default_rng(1))
    assert frames.all()
    assert 0.3 < masked.mean() < 1.0


def test_a_small_training_run_writes_a_self_describing_checkpoint(
    data: Path, tmp_path: Path
) -> None:
    config = Config(
        model=ModelConfig(blocks=2, width=16, heads=2, stem_channels=2, kernel_size=3),
        loop=LoopConfig(epochs=2, metric_for_best_model="wer", ema_decay=0.5),
        units=30,
    )
    metrics = train(config, data, tmp_path, resume=True)
    assert set(metrics) == {"loss", "wer", "cer", "dev", "begun", "hours", "synthetic_hours"}
    saved = checkpoint.load(tmp_path)
    assert saved.figures == metrics
    assert measured(saved, data)["dev"] == metrics["dev"]
    assert (metrics["dev"]["n"], metrics["dev"]["people"]) == (3, 2)
    assert "3 recordings of 2 speakers" in saved.card
    assert saved.settings(Config).symbols[0] == BLANK
    assert torch.isfinite(saved.weights["mean"]).all()
    assert "speechocean762 train (CC BY 4.0;" in saved.card
    assert "trained from nothing" in saved.card


def test_reverberation_decays_by_60_db_in_the_requested_time() -> None:
    click = np.full((120, BINS), -30.0, np.float32)
    click[10] = 0
    echoed = augment.reverberate(click, 0.5, 0.0)
    assert np.exp(echoed[:11]) == pytest.approx(np.exp(click[:11]), abs=1e-9), "not before it"
    late = np.exp(echoed[11:]) - np.exp(click[11:])
    assert late[:, 0].sum() == pytest.approx(1, rel=0.01), "as loud as the sound itself"
    assert 10 * np.log10(late[0, 0] / late[50, 0]) == pytest.approx(60, abs=0.5)


def test_substituted_frames_copy_earlier_ones() -> None:
    frames = np.arange(200, dtype=np.float32)[:, None].repeat(BINS, 1)
    found = augment.substitute(frames, 4, 30, np.random.default_rng(0))
    late = frames[:, 0] - found[:, 0]
    assert (late >= 0).all() and 0 < (late > 0).sum() <= 120 and late.max() <= 60
    short = np.zeros((1, BINS), np.float32)
    assert np.array_equal(augment.substitute(short, 5, 30, np.random.default_rng(0)), short)


@given(st.integers(1, 200), st.floats(0.5, 1.5))
def test_another_tempo_is_longer_or_shorter_and_goes_through_the_same_frames(
    length: int, tempo: float
) -> None:
    frames = np.arange(length, dtype=np.float32)[:, None].repeat(BINS, 1)
    found = augment.pace(frames, tempo)
    assert len(found) == pytest.approx(length / tempo, abs=1)
    expected = np.minimum(np.arange(len(found)) * tempo, length - 1)
    assert found[:, 3] == pytest.approx(expected, abs=1e-3)


def test_augmentation_settings_can_be_read_from_a_separate_file(tmp_path: Path) -> None:
    assert len(augment.delay(np.zeros((5, BINS), np.float32), 3)) == 8
    path = tmp_path / "augment.yaml"
    path.write_text("max_time_shift: 12\nreverb_prob: 0.5\nnoise_prob: 0\n")
    config = Config.model_validate({"augment": str(path)})
    assert config.augment is not None and config.augment.max_time_shift == 12
    assert Config.model_validate({"augment": None}).augment is None
    path.write_text("max_time_shfit: 12\n")
    with pytest.raises(ConfigError, match="did you mean 'max_time_shift'"):
        Config.model_validate({"augment": str(path)})
