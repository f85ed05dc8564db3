"""Own clips to an own bundle: a made-up CH-SIMS folder, from its features to an answer."""

from __future__ import annotations

import csv
import json
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from mera_edge.bundle import Bundle
from mera_edge.cli import main
from mera_edge.errors import CheckFailed, InputError
from mera_edge.sample import CLIP
from mera_edge.sources.media import MediaFile
from mera_train.features import ExtractionConfig, FeatureExtraction
from mera_train.features.clips import read
from mera_train.features.store import load
from mera_train.msa import MSA_run, get_config

CLIPS = 30
COLUMNS = ("video_id", "clip_id", "text", "label", "label_T", "label_A", "label_V",
           "annotation", "mode")  # fmt: skip
WORDS = {True: "i am so happy to see you", False: "i am sad and alone"}


@pytest.fixture(scope="module")
def material() -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    """A second of speech and a face, of the sample clip."""
    source = MediaFile(CLIP)
    source.open()
    captured = source.poll(1.8)
    source.close()
    sound = np.concatenate([piece.samples for piece in captured.audio])[9600:25600]
    assert captured.frame is not None
    return sound, cv2.resize(captured.frame.image, (160, 160))


def write(path: Path, sound: NDArray[np.float32] | None, picture: NDArray[np.uint8] | None) -> None:
    """Write a clip of a second."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        video = heard = None
        if picture is not None:
            video = container.add_stream("mpeg4", rate=5)
            video.width, video.height, video.pix_fmt = 160, 160, "yuv420p"
        if sound is not None:
            heard = container.add_stream("aac", rate=16_000, layout="mono")
        if video is not None:
            for number in range(5):
                frame = av.VideoFrame.from_ndarray(picture, "bgr24")
                frame.pts, frame.time_base = number, Fraction(1, 5)
                container.mux(video.encode(frame))
            container.mux(video.encode(None))
        if heard is not None:
            frame = av.AudioFrame.from_ndarray(sound[None], "fltp", "mono")
            frame.rate = 16_000
            container.mux(heard.encode(frame))
            container.mux(heard.encode(None))


def label(
    directory: Path, rows: list[dict[str, object]], columns: tuple[str, ...] = COLUMNS
) -> None:
    with (directory / "label.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows(rows)


def row(number: int, **changes: object) -> dict[str, object]:
    happy = number % 2 == 0
    rated = 0.8 if happy else -0.8
    mode = ("train", "train", "train", "valid", "test")[number // 2 % 5]
    return {
        "video_id": f"video_{number // 10:04d}", "clip_id": f"{number % 10:04d}",
        "text": WORDS[happy], "label": rated, "label_T": rated, "label_A": 0.0, "label_V": "",
        "annotation": "Positive" if happy else "Negative", "mode": mode, **changes,
    }  # fmt: skip


def run(*arguments: str | Path) -> int:
    with pytest.raises(SystemExit) as left:
        main(list(map(str, arguments)))
    return int(left.value.code or 0)


@pytest.fixture(scope="module")
def sims(material, tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("sims")
    sound, picture = material
    rows = [row(number) for number in range(CLIPS)]
    for number, each in enumerate(rows):
        path = directory / "Raw" / str(each["video_id"]) / f"{each['clip_id']}.mp4"
        write(path, None if number == 3 else sound, None if number % 4 == 1 else picture)
    label(directory, rows)
    return directory


def test_a_folder_of_clips_becomes_a_bundle_that_predicts(
    sims: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "own.npz"
    assert run("features", sims, "--out", out, "--num-workers", "2") == 0
    features = load(out)
    assert len(features) == CLIPS
    assert features.arrays["voice_present"].mean() > 0.8
    assert not features.arrays["face_present"][1] and features.arrays["face_present"][0]
    assert features.arrays["text_present"].all(), "the words of the data set"
    assert {"heard_embedding", "heard_age_s"} <= set(features.arrays)
    told = {status["id"]: status for status in json.loads(out.with_suffix(".json").read_text())}
    assert "no voice" in told["video_0000$0003"]["notes"]
    assert "no face" in told["video_0000$0001"]["notes"]

    settings = get_config("mtme", "own") | {"featurePath": out}
    settings["loop"]["epochs"] = 20
    found = MSA_run("mtme", "own", settings, (1,), model_save_dir=tmp_path, log_dir=tmp_path)
    assert found["test"]["mae"]["mean"] < 0.3, "the words tell"

    config = tmp_path / "own.yaml"
    text = Path("train/configs/fusion/own.yaml").read_text()
    config.write_text(text.replace("epochs: 30", "epochs: 8").replace("e-4", "e-3"))
    checkpoints = tmp_path / "checkpoints"
    given = ["--config", config, "--data", out, "--out", checkpoints / "fusion"]
    assert run("train", "fusion", *given) == 0
    metrics = json.loads((checkpoints / "fusion" / "metrics.json").read_text())
    before, after = (metrics[key]["test"]["valence"] for key in ("before", "after"))
    assert after["n"] == 6
    assert after["mean_absolute_error"] < 0.7 * before["mean_absolute_error"]

    bundle = tmp_path / "bundle"
    default = Bundle.open().directory
    given = ["--checkpoints", checkpoints, "--role", "fusion", "--base", default, "--out", bundle]
    assert run("export", *given) == 0
    assert "one's own clips" in Bundle.open(bundle).role("fusion").entry.card
    capfd.readouterr()
    clip = sims / "Raw" / "video_0000" / "0000.mp4"
    assert run("predict", clip, "--json", "--bundle", bundle) == 0
    assert '"schema":"mera-edge/summary/1"' in capfd.readouterr().out


def test_finished_work_is_not_repeated(sims: Path, tmp_path: Path) -> None:
    label(tmp_path, [row(0), row(2)])
    (tmp_path / "Raw").symlink_to(sims / "Raw")
    extraction = FeatureExtraction(ExtractionConfig(words="heard"))
    extraction.run_dataset(tmp_path, tmp_path / "own.npz")
    before = load(tmp_path / "own.npz")
    (part, *_) = sorted((tmp_path / "own.npz.parts").rglob("*.npz"))
    written = part.stat().st_mtime_ns
    label(tmp_path, [row(0), row(2), row(4)])
    done: list[tuple[int, int]] = []
    extraction.run_dataset(
        tmp_path, tmp_path / "own.npz", progress=lambda *counts: done.append(counts)
    )
    assert done == [(2, 3), (3, 3)] and part.stat().st_mtime_ns == written
    after = load(tmp_path / "own.npz")
    assert len(after) == 3
    np.testing.assert_array_equal(
        before.arrays["voice_embedding"], after.arrays["voice_embedding"][:2]
    )


def test_labels_words_and_clips_that_were_corrected_are_read_again(
    material, sims: Path, tmp_path: Path
) -> None:
    (tmp_path / "Raw" / "video_0000").mkdir(parents=True)
    clips = [tmp_path / "Raw" / "video_0000" / f"000{number}.mp4" for number in (0, 2)]
    source = sims / "Raw" / "video_0000"
    clips[0].write_bytes((source / "0000.mp4").read_bytes())
    clips[1].write_bytes(b"no clip")
    extraction = FeatureExtraction(ExtractionConfig(max_failed=0.5))
    done: list[tuple[int, int]] = []

    def extract(*rows: dict[str, object]) -> dict[str, np.ndarray]:
        label(tmp_path, list(rows))
        done.clear()
        out = tmp_path / "own.npz"
        extraction.run_dataset(tmp_path, out, progress=lambda *counts: done.append(counts))
        return load(out).arrays

    first = extract(row(0), row(2))
    assert first["label"].tolist() == [np.float32(0.8)]
    relabelled = extract(row(0, label=-0.5, mode="test"), row(2))
    assert (relabelled["label"].tolist(), relabelled["split"].tolist()) == ([-0.5], ["test"])
    assert done == [(2, 2)], "what the encoders say about it is the same"
    reworded = extract(row(0, text="how sad"), row(2))
    assert reworded["text"].tolist() == ["how sad"] and done[0] == (1, 2)
    assert (reworded["text_embedding"] != first["text_embedding"]).any()
    clips[1].write_bytes((source / "0002.mp4").read_bytes())
    assert len(extract(row(0), row(2))["id"]) == 2
    sound, picture = material
    write(clips[0], np.zeros_like(sound), picture)
    replaced = extract(row(0), row(2))
    assert first["voice_present"][0] and not replaced["voice_present"][0]


def test_shares_of_several_processes_make_one_file(
    sims: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    label(tmp_path, [row(0), row(2), row(4)])
    (tmp_path / "Raw").symlink_to(sims / "Raw")
    extraction = FeatureExtraction()
    monkeypatch.setenv("WORLD_SIZE", "2")
    for rank in (1, 0):
        monkeypatch.setenv("RANK", str(rank))
        extraction.run_dataset(tmp_path, tmp_path / "own.npz")
    assert load(tmp_path / "own.npz").arrays["id"].tolist() == [
        "video_0000$0000", "video_0000$0002", "video_0000$0004",
    ]  # fmt: skip


def test_each_unusable_clip_is_reported(material, tmp_path: Path) -> None:
    sound, picture = material
    directory = tmp_path / "Raw" / "video_0000"
    silent, wall = np.zeros_like(sound), np.full_like(picture, 200)
    write(directory / "0000.mp4", sound, picture)
    write(directory / "0002.mp4", silent, wall)
    write(directory / "0009.mp4", sound, None)
    (directory / "0004.mp4").write_bytes(b"no clip")
    label(tmp_path, [row(0), row(2, text=""), row(4), row(6)])
    extraction = FeatureExtraction(ExtractionConfig(max_failed=0.75))
    statuses = {s.id: s for s in extraction.run_dataset(tmp_path, tmp_path / "own.npz")}
    assert statuses["video_0000$0000"].ok
    reasons = {"0002": "no voice, face or words", "0004": "cannot be", "0006": "does not exist"}
    for number, reason in reasons.items():
        status = statuses[f"video_0000${number}"]
        assert not status.ok and reason in status.notes[0]
    assert "no row names it" in statuses[str(directory / "0009.mp4")].notes[0]
    with pytest.raises(CheckFailed, match="3 of 4 clips failed"):
        FeatureExtraction().run_dataset(tmp_path, tmp_path / "own.npz")
    assert len(load(tmp_path / "own.npz")) == 1
    one = FeatureExtraction().run_single(directory / "0000.mp4", "hello")
    assert one["text_present"].tolist() == [True] and one["face_embedding"].ndim == 2


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([row(0), row(0)], r"line 3: video_0000\$0000 occurs twice"),
        ([row(0, label="nan")], "line 2: label is nan"),
        ([row(0, label="3.5")], r"label is 3\.5: sentiment lies in"),
        ([row(0, label="")], "label is empty"),
        ([row(0, label="great")], "'great'"),
        ([row(0, label_T="x")], "label_T is 'x'"),
        ([row(0, mode="later")], "split 'later' is unknown"),
        ([], "has no rows"),
    ],
)
def test_a_label_that_cannot_be_used_is_named(
    rows: list[dict[str, object]], message: str, tmp_path: Path
) -> None:
    label(tmp_path, rows)
    with pytest.raises(InputError, match=message):
        read(tmp_path)


def test_a_plain_csv_has_emotions_or_sentiments(tmp_path: Path) -> None:
    rows = [{"file": "a.mp4", "label": "Happy"}, {"file": "b.mp4", "label": "-0.5"}]
    label(tmp_path, rows, ("file", "label"))
    one, other = read(tmp_path)
    assert (one.emotion, one.ratings, one.split) == ("happy", {}, "train")
    assert (other.emotion, other.ratings) == ("", {"label": -0.5})
    assert one.path == tmp_path / "a.mp4"
    label(tmp_path, [{"file": "a.mp4"}], ("file",))
    with pytest.raises(InputError, match="has no column 'label'"):
        read(tmp_path)


def test_features_of_other_models_are_refused(sims: Path, tmp_path: Path) -> None:
    label(tmp_path, [row(0)])
    (tmp_path / "Raw").symlink_to(sims / "Raw")
    FeatureExtraction().run_dataset(tmp_path, tmp_path / "own.npz")
    features = load(tmp_path / "own.npz")
    features.require(Bundle.open())
    features.specification["voice model"] = "another"
    with pytest.raises(InputError, match="voice model is 'another' there"):
        features.require(Bundle.open())
    (tmp_path / "half.npz").write_bytes((tmp_path / "own.npz").read_bytes()[:200])
    with pytest.raises(InputError, match="is not a feature file"):
        load(tmp_path / "half.npz")
