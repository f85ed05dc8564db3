"""Speech is found wherever it lies, and what cannot be used is named with its row."""

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile

from mera_edge.cli import main
from mera_edge.errors import InputError
from mera_train import audio, checkpoint
from mera_train.asr.augment import AugmentConfig
from mera_train.asr.config import Config
from mera_train.asr.corpora import location, read
from mera_train.asr.data import noises
from mera_train.asr.encoder import ModelConfig
from mera_train.asr.pack import pack
from mera_train.asr.train import train
from mera_train.asr.units import Units
from mera_train.task import LoopConfig


def sound(path: Path, seconds: float = 1.0, rate: int = 16_000, channels: int = 1) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(0).normal(0, 0.1, (round(seconds * rate), channels))
    soundfile.write(path, noise, rate, subtype="FLOAT" if path.suffix == ".wav" else None)


@pytest.mark.parametrize("kind", ["csv", "jsonl"])
def test_a_manifest_names_files_beside_it(tmp_path: Path, kind: str) -> None:
    rows = [
        {"file": f"s/{n}.wav", "text": " Hello  THERE ", "speaker": f"p{n % 3}"} for n in range(6)
    ]
    for row in rows:
        sound(tmp_path / row["file"])
    path = tmp_path / f"own.{kind}"
    if kind == "csv":
        lines = ["file,text,speaker", *(",".join(row.values()) for row in rows)]
    else:
        lines = [json.dumps(row) for row in rows]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8-sig" if kind == "csv" else "utf-8")
    found = read(tmp_path, str(path))
    assert {u.text for u in found} == {"hello there"}
    dev = {u.speaker for u in found if u.split == "dev"}
    assert dev and not dev & {u.speaker for u in found if u.split == "train"}
    where = location(tmp_path, found[0].corpus)
    assert len(audio.read(where, found[0].file)) == 16_000


@pytest.mark.parametrize(("rate", "channels"), [(8000, 1), (44_100, 2)])
def test_other_rates_and_channels_become_ours(tmp_path: Path, rate: int, channels: int) -> None:
    sound(tmp_path / "a.wav", 1.0, rate, channels)
    assert len(audio.read(tmp_path, "a.wav")) == pytest.approx(16_000, abs=2)


@pytest.mark.parametrize(
    ("row", "named"),
    [
        ("a.wav,,x,train", "line 3: text is empty"),
        (",hello,x,train", "line 3: file is empty"),
        ("gone.wav,hello,x,train", "line 3: gone.wav does not exist"),
        ("a.wav,hello,x,later", "line 3: unknown split 'later'"),
    ],
)
def test_a_row_that_cannot_be_used_is_named(tmp_path: Path, row: str, named: str) -> None:
    sound(tmp_path / "a.wav")
    path = tmp_path / "own.csv"
    path.write_text(f"file,text,speaker,split\na.wav,hello,x,train\n{row}\n")
    with pytest.raises(InputError, match=named):
        read(tmp_path, str(path))


def test_librispeech_and_aishell_are_read_as_they_lie(tmp_path: Path) -> None:
    libri = tmp_path / "libri"
    for speaker in ("19", "26"):
        chapter = libri / "train-clean-100" / speaker / "198"
        sound(chapter / f"{speaker}-198-0000.flac")
        (chapter / f"{speaker}-198.trans.txt").write_text(f"{speaker}-198-0000 NORTHANGER ABBEY\n")
    found = read(tmp_path, str(libri))
    assert [(u.speaker, u.text, u.split) for u in found] == [
        ("19", "northanger abbey", "dev"),
        ("26", "northanger abbey", "train"),
    ]
    aishell = tmp_path / "aishell"
    for split, name in (("train", "BAC009S0002W0122"), ("dev", "BAC009S0724W0121")):
        sound(aishell / "wav" / split / name[6:11] / f"{name}.wav")
    (aishell / "transcript").mkdir()
    (aishell / "transcript" / "all.txt").write_text(
        "BAC009S0002W0122 而 对 楼市\nBAC009S0724W0121 广州\n", encoding="utf-8"
    )
    found = read(tmp_path, str(aishell))
    assert {(u.split, u.speaker, u.text) for u in found} == {
        ("train", "S0002", "而对楼市"),
        ("dev", "S0724", "广州"),
    }
    with pytest.raises(InputError, match="no transcripts"):
        read(tmp_path, str(aishell / "wav"))


def test_characters_are_units_of_their_own() -> None:
    units = Units.learn(["而对楼市", "楼市 好"], "characters")
    assert units.decode(units.encode("对楼市 好")) == "对楼市 好"
    assert max(map(len, units.symbols[1:])) == 1


def test_own_manifest_trains_and_reports_the_worst_utterances(tmp_path: Path) -> None:
    lines = ["file,text"]
    for number in range(24):
        sound(tmp_path / f"{number}.wav", 0.2 if number == 5 else 1.0 + number / 30)
        lines.append(f"{number}.wav,{'a cat sat' if number % 2 else 'we see the sea'}")
    (tmp_path / "own.csv").write_text("\n".join(lines) + "\n")
    config = Config(
        model=ModelConfig(blocks=1, width=16, stem_channels=2, kernel_size=3),
        corpora=(str(tmp_path / "own.csv"),),
        units="characters",
        frame_ce_epochs=0,
        phone_loss_weight=0,
        augment=AugmentConfig(noise_prob=0),
        loop=LoopConfig(epochs=2, metric_for_best_model="wer", precision="fp32"),
    )
    out = tmp_path / "out"
    train(config, tmp_path, out, resume=True)
    page = (out / "report.md").read_text()
    assert "| we see the sea |" in page and "curves.svg" in page
    assert (out / "curves.svg").read_text().count("<polyline") == 4
    assert any((out / "tensorboard").iterdir())
    begun = config.model_copy(
        update={"init_checkpoint": out, "loop": LoopConfig(epochs=1, metric_for_best_model="wer")}
    )
    train(begun, tmp_path, tmp_path / "begun", resume=True)
    assert checkpoint.load(tmp_path / "begun").settings(Config).symbols
    (tmp_path / "other.csv").write_text("\n".join(lines).replace("a cat sat", "a quiz") + "\n")
    other = begun.model_copy(update={"corpora": (str(tmp_path / "other.csv"),)})
    with pytest.raises(InputError, match=r"no units for i q u z"):
        train(other, tmp_path, tmp_path / "other", resume=True)


def test_chinese_selects_by_characters_and_skipped_rows_are_reported(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = ["file,text,speaker,split"]
    for number in range(12):
        sound(tmp_path / f"{number}.wav", 1.0 + number / 30)
        lines.append(f"{number}.wav,{'而对楼市' if number % 2 else '楼市好'},p{number // 4},train")
    lines[1:5] = [line.replace("train", "valid") for line in lines[1:5]]
    sound(tmp_path / "short.wav", 0.1)
    soundfile.write(tmp_path / "holes.wav", np.full(16_000, np.nan), 16_000, subtype="FLOAT")
    (tmp_path / "broken.wav").write_bytes(b"RIFF")
    lines += ["short.wav,楼市,p2,train", f"11.wav,{'楼市' * 99},p2,train", "gone.wav,楼市,p2,train"]
    lines += ["holes.wav,楼市,p1,train", "broken.wav,楼市,p1,train", "10.wav,楼市,p0,train"]
    (tmp_path / "own.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    config = Config(
        model=ModelConfig(blocks=1, width=16, stem_channels=2, kernel_size=3),
        corpora=(str(tmp_path / "own.csv"),), units="characters", frame_ce_epochs=0,
        phone_loss_weight=0, augment=AugmentConfig(noise_prob=0), skip_bad=3,
        loop=LoopConfig(epochs=1, metric_for_best_model="wer"),
    )  # fmt: skip
    train(config, tmp_path, tmp_path / "out", resume=True)
    said = capsys.readouterr().err
    for told in (
        "no dev transcript has a space: selecting by character error rate",
        "1 speakers are in more than one split, p0 in dev and train",
        "1 training utterances skipped: under 0.3 s",
        "1 training utterances skipped: their text has more units than",
        "own.csv, line 16: gone.wav does not exist",
        "own.csv, line 17: holes.wav of",
        "own.csv, line 18: broken.wav of",
    ):
        assert told in said
    made = checkpoint.load(tmp_path / "out")
    assert made.settings(Config).loop.metric_for_best_model == "cer"
    assert made.licence == "unknown" and f"{tmp_path} (its licence is not recorded)" in made.card
    few = config.model_copy(update={"skip_bad": 2})
    with pytest.raises(
        InputError, match=r"3 rows are unusable, more than the 2 allowed; the last: .*line 18"
    ):
        train(few, tmp_path, tmp_path / "few", resume=True)


def test_manifest_and_augmentation_errors_name_the_remedy(tmp_path: Path) -> None:
    (tmp_path / "own.list").write_text("file\ttext\n")
    with pytest.raises(InputError, match=r"own\.list is not a manifest: .*\.tsv or \.jsonl"):
        read(tmp_path, str(tmp_path / "own.list"))
    (tmp_path / "own.jsonl").write_text('{"sound": "a.wav", "text": "a"}\n')
    with pytest.raises(InputError, match=r"line 1: file is empty: .*has sound, text"):
        read(tmp_path, str(tmp_path / "own.jsonl"))
    with pytest.raises(InputError, match=r"urbansound_noise.*augment: \{noise_prob: 0\}"):
        noises(tmp_path)


def test_a_folder_becomes_an_archive_of_the_speakers_that_are_named(tmp_path: Path) -> None:
    folder = tmp_path / "dev-clean"
    for speaker in ("84", "174", "422"):
        chapter = folder / speaker / "1"
        chapter.mkdir(parents=True)
        sound(chapter / f"{speaker}-1-0000.flac", 1.0)
        (chapter / f"{speaker}-1.trans.txt").write_text(f"{speaker}-1-0000 A CAT SAT\n")
    pack(str(folder), tmp_path / "two.zip", ["84", "422"])
    found = read(tmp_path, "two")
    assert {(u.speaker, u.text) for u in found} == {("84", "a cat sat"), ("422", "a cat sat")}
    assert len(audio.read(tmp_path / "two.zip", found[0].file)) == 16_000
    with pytest.raises(InputError, match="has none of the speakers 7"):
        pack(str(folder), tmp_path / "none.zip", ["7"])
    assert not (tmp_path / "none.zip").exists()


def test_a_speaker_who_is_alone_in_an_archive_is_not_only_for_development(tmp_path: Path) -> None:
    files = [f"{number:02d}.wav" for number in range(24)]
    for file in files:
        sound(tmp_path / file, 0.1)
    table = tmp_path / "one.csv"
    table.write_text("file,text,speaker\n" + "".join(f"{file},a cat sat,anne\n" for file in files))
    pack(str(table), tmp_path / "one.zip")
    assert [u.split for u in read(tmp_path, "one")].count("dev") == 2
    assert [u.split for u in read(tmp_path, str(table))].count("dev") == 2


def test_packing_errors_are_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["corpus", "pack", str(tmp_path), str(tmp_path / "out.zip")])
    said = capsys.readouterr().err
    assert ended.value.code == 2
    assert said.startswith(f"error {tmp_path} contains no transcripts: ")
    assert said.count("\n") == 1
