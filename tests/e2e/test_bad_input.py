"""Bad input gets a clear error, exit code 2, and leaves nothing half-written."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import av
import cv2
import numpy as np
import odd_media
import pytest
import soundfile

from mera_edge.bundle.load import DEFAULT
from mera_edge.sample import CLIP
from mera_edge.sources import media

FASTSTART = {"movflags": "faststart"}


def bad_files(directory: Path) -> dict[str, Path]:
    whole = CLIP.read_bytes()
    contents = {"empty.mp4": b"", "half.mp4": whole[: len(whole) // 3], "text.mp4": b"hello\n" * 99}
    for name, content in contents.items():
        (directory / name).write_bytes(content)
    return {name: directory / name for name in [*contents, "absent.mp4"]}


@pytest.mark.parametrize("verb", ["predict", "transcribe", "demo"])
@pytest.mark.parametrize("name", ["empty.mp4", "half.mp4", "text.mp4", "absent.mp4"])
def test_a_file_that_cannot_be_used_is_named(
    cli: Callable, tmp_path: Path, verb: str, name: str
) -> None:
    result = cli(verb, bad_files(tmp_path)[name])
    assert result.code == 2
    assert name in result.err
    assert "Traceback" not in result.err


@pytest.mark.parametrize("verb", ["predict", "transcribe"])
@pytest.mark.parametrize("address", ["rtsp://me:s3cret@127.0.0.1:9/1", "http://127.0.0.1:9/a.mp4"])
def test_an_address_is_sent_to_the_verb_for_it(cli: Callable, verb: str, address: str) -> None:
    result = cli(verb, address)
    assert result.code == 2
    assert "127.0.0.1:9/… is a URL" in result.err and "run --camera URL" in result.err
    assert "s3cret" not in result.err


def test_truncated_file_is_reported(cli: Callable, tmp_path: Path) -> None:
    # Its index comes first, so that the half that is there plays.
    whole, half = tmp_path / "whole.mp4", tmp_path / "half.mp4"
    with av.open(str(CLIP)) as source, av.open(str(whole), "w", options=FASTSTART) as target:
        streams = {s.index: target.add_stream_from_template(s) for s in source.streams}
        for packet in source.demux():
            if packet.dts is not None:
                packet.stream = streams[packet.stream.index]
                target.mux(packet)
    half.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    assert "before the time that it names" not in cli("predict", whole).err
    result = cli("predict", half)
    assert result.code == 0
    assert "half.mp4 ends" in result.err and "before the time that it names" in result.err


def test_a_directory_is_no_camera(cli: Callable, tmp_path: Path) -> None:
    result = cli("run", "--camera", tmp_path, "--mic", "none")
    assert result.code == 2
    assert "is a directory" in result.err


def test_a_missing_file_does_not_stop_the_others(cli: Callable, tmp_path: Path) -> None:
    result = cli("predict", tmp_path / "absent.mp4", CLIP, "--json")
    assert result.code == 2
    assert "absent.mp4" in result.err
    assert '"mera-edge/summary/1"' in result.out


def made(folder: Path, case: odd_media.Case) -> Path:
    """Make a case in a folder of its own."""
    place = folder / f"{case.kind}-{abs(hash(case.name))}"
    place.mkdir()
    return Path(case.make(place))


def test_a_file_with_nothing_in_it_says_which_and_the_others_are_done(
    cli: Callable, tmp_path: Path
) -> None:
    cases = [case for case in odd_media.nothing_cases() if case.code == 2]
    files = [made(tmp_path, case) for case in cases]
    result = cli("predict", *files, CLIP, "--json")
    assert result.code == 2
    assert result.err.count("error /") == len(files)
    for case, file in zip(cases, files, strict=True):
        assert str(file) in result.err and case.says in result.err
    assert result.out.count("mera-edge/summary/1") == 1
    assert "Traceback" not in result.err and "unexpected" not in result.err


def test_odd_files_are_answered_within_their_length(cli: Callable, tmp_path: Path) -> None:
    every = [*odd_media.time_cases(), *odd_media.change_cases(), *odd_media.track_cases()]
    wanted = ["joined -300 s, sound", "gap of 36000 s, mkv", "stamps at random", "two clocks"]
    wanted += ["(44100, 'stereo') to (22050, 'mono'), mp3", "second is default"]
    cases = [case for case in every if case.name in wanted]
    assert len(cases) == len(wanted)
    result = cli("predict", *(made(tmp_path, case) for case in cases), "--json")
    assert result.code == 0, result.err
    said = [json.loads(line) for line in result.out.splitlines()]
    lengths = [line["duration_s"] for line in said if line["schema"] == "mera-edge/summary/1"]
    for case, length_s in zip(cases, lengths, strict=True):
        assert length_s < case.honest_s + 1
        assert case.says in result.err


@pytest.mark.parametrize("verb", ["predict", "transcribe"])
def test_a_pipe_is_a_file_too(cli: Callable, tmp_path: Path, verb: str) -> None:
    pipe = odd_media.fed(tmp_path, CLIP.read_bytes())
    through = cli(verb, pipe)
    assert through.code == 0, through.err
    assert "best day of my life" in through.out


def test_a_name_that_looks_like_an_option_gets_a_hint(
    cli: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("-dash.wav").touch()
    result = cli("transcribe", "-dash.wav")
    assert result.code == 2
    assert "./-dash.wav" in result.err


def test_a_track_is_chosen(cli: Callable, tmp_path: Path) -> None:
    silent = odd_media.Sounds(gains=[0.0], is_default=False)
    clip = odd_media.write(tmp_path / "two.mp4", sounds=[silent, odd_media.Sounds()])
    assert "audio:2" in cli("predict", clip).err
    assert "audio tracks" not in cli("predict", clip, "--track", "audio:1").err
    for track, why in (
        ("audio:3", "no track audio:3"),
        ("sound:1", "is not valid"),
        ("audio", "no"),
    ):
        result = cli("predict", clip, "--track", track)
        assert result.code == 2 and why in result.err


def test_unexpected_errors_give_a_message(
    cli: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def surprise(path: Path) -> None:
        raise KeyError("moon")

    monkeypatch.setattr(media, "open_container", surprise)
    result = cli("predict", CLIP, tmp_path / "absent.mp4")
    assert result.code == 2
    assert f"{CLIP}: unexpected KeyError ('moon')" in result.err
    assert "MERA_EDGE_DEBUG=1" in result.err and "Traceback" not in result.err
    assert "absent.mp4 is not a file" in result.err


def test_a_failed_run_leaves_no_report(cli: Callable, tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    assert cli("demo", tmp_path / "absent.mp4", "--report", page).code == 2
    assert list(tmp_path.iterdir()) == []


def test_no_source_at_all_is_an_error(cli: Callable) -> None:
    result = cli("run", "--camera", "none", "--mic", "none")
    assert result.code == 2


def test_a_spoiled_bundle_is_refused(cli: Callable, tmp_path: Path) -> None:
    bundle = shutil.copytree(DEFAULT, tmp_path / "bundle")
    model = next(bundle.glob("*.onnx"))
    content = bytearray(model.read_bytes())
    content[len(content) // 2] ^= 1
    model.write_bytes(content)
    for verb in (["predict", CLIP], ["models", "verify"], ["transcribe", CLIP]):
        result = cli(*verb, "--bundle", bundle)
        assert result.code == 2
        assert model.name in result.err


@pytest.mark.parametrize(
    ("arguments", "nearest"),
    [
        (["predikt", "a.mp4"], "predict"),
        (["predict", "--jsn", "a.mp4"], "--json"),
        (["evaluate", "vois", "--manifest", "a.csv"], "voice"),
    ],
)
def test_unknown_key_suggests_the_nearest(
    cli: Callable, arguments: list[str], nearest: str
) -> None:
    result = cli(*arguments)
    assert result.code == 2
    assert nearest in result.err


def test_an_unknown_configuration_key_names_the_nearest(cli: Callable, tmp_path: Path) -> None:
    config = tmp_path / "config.toml"
    config.write_text("camra = 1\n")
    result = cli("run", "--config", config)
    assert result.code == 2
    assert "'camra'" in result.err
    assert "'camera'" in result.err


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("text,label\nfine,happy\nbad,hapy\n", "line 3: 'hapy'"),
        ("text,label\nfine,\n", "line 2: label is empty"),
        ("words,label\nfine,happy\n", "no column 'text'"),
        ("text,label\n", "has no rows"),
    ],
)
def test_a_bad_row_is_named(cli: Callable, tmp_path: Path, rows: str, message: str) -> None:
    manifest = tmp_path / "rows.csv"
    manifest.write_text(rows)
    result = cli("evaluate", "text", "--manifest", manifest)
    assert result.code == 2
    assert message in result.err


def test_a_row_without_its_file_is_named(cli: Callable, tmp_path: Path) -> None:
    manifest = tmp_path / "rows.csv"
    manifest.write_text("file,label\nabsent.wav,happy\n")
    result = cli("evaluate", "voice", "--manifest", manifest)
    assert result.code == 2
    assert "line 2" in result.err
    assert "absent.wav" in result.err


def test_verbs_of_absent_packages_say_what_to_install(
    cli: Callable, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    for name in [name for name in sys.modules if name.startswith("mera_export")]:
        monkeypatch.delitem(sys.modules, name)
    result = cli("export", "--out", tmp_path / "out")
    assert result.code == 2
    assert "mera-edge[export]" in result.err


def test_encoders_answer_whatever_sound_they_get(cli: Callable, tmp_path: Path) -> None:
    tone = np.sin(np.arange(32_000) / 12).astype(np.float32)
    holes = tone.copy()
    holes[500:600], holes[900] = np.nan, np.inf
    sounds = {"short": tone[:100], "silent": 0 * tone, "clipped": (9 * tone).clip(-1, 1)}
    for name, samples in {**sounds, "holes": holes}.items():
        soundfile.write(tmp_path / f"{name}.wav", samples, 16_000, subtype="FLOAT")
    rows = "".join(f"{name}.wav,angry\n" for name in [*sounds, "holes"])
    assert answers(cli, tmp_path, "voice", f"file,label\n{rows}{CLIP},happy\n") == 5


def test_encoders_answer_whatever_picture_they_get(cli: Callable, tmp_path: Path) -> None:
    noise = np.random.default_rng(0).random((200, 300, 4))
    pictures = {
        "one": (noise[:1, :1, :3] * 255).astype(np.uint8),
        "deep": (noise[:60, :60, 0] * 65535).astype(np.uint16),
        "transparent": (noise * 255).astype(np.uint8),
    }
    for name, picture in pictures.items():
        cv2.imwrite(str(tmp_path / f"{name}.png"), picture)
    rows = "".join(f"{name}.png,angry\n" for name in pictures)
    assert answers(cli, tmp_path, "face", f"file,label\n{rows}") == 3


def test_encoders_answer_whatever_text_they_get(cli: Callable, tmp_path: Path) -> None:
    texts = ["", "...!?", "😡😡", "hello " * 20_000, "我很 angry اليوم"]
    rows = "".join(f'"{text}",angry\n' for text in texts)
    assert answers(cli, tmp_path, "text", f"text,label\n{rows}") == 5


@pytest.mark.parametrize(
    ("role", "row", "message"),
    [
        ("face", "rubble.png,angry", "no face is found in any of the 2 pictures"),
        ("voice", "silence.wav,angry", "no speech is detected in any of the 2 recordings"),
        ("asr", "silence.wav,some words", "no speech is detected in any of the 2 recordings"),
        ("text", '" ",angry', "none of the 2 texts contains words"),
        ("fused", "silence.wav,angry", "no face and no speech is found in any of the 2 clips"),
    ],
)
def test_examples_that_all_get_no_answer_are_no_result(
    cli: Callable, tmp_path: Path, role: str, row: str, message: str
) -> None:
    soundfile.write(tmp_path / "silence.wav", np.zeros(32_000), 16_000)
    noise = np.random.default_rng(0).integers(0, 255, (200, 300, 3))
    cv2.imwrite(str(tmp_path / "rubble.png"), noise)
    manifest = tmp_path / "manifest.csv"
    truth = "text" if role == "asr" else "label"
    manifest.write_text(f"{'text' if role == 'text' else 'file'},{truth}\n{row}\n{row}\n")
    result = cli("evaluate", role, "--manifest", manifest, "--json")
    assert (result.code, result.out) == (2, "")
    assert f"manifest.csv: {message}" in result.err


def answers(cli: Callable, place: Path, role: str, rows: str) -> int:
    manifest = place / "manifest.csv"
    manifest.write_text(rows, encoding="utf-8")
    result = cli("evaluate", role, "--manifest", manifest, "--json")
    assert result.code == 0, result.err
    return int(json.loads(result.out)["n"])


def test_output_on_a_full_disk_is_a_one_line_error() -> None:
    command = [sys.executable, "-c", "from mera_edge.cli import main; main()", "models", "list"]
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 2
    assert "the output cannot be written (No space left on device)" in done.stderr
    assert "Traceback" not in done.stderr
