"""Sound and picture of files come whole, in order, and only as far as asked for."""

from __future__ import annotations

import math
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from mera_edge.errors import InputError
from mera_edge.sample import CLIP
from mera_edge.sources.media import MediaFile

TONE = 0.5 * np.sin(2 * np.pi * 440 * np.arange(48_000) / 16_000).astype(np.float32)


def opened(path: Path, **sides: bool) -> MediaFile:
    media = MediaFile(path, **sides)
    media.open()
    return media


def all_sound(media: MediaFile) -> np.ndarray:
    return np.concatenate([sound.samples for sound in media.poll(math.inf).audio])


@given(st.lists(st.floats(0.01, 2.0), min_size=1, max_size=30))
@settings(max_examples=10)
def test_sound_does_not_depend_on_the_polling_interval(steps: list[float]) -> None:
    whole = all_sound(opened(CLIP))
    media, parts, now = opened(CLIP), [], 0.0
    for step in [*steps, math.inf]:
        now += step
        for sound in media.poll(now).audio:
            assert sound.at_s == pytest.approx(sum(map(len, parts)) / 16_000)
            parts.append(sound.samples)
    assert media.ended
    assert np.array_equal(np.concatenate(parts), whole)


def test_frames_are_the_newest_and_never_from_the_future() -> None:
    media, before = opened(CLIP), -1.0
    for step in range(1, 30):
        picture = media.poll(step * 0.2).frame
        assert picture is not None
        assert before < picture.at_s <= step * 0.2 < picture.at_s + 0.15
        before = picture.at_s


@given(st.lists(st.tuples(st.floats(0.001, 0.7), st.booleans()), min_size=1, max_size=30))
@settings(max_examples=10, deadline=None)
def test_a_picture_that_is_looked_at_is_the_newest_and_comes_once(
    polls: list[tuple[float, bool]],
) -> None:
    with av.open(str(CLIP)) as container:
        pictures = [
            (f.time, f.to_ndarray(format="bgr24")[::9, ::9].copy())
            for f in container.decode(video=0)
        ]
    media, now, before = opened(CLIP), 0.0, None
    for step, look in polls:
        now += step
        at_s, image = max((p for p in pictures if p[0] <= now), key=lambda p: p[0])
        picture = media.poll(now, look).frame
        assert (picture is not None) == (look and at_s != before)
        if picture is not None:
            before = at_s
            assert picture.at_s == pytest.approx(at_s)
            assert np.array_equal(picture.image[::9, ::9], image)


@pytest.mark.parametrize("subtype", ["PCM_16", "PCM_24", "PCM_32", "FLOAT", "PCM_U8"])
@pytest.mark.parametrize("rate", [8_000, 16_000, 44_100])
@pytest.mark.parametrize("channels", [1, 2])
def test_every_usual_recording_sounds_the_same(
    tmp_path: Path, subtype: str, rate: int, channels: int
) -> None:
    path = tmp_path / "tone.wav"
    moments = np.arange(rate) / rate
    tone = 0.5 * np.sin(2 * np.pi * 440 * moments)
    soundfile.write(path, np.stack([tone] * channels, 1), rate, subtype)
    heard = all_sound(opened(path))
    assert abs(len(heard) - 16_000) < 200
    middle = heard[4000:12_000]
    assert middle.std() == pytest.approx(0.5 / math.sqrt(2), rel=0.03)
    crossings = np.count_nonzero(np.diff(np.signbit(middle)))
    assert crossings == pytest.approx(440, abs=4)


def test_a_gap_in_the_sound_is_silence_not_a_shift(tmp_path: Path) -> None:
    path = tmp_path / "gap.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=16_000, layout="mono")
        for start in (0, 32_000):
            samples = (TONE[None, :16_000] * 32767).astype(np.int16)
            frame = av.AudioFrame.from_ndarray(samples, "s16", "mono")
            frame.sample_rate, frame.pts, frame.time_base = 16_000, start, Fraction(1, 16_000)
            container.mux(stream.encode(frame))
    heard = all_sound(opened(path))
    assert len(heard) == pytest.approx(48_000, abs=100)
    assert np.abs(heard[17_000:31_000]).max() < 0.01
    assert np.abs(heard[33_000:47_000]).max() > 0.4


def test_audio_or_video_can_be_left_out() -> None:
    sound, picture = opened(CLIP, video=False), opened(CLIP, audio=False)
    assert (sound.has_audio, sound.has_video) == (True, False)
    assert (picture.has_audio, picture.has_video) == (False, True)
    assert sound.poll(1).frame is None
    assert picture.poll(1).audio == []


def test_truncated_file_gives_its_readable_part(tmp_path: Path) -> None:
    path = tmp_path / "cut.wav"
    soundfile.write(path, TONE, 16_000, "PCM_16")
    path.write_bytes(path.read_bytes()[:50_000])
    media = opened(path)
    assert 1.4 < len(all_sound(media)) / 16_000 < 1.6
    assert media.ended


def test_non_media_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "text.mp4").write_text("hello\n" * 100)
    (tmp_path / "empty.mp4").touch()
    for name in ("text.mp4", "empty.mp4", "absent.mp4", "."):
        with pytest.raises(InputError):
            opened(tmp_path / name)


def test_a_title_that_is_not_utf_8_does_no_harm(tmp_path: Path) -> None:
    path = tmp_path / "talk.wav"
    soundfile.write(path, TONE, 16_000)
    title = b"Gru\xdf\xe9\0"
    inner = b"INFO" + b"INAM" + len(title).to_bytes(4, "little") + title
    data = path.read_bytes() + b"LIST" + len(inner).to_bytes(4, "little") + inner
    path.write_bytes(data[:4] + (len(data) - 8).to_bytes(4, "little") + data[8:])
    assert len(all_sound(opened(path))) == len(TONE)
