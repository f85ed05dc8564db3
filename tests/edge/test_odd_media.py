"""Whatever is odd about a file: what is in it is seen and heard at its time, or it is said."""

from __future__ import annotations

import os
import socket
import tempfile
import threading
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st
from made import Pictures, Sounds, join, later, write

from mera_edge.errors import InputError
from mera_edge.features.fbank import SAMPLE_RATE
from mera_edge.sources.choice import Tracks
from mera_edge.sources.media import MediaFile
from mera_edge.sources.mono import Downmix

STEP_S = 0.04


class Read:
    """A file, read to its end."""

    def __init__(self, path: Path, **options: object) -> None:
        media = MediaFile(path, **options)
        media.open()
        self.has_audio, self.has_video = media.has_audio, media.has_video
        sounds, self.pictures, now_s = [np.zeros(0, np.float32)], [], 0.0
        while not media.ended:
            now_s += STEP_S
            assert now_s < 120, "it does not end"
            captured = media.poll(now_s)
            sounds += [sound.samples for sound in captured.audio]
            self.pictures += [captured.frame] if captured.frame else []
        media.close()
        self.sound = np.concatenate(sounds)
        self.length_s = now_s
        self.said = " ".join(media.notices)

    @property
    def beeps(self) -> list[float]:
        """When a beep begins."""
        size = SAMPLE_RATE // 200
        loud = np.abs(self.sound[: len(self.sound) // size * size]).reshape(-1, size).max(1) > 0.1
        first = np.flatnonzero(loud)
        return [float(at) / 200 for at in first[np.diff(first, prepend=-99) > 50]]

    @property
    def flashes(self) -> list[float]:
        """When a flash begins."""
        white = [picture.at_s for picture in self.pictures if picture.image.mean() > 200]
        return [at for at, before in zip(white, [-1.0, *white], strict=False) if at - before > 0.3]

    def in_step(self, seconds: int) -> bool:
        """Whether there is a beep with a flash in every second."""
        assert len(self.beeps) == seconds, self.beeps
        return all(min(abs(beep - at) for at in self.flashes) <= 0.04 for beep in self.beeps)


JUMPS_S = [-36_000.0, -20.0, -2.0, 12.0, 3600.0, 36_000.0, 80_000.0]


@pytest.mark.parametrize("jump_s", JUMPS_S)
def test_a_clock_that_jumps_is_joined_in_step(tmp_path: Path, jump_s: float) -> None:
    first = 40_000.0
    parts = [
        write(tmp_path / f"{at_s}.ts", 2.0, stamp=later(at_s))
        for at_s in (first, first + 2 + jump_s, first)
    ]
    read = Read(join(tmp_path / "joined.ts", *parts))
    assert read.in_step(6)
    assert 6 <= read.length_s < 6.5
    assert read.said.count("time stamps that jump") == 1


@pytest.mark.parametrize("side", ["sound", "picture"])
@pytest.mark.parametrize("jump_s", JUMPS_S)
def test_a_clock_that_jumps_is_joined_with_one_side_alone(
    tmp_path: Path, jump_s: float, side: str
) -> None:
    tracks = {"pictures": None} if side == "sound" else {"sounds": None}
    parts = [
        write(tmp_path / f"{at_s}.ts", 2.0, stamp=later(at_s), **tracks)  # type: ignore[arg-type]
        for at_s in (40_000.0, 40_002.0 + jump_s)
    ]
    read = Read(join(tmp_path / "joined.ts", *parts))
    assert len(read.beeps if side == "sound" else read.flashes) == 4
    assert 3.9 < read.length_s < 4.5


@pytest.mark.parametrize("overlap_s", [-0.3, -0.02, 0.02, 0.09, 0.3])
def test_recordings_that_were_joined_keep_step(tmp_path: Path, overlap_s: float) -> None:
    parts = [
        write(tmp_path / f"{index}.ts", 1.5, stamp=later(10 + index * (1.5 - overlap_s)))
        for index in range(6)
    ]
    read = Read(join(tmp_path / "joined.ts", *parts))
    assert len(read.beeps) >= 6
    assert read.in_step(len(read.beeps))
    assert read.length_s == pytest.approx(9 - 5 * overlap_s, abs=0.1)


@settings(max_examples=6)
@given(st.lists(st.floats(-90_000, 90_000), min_size=1, max_size=3))
def test_any_jumps_are_bounded_and_lose_nothing(jumps_s: list[float]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        at_s, parts = 10.0, []
        for index, jump_s in enumerate([0.0, *jumps_s]):
            at_s = (at_s + 1 + jump_s) % 90_000
            parts.append(write(Path(folder) / f"{index}.ts", 1.0, stamp=later(at_s)))
        read = Read(join(Path(folder) / "joined.ts", *parts))
        assert len(parts) - 1 <= len(read.beeps) <= len(parts)
        assert len(read.flashes) <= len(parts)
        assert read.length_s < 11 * len(parts)


@pytest.mark.parametrize("kind", ["audio", "video"])
@pytest.mark.parametrize("wrong_s", [-300.0, -0.3, 0.3, 5.0, 300.0, 40_000.0])
def test_one_wrong_time_stamp_moves_nothing(tmp_path: Path, kind: str, wrong_s: float) -> None:
    path = write(tmp_path / "wrong.ts", 3.0, stamp=later(400))
    spoil_a_stamp(path, kind, wrong_s)
    read = Read(path)
    assert read.in_step(3)
    assert read.length_s < 3.3


def spoil_a_stamp(path: Path, kind: str, wrong_s: float) -> None:
    """Change the stamps of one packet (ISO/IEC 13818-1, 2.4.3.7) in the middle of a file."""
    stream = b"\x00\x00\x01\xe0" if kind == "video" else b"\x00\x00\x01\xc0"
    whole, at = bytearray(path.read_bytes()), 0
    for _ in range(15 if kind == "video" else 3):
        at = whole.index(stream, at + 1)
    for begins in (at + 9, at + 14)[: 1 + (whole[at + 7] >> 6 == 3)]:
        a, b, c, d, e = whole[begins : begins + 5]
        ticks = (a >> 1 & 7) << 30 | b << 22 | c >> 1 << 15 | d << 7 | e >> 1
        ticks = (ticks + round(wrong_s * 90_000)) % (1 << 33)
        parts = (ticks >> 30, ticks >> 22, ticks >> 15, ticks >> 7, ticks)
        whole[begins : begins + 5] = (
            a & 0xF1 | (parts[0] & 7) << 1,
            parts[1] & 0xFF,
            (parts[2] & 0x7F) << 1 | 1,
            parts[3] & 0xFF,
            (parts[4] & 0x7F) << 1 | 1,
        )
    path.write_bytes(whole)


def test_a_gap_of_days_is_closed(tmp_path: Path) -> None:
    gap_s = 30 * 86_400
    path = write(tmp_path / "gap.mkv", 4.0, stamp=lambda kind, t: t + gap_s * (t > 1.5))
    read = Read(path)
    assert read.in_step(4)
    assert read.length_s < 4.5
    assert "jump once" in read.said


def test_a_short_gap_stays(tmp_path: Path) -> None:
    path = write(tmp_path / "gap.mkv", 4.0, stamp=lambda kind, t: t + 3 * (t > 1.5))
    read = Read(path)
    assert read.in_step(4)
    assert 7 <= read.length_s < 7.5
    assert read.said == ""


@pytest.mark.parametrize("begins_s", [0.0, 7.0, 50_000.0, 1e7])
@pytest.mark.parametrize("form", ["mkv", "ts", "mov"])
def test_a_recording_may_begin_anywhere(tmp_path: Path, begins_s: float, form: str) -> None:
    read = Read(write(tmp_path / f"late.{form}", 2.0, stamp=later(begins_s)))
    assert read.in_step(2)
    assert read.said == ""


def test_sparse_pictures_beside_sound_are_not_clock_jumps(tmp_path: Path) -> None:
    path = write(
        tmp_path / "slides.mkv", 42.0, Pictures(rate=1), Sounds(rate=16_000),
        skip=lambda kind, t: kind == "video" and t % 20 > 0.5,
    )  # fmt: skip
    read = Read(path)
    assert read.said == ""
    assert len(read.beeps) == 42


def test_streams_of_two_clocks_begin_together(tmp_path: Path) -> None:
    path = write(tmp_path / "two.mkv", 3.0, stamp=lambda k, t: t + 7200 * (k == "video"))
    read = Read(path)
    assert read.in_step(3)
    assert read.length_s < 3.5


@pytest.mark.parametrize(
    "kinds",
    [[(44_100, "stereo"), (22_050, "mono")], [(16_000, "mono"), (48_000, "stereo")] * 2],
)
@pytest.mark.parametrize(("codec", "form"), [("aac", "aac"), ("libmp3lame", "mp3"), ("aac", "ts")])
def test_rate_and_channels_may_change(
    tmp_path: Path, kinds: list[tuple[int, str]], codec: str, form: str
) -> None:
    parts = [
        write(tmp_path / f"{n}.{form}", 2.0, None, Sounds(codec, rate, layout))
        for n, (rate, layout) in enumerate(kinds)
    ]
    read = Read(join(tmp_path / f"joined.{form}", *parts))
    assert len(read.beeps) == 2 * len(kinds)
    # Every part has its encoder's delay.
    assert read.beeps == pytest.approx(range(2 * len(kinds)), abs=0.12 * len(kinds))


def test_the_size_of_pictures_may_change(tmp_path: Path) -> None:
    parts = [
        write(tmp_path / f"{width}.m2v", 2.0, Pictures("mpeg2video", width, 144), None)
        for width in (160, 320, 176)
    ]
    read = Read(join(tmp_path / "joined.m2v", *parts))
    assert {picture.image.shape[1] for picture in read.pictures} == {160, 320, 176}


SILENT, BEEP = Sounds(gains=[0.0], is_default=False), Sounds(language="deu")


@pytest.mark.parametrize("tracks", [[SILENT, BEEP], [BEEP, SILENT], [SILENT, SILENT, BEEP]])
def test_the_track_that_ffmpeg_would_take_is_taken_and_said(
    tmp_path: Path, tracks: list[Sounds]
) -> None:
    path = write(tmp_path / "tracks.mp4", sounds=tracks)
    read = Read(path)
    number = tracks.index(BEEP) + 1
    assert len(read.beeps) == 2
    assert f"{len(tracks)} audio tracks: audio:{number} (aac, mono, deu, default)" in read.said
    other = tracks.index(SILENT) + 1
    assert not Read(path, tracks=Tracks(audio=other)).beeps
    with pytest.raises(InputError, match="no track audio:9"):
        Read(path, tracks=Tracks(audio=9))


def test_undecodable_track_is_skipped(tmp_path: Path) -> None:
    path = write(tmp_path / "tracks.mp4", sounds=[BEEP, Sounds(is_default=False)])
    whole = path.read_bytes()
    at = whole.index(b"mp4a", whole.index(b"soun"))
    config = whole.index(b"esds", at)
    path.write_bytes(whole[:at] + b"apac" + whole[at + 4 : config] + b"dapa" + whole[config + 4 :])
    read = Read(path)
    assert len(read.beeps) == 2
    assert "audio:2" in read.said
    with pytest.raises(InputError, match="audio:1 cannot be decoded"):
        Read(path, tracks=Tracks(audio=1))


MIXES = [
    ("stereo", [1, 1]),
    ("stereo", [1, -1]),
    ("stereo", [1, 0]),
    ("stereo", [0, 1]),
    ("5.1", [0, 0, 1, 0, 0, 0]),
    ("5.1", [1, 1, 0, 0, 0, 0]),
    ("5.1", [0, 0, 0, 0, 1, 0]),
    ("7.1", [0, 0, 1, 0, 0, 0, 0, 0]),
    ("quad", [1, -1, 1, -1]),
]


@pytest.mark.parametrize(("layout", "gains"), MIXES)
def test_wherever_the_voice_is_it_keeps_its_level(
    tmp_path: Path, layout: str, gains: list[float]
) -> None:
    sounds = Sounds("pcm_s16le", 48_000, layout, gains)
    read = Read(write(tmp_path / "channels.wav", 2.0, None, sounds))
    assert len(read.beeps) == 2
    assert np.abs(read.sound[:1200]).max() == pytest.approx(0.5, rel=0.1)


def test_the_bass_channel_is_left_out_of_the_downmix() -> None:
    downmix = Downmix(["FL", "FR", "FC", "LFE", "BL", "BR"])
    rumble = np.zeros((6, 1600), np.float32)
    rumble[3] = 0.5
    assert not downmix.mix(rumble).any()


@given(st.integers(1, 16), st.integers(0, 15), st.integers(1, 50))
@settings(max_examples=20)
def test_one_voice_among_many_channels_is_whole(count: int, which: int, pieces: int) -> None:
    voice = np.sin(np.arange(3200) / 9).astype(np.float32)
    channels = np.zeros((count, 3200), np.float32)
    channels[which % count] = voice
    downmix = Downmix([""] * count)
    mixed = [downmix.mix(piece) for piece in np.array_split(channels, pieces, axis=1)]
    assert np.allclose(np.concatenate(mixed), voice, atol=1e-6)


@pytest.mark.parametrize(
    ("shape", "shown"), [(Fraction(2), (320, 120)), (Fraction(1, 2), (80, 120)), (None, (160, 120))]
)
@pytest.mark.parametrize("form", ["mp4", "mkv", "avi"])
def test_pixel_aspect_ratio_is_applied(
    tmp_path: Path, shape: Fraction | None, shown: tuple[int, int], form: str
) -> None:
    read = Read(write(tmp_path / f"shape.{form}", 1.0, Pictures(shape=shape), None))
    assert {picture.image.shape[1::-1] for picture in read.pictures} == {shown}


@pytest.mark.parametrize("turned", [90, 180, 270])
def test_pictures_are_turned_upright(tmp_path: Path, turned: int) -> None:
    read = Read(write(tmp_path / "turned.mp4", 1.0, Pictures(turned=turned), None))
    size = (160, 120) if turned == 180 else (120, 160)
    assert {picture.image.shape[1::-1] for picture in read.pictures} == {size}


def nothing_in_it(folder: Path) -> dict[str, tuple[bytes, str]]:
    clip = write(folder / "clip.mp4").read_bytes()
    soundfile.write(folder / "silent.wav", np.zeros(0), 16_000)
    movie = write(folder / "clip.mkv", sounds=None).read_bytes()
    codec = movie.index(b"V_MPEG4/ISO/ASP")
    return {
        "empty.mp4": (b"", "is empty"),
        "cut.mp4": (clip[: clip.index(b"moov")], "before its index (moov)"),
        "text.mp4": (b"hello\n" * 99, "cannot be decoded"),
        "silent.wav": ((folder / "silent.wav").read_bytes(), "holds no sound"),
        "odd.mkv": (
            movie[:codec] + b"V_UNKNOWN/CODEC" + movie[codec + 15 :],
            "has video that cannot be decoded",
        ),
    }


def test_undecodable_file_is_an_error(tmp_path: Path) -> None:
    for name, (content, why) in nothing_in_it(tmp_path).items():
        path = tmp_path / name
        path.write_bytes(content)
        with pytest.raises(InputError) as refused:
            Read(path)
        assert name in str(refused.value) and why in str(refused.value)


def test_undecodable_packets_are_counted(tmp_path: Path) -> None:
    path = write(tmp_path / "damaged.mkv", 4.0)
    whole = bytearray(path.read_bytes())
    random = np.random.default_rng(0)
    for at in random.integers(len(whole) // 4, len(whole), 400):
        whole[at] ^= 0xFF
    path.write_bytes(whole)
    assert "packets of its sound could not be decoded" in Read(path).said


def test_audio_continues_without_frames(tmp_path: Path) -> None:
    path = write(tmp_path / "clip.mkv")
    whole = path.read_bytes()
    codec = whole.index(b"V_MPEG4/ISO/ASP")
    path.write_bytes(whole[:codec] + b"V_UNKNOWN/CODEC" + whole[codec + 15 :])
    read = Read(path)
    assert (read.has_audio, read.has_video) == (True, False)
    assert len(read.beeps) == 2
    assert "has video that cannot be decoded" in read.said


def test_a_picture_that_no_memory_holds_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "vast.png", 0.04, Pictures("png", 64, 64, pix_fmt="rgb24"), None)
    whole = path.read_bytes()
    vast = whole[:16] + (60_000).to_bytes(4, "big") * 2 + whole[24:]
    path.write_bytes(vast)
    with pytest.raises(InputError, match="vast"):
        Read(path)


@pytest.mark.parametrize("form", ["wav", "mp4", "mkv"])
def test_a_pipe_is_read(tmp_path: Path, form: str) -> None:
    sounds = Sounds("pcm_s16le" if form == "wav" else "aac")
    content = write(tmp_path / f"clip.{form}", pictures=None, sounds=sounds).read_bytes()
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_bytes, args=[content])
    writer.start()
    read = Read(pipe)
    writer.join()
    assert len(read.beeps) == 2


@pytest.mark.parametrize(
    "name",
    ["12:30.wav", "-dash.wav", "%03d.wav", "new\nline.wav", "data:,x", "ü漢😀.wav", "#?.wav"],
)
def test_unusual_file_names_can_be_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    write(Path("plain.wav"), 1.0, None, Sounds("pcm_s16le")).rename(name)
    assert len(Read(Path(name)).beeps) == 1


def test_a_name_that_no_file_can_have_is_refused() -> None:
    for name in ("x" * 5000, "nul\0.wav"):
        with pytest.raises(InputError):
            Read(Path(name))


def test_a_playlist_opens_no_socket(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.3)
        url = f"http://127.0.0.1:{server.getsockname()[1]}/a.ts"
        lists = {
            "a.m3u8": f"#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXTINF:4,\n{url}\n#EXT-X-ENDLIST\n",
            "a.ffconcat": f"ffconcat version 1.0\nfile {url}\n",
        }
        for name, content in lists.items():
            (tmp_path / name).write_text(content)
            with pytest.raises(InputError):
                Read(tmp_path / name)
        with pytest.raises(TimeoutError):
            server.accept()


@pytest.mark.parametrize("name", ["a.ffconcat", "'a.ffconcat'", "b.ffconcat"])
def test_a_list_of_files_is_played_and_one_that_names_lists_is_not(
    tmp_path: Path, name: str
) -> None:
    write(tmp_path / "x.ts", 2.0)
    good, bad = tmp_path / "b.ffconcat", tmp_path / "a.ffconcat"
    good.write_text("ffconcat version 1.0\nfile x.ts\nfile x.ts\n")
    bad.write_text(f"ffconcat version 1.0\nfile x.ts\nfile {name}\n")
    assert len(Read(good).pictures) > 1
    with pytest.raises(InputError, match="names another playlist"):
        MediaFile(bad).open()
