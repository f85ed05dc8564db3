"""The pipeline and its loop, with the default bundle and a clock that jumps."""

from __future__ import annotations

import threading
import wave
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mera_edge.bench.replayed import Replayed
from mera_edge.bundle import Bundle
from mera_edge.errors import InputError
from mera_edge.events import EmotionEvent, Summary
from mera_edge.features.fbank import FRAME_SHIFT_S, SAMPLE_RATE, log_mel
from mera_edge.host.load import SystemLoad
from mera_edge.pipeline.event_builder import LONGEST_AGE_S
from mera_edge.pipeline.mode import Live, Offline
from mera_edge.pipeline.perception import SourceAvailability
from mera_edge.pipeline.pipeline import Pipeline
from mera_edge.reasons import Reason
from mera_edge.sample import CLIP
from mera_edge.service.clock import RealClock, VirtualClock
from mera_edge.service.run_loop import Room, Session, run, run_rooms
from mera_edge.sources.base import LIVE, AudioChunk, Captured, VideoFrame
from mera_edge.sources.media import MediaFile
from mera_edge.sources.shared import SharedSource
from mera_edge.stages.vad import VoiceActivity

TICK = 3200
BUSY_MS = 10_000
"""A budget that a busy machine keeps as well."""
BOTH = SourceAvailability(audio=True, video=True)


@pytest.fixture(scope="module")
def pipeline() -> Pipeline:
    pipeline = Pipeline(Bundle.open(), Offline())
    pipeline.warm_up()
    return pipeline


class Collected:
    """A sink that keeps everything."""

    def __init__(self) -> None:
        self.events: list[EmotionEvent] = []
        self.summary: Summary | None = None

    def publish(self, event: EmotionEvent) -> None:
        self.events.append(event)

    def close(self, summary: Summary) -> None:
        self.summary = summary


def speech(seconds: float) -> Iterator[np.ndarray]:
    """Pieces of the sample's voice, a tick long."""
    media = MediaFile(CLIP, video=False)
    media.open()
    samples = media.poll(seconds).audio[0].samples
    for start in range(0, len(samples) - TICK + 1, TICK):
        yield samples[start : start + TICK]


def picture() -> np.ndarray:
    """The sample's face, after a second."""
    media = MediaFile(CLIP)
    media.open()
    frame = media.poll(1.0).frame
    assert frame is not None
    return frame.image


def test_an_empty_room_has_no_emotion_and_says_why(pipeline: Pipeline) -> None:
    pipeline.reset()
    wall = VideoFrame(np.full((240, 320, 3), 120, np.uint8), 0.0)
    for tick in range(1, 11):
        silence = AudioChunk(np.zeros(TICK, np.float32), (tick - 1) * 0.2)
        event = pipeline.tick(Captured([silence], wall), tick * 0.2, BOTH).event
        assert event.emotion is None
        assert event.latency.staleness_ms is None
    assert {name: m.reason for name, m in event.modalities.items()} == {
        "voice": "nobody is speaking",
        "face": "no face in view",
        "text": "nobody is speaking",
    }


def test_dark_frames_are_not_searched(pipeline: Pipeline) -> None:
    pipeline.reset()
    night = VideoFrame(np.random.default_rng(0).integers(0, 8, (240, 320, 3), np.uint8), 0.0)
    face = pipeline.tick(Captured([], night), 0.2, BOTH).event.modalities["face"]
    assert (face.state, face.reason_code) == ("missing", "too_dark")


@pytest.mark.parametrize(("people", "code"), [(1, None), (3, "several_faces")])
def test_other_faces_in_view_are_reported(
    pipeline: Pipeline, people: int, code: str | None
) -> None:
    pipeline.reset()
    crowd = VideoFrame(np.concatenate([picture()] * people, 1), 0.0)
    face = pipeline.tick(Captured([], crowd), 0.2, BOTH).event.modalities["face"]
    assert (face.state, face.reason_code) == ("used", code)


@pytest.mark.parametrize(("gain_db", "code"), [(0, None), (30, "clipped"), (-50, "too_quiet")])
def test_voice_at_a_wrong_level_is_used_with_a_notice(
    pipeline: Pipeline, gain_db: float, code: str | None
) -> None:
    pipeline.reset()
    voices = []
    for tick, samples in enumerate(speech(4.0), 1):
        louder = np.clip(samples * 10 ** (gain_db / 20), -1, 1).astype(np.float32)
        captured = Captured([AudioChunk(louder, (tick - 1) * 0.2)], None)
        voices.append(pipeline.tick(captured, tick * 0.2, BOTH).event.modalities["voice"])
    used = [voice for voice in voices if voice.state == "used"]
    assert len(used) > 5
    assert {voice.reason_code for voice in used[3:]} == {code}


def test_what_was_seen_before_a_camera_was_off_does_not_count_after_it(pipeline: Pipeline) -> None:
    pipeline.reset()
    off = replace(BOTH, troubles={"face": Reason("switched_off", "off")})
    states = [
        pipeline.tick(Captured([], frame), now_s, available).event.modalities["face"].state
        for now_s, frame, available in [
            (0.2, VideoFrame(picture(), 0.2), BOTH),
            (0.4, None, off),
            (0.6, None, BOTH),
        ]
    ]
    assert states == ["used", "missing", "missing"]


def test_evidence_ages_and_is_let_go(pipeline: Pipeline) -> None:
    pipeline.reset()
    now = 0.0
    for piece in speech(3.0):
        now += 0.2
        event = pipeline.tick(Captured([AudioChunk(piece, now - 0.2)]), now, BOTH).event
    assert event.modalities["voice"].state == "used"
    ages = []
    while event.modalities["voice"].state == "used":
        ages.append(event.modalities["voice"].age_ms)
        now += 0.2
        event = pipeline.tick(Captured([]), now, BOTH).event
    assert ages == sorted(ages)
    assert ages[-1] <= LONGEST_AGE_S["voice"] * 1000


def test_nan_in_a_tensor_is_harmless(pipeline: Pipeline) -> None:
    pipeline.reset()
    for tick, value in enumerate((np.nan, np.inf, -np.inf, 1e9), start=1):
        sound = AudioChunk(np.full(TICK, value, np.float32), (tick - 1) * 0.2)
        pipeline.tick(Captured([sound]), tick * 0.2, BOTH)
    for tick, piece in enumerate(speech(3.0), start=5):
        sound = AudioChunk(piece, (tick - 1) * 0.2)
        event = pipeline.tick(Captured([sound]), tick * 0.2, BOTH).event
    assert event.emotion is not None
    assert np.isfinite(list(event.emotion.probabilities.values())).all()


def test_recognizer_rests_in_silence_and_misses_no_word(pipeline: Pipeline) -> None:
    live = Pipeline(Bundle.open(), Live(SystemLoad))
    silence = np.random.default_rng(0).normal(0, 3e-4, 25 * TICK).astype(np.float32)
    sound = [*np.split(silence, 25), *speech(4.0)]
    heard = {}
    for name, subject in (("offline", pipeline), ("live", live)):
        subject.reset()
        worked, voice = [], []
        for tick, piece in enumerate(sound):
            captured = Captured([AudioChunk(piece, tick * 0.2)])
            result = subject.tick(captured, (tick + 1) * 0.2, BOTH, last=tick == len(sound) - 1)
            worked.append("asr" in result.stages_ms)
            voice.append(result.event.modalities["voice"].probabilities)
        heard[name] = len(subject.transcript.split()), worked.count(False), voice
    # The voice encoder hears the same sound; only where its frames begin may differ.
    for offline, power_saving in zip(heard["offline"][2], heard["live"][2], strict=True):
        assert power_saving == (offline and pytest.approx(offline, abs=0.1))
    assert heard["offline"][1] == 0
    assert heard["live"][1] == pytest.approx(10, abs=3)
    assert heard["live"][0] == pytest.approx(heard["offline"][0], rel=0.25)


@pytest.mark.parametrize("before_s", [0.05, 0.15])
def test_words_are_final_as_soon_as_speech_is_over(before_s: float, tmp_path: Path) -> None:
    noise = np.random.default_rng(0).normal(0, 3e-4, 2 * SAMPLE_RATE)
    sound = np.concatenate([noise[: round(before_s * SAMPLE_RATE)], *speech(4.0), noise])
    with wave.open(str(tmp_path / "said.wav"), "wb") as file:
        file.setparams((1, 2, SAMPLE_RATE, 0, "NONE", ""))
        file.writeframes((sound * 32767).astype("<i2").tobytes())
    bundle, sink = Bundle.open(), Collected()
    live = Pipeline(bundle, Live(SystemLoad, BUSY_MS))
    run(live, [MediaFile(tmp_path / "said.wav")], VirtualClock(), [sink], threading.Event())
    known_s = [e.media_time_s for e in sink.events if e.transcript and e.transcript.final]
    activity, frames = VoiceActivity(bundle), log_mel(sound.astype(np.float32))
    chunks = [activity.accept(frames[start : start + 4]) for start in range(0, len(frames), 4)]
    first = next(i for i, now in enumerate(chunks) if chunks[i - 1] and not now)
    over_s = 4 * (first + 1) * FRAME_SHIFT_S
    assert over_s <= known_s[0] < over_s + 0.08, "a turn may come 0.2 s later"


def test_skipped_rows_are_reported(pipeline: Pipeline) -> None:
    hot = Pipeline(Bundle.open(), Live(lambda: SystemLoad(hot=True), BUSY_MS))
    source = Replayed(CLIP, for_s=45.0)
    source.open()
    skipped: list[tuple[str, ...]] = []
    while not source.ended:
        now = (len(skipped) + 1) / 5
        skipped.append(hot.tick(source.poll(now), now, BOTH).event.latency.skipped)
    assert skipped[0] == ()
    assert {("face",), ("text",), ("text", "face")} <= set(skipped)
    assert {name for left_out in skipped[-50:] for name in left_out} <= {"face", "text"}


def is_turn(now_s: float) -> bool:
    """Whether a tick is a turn; between two, no picture is asked for."""
    return abs(5 * now_s - round(5 * now_s)) < 1e-6


class Watched(Replayed):
    """A clip that counts what is looked at."""

    def __init__(self, clip: Path, for_s: float) -> None:
        super().__init__(clip, for_s)
        self.asked: list[bool] = []

    def poll(self, until_s: float, needs_frame: bool = True) -> Captured:
        if is_turn(until_s):
            self.asked.append(needs_frame)
        return super().poll(until_s, needs_frame)


@pytest.mark.parametrize("rooms", [1, 2, 4])
def test_many_rooms_read_a_lone_face_every_second_tick_and_say_so(rooms: int) -> None:
    pipeline, sink = Pipeline(Bundle.open(), Live(SystemLoad, 1000, rooms)), Collected()
    source = Watched(CLIP, for_s=3.4)
    run(pipeline, [source], VirtualClock(), [sink], threading.Event())
    turns = [event for event in sink.events if is_turn(event.media_time_s or 0.0)]
    face = [event.modalities["face"] for event in turns][5:]
    left_out = [event.latency.skipped for event in turns].count(("face",))
    assert {modality.state for modality in face} == {"used"}
    assert max(modality.age_ms or 0 for modality in face) <= (400 if rooms == 4 else 200)
    assert left_out == source.asked.count(False) == pytest.approx(6 if rooms == 4 else 0, abs=2)


def test_in_an_empty_silent_room_almost_nothing_runs(pipeline: Pipeline) -> None:
    live = Pipeline(Bundle.open(), Live(SystemLoad, BUSY_MS))
    wall = np.full((240, 320, 3), 120, np.uint8)
    quiet = np.random.default_rng(0).normal(0, 3e-4, (60, TICK)).astype(np.float32)
    ran: list[set[str]] = []
    for tick in range(60):
        now = (tick + 1) * 0.2
        picture = VideoFrame(wall, now) if live.needs_frame(now) else None
        result = live.tick(Captured([AudioChunk(quiet[tick], now - 0.2)], picture), now, BOTH)
        assert result.event.latency.skipped == ()
        ran.append(set(result.stages_ms) - {"log-mel", "vad", "fusion", "needs_frame"})
    # Pictures are compared; the search of every ten seconds goes on in two more of them.
    assert ran[20:].count(set()) >= 24
    assert set().union(*ran[20:]) == {"face"}


def test_second_run_starts_from_scratch(pipeline: Pipeline) -> None:
    def answers() -> list[EmotionEvent]:
        sink = Collected()
        run(pipeline, [MediaFile(CLIP)], VirtualClock(), [sink], threading.Event())
        return sink.events

    first, second = answers(), answers()
    assert [event.emotion for event in first] == [event.emotion for event in second]
    assert [event.transcript for event in first] == [event.transcript for event in second]


def test_early_stop_keeps_the_best_weights(pipeline: Pipeline) -> None:
    stop = threading.Event()

    class StopsAfterTen(Collected):
        def publish(self, event: EmotionEvent) -> None:
            super().publish(event)
            if len(self.events) == 10:
                stop.set()

    sink = StopsAfterTen()
    summary = run(pipeline, [MediaFile(CLIP)], VirtualClock(), [sink], stop)
    assert summary.interrupted
    assert summary.events == 10
    assert summary.emotion is not None
    assert sink.summary == summary


def test_missed_ticks_are_skipped_and_not_caught_up(pipeline: Pipeline) -> None:
    class Slow(VirtualClock):
        """A machine that needs 0.7 s for every tick."""

        def wait_until(self, moment_s: float, stop: threading.Event) -> None:
            super().wait_until(max(moment_s, self.now() + 0.7), stop)

    sink = Collected()
    run(pipeline, [MediaFile(CLIP)], Slow(), [sink], threading.Event())
    times = [event.media_time_s for event in sink.events]
    assert len(times) == pytest.approx(32.0 / 0.7, abs=2)


def test_a_summary_may_be_bounded_to_the_newest_words(pipeline: Pipeline) -> None:
    stop = threading.Event()
    whole = run(pipeline, [MediaFile(CLIP)], VirtualClock(), [], stop).transcript
    with Session(VirtualClock(), [], words_kept=12) as session:
        session.use_rooms([Room(pipeline, [MediaFile(CLIP)], "hall")])
        while session.is_running(stop):
            session.tick(stop)
    assert len(whole) > 12
    assert session.summary().transcript == f"hall: …{whole[-12:]}"


def test_sources_are_closed_when_one_cannot_be_opened(pipeline: Pipeline, tmp_path: Path) -> None:
    good, bad = MediaFile(CLIP), MediaFile(tmp_path / "absent.mp4")
    with pytest.raises(InputError):
        run(pipeline, [good, bad], RealClock(), [], threading.Event())
    assert not good.has_audio  # closed files know nothing


def test_wall_clock_jumps_do_not_change_the_answers(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    def answers() -> list[EmotionEvent]:
        sink = Collected()
        source = Replayed(CLIP, for_s=3.0)
        run(pipeline, [source], VirtualClock(), [sink], threading.Event())
        return sink.events

    before = answers()
    days = iter([0.0, 864e5, 1e9, 5e8] * 100)
    monkeypatch.setattr("mera_edge.pipeline.pipeline.time.time", lambda: next(days))
    after = answers()
    assert {event.at[:10] for event in after} >= {"1970-01-01", "2001-09-09", "1985-11-05"}
    for one, other in zip(before, after, strict=True):
        assert (one.emotion, one.modalities) == (other.emotion, other.modalities)


def test_state_is_reset_and_reported_after_the_machine_slept(pipeline: Pipeline) -> None:
    class Sleeper(VirtualClock):
        """A machine that sleeps for an hour at second 6; its monotonic clock stands still."""

        slept = False

        def slept_s(self) -> float:
            if self.slept or self.now() < 6.0:
                return 0.0
            self.slept = True
            return 3600.4

    sink, after = Collected(), Collected()
    source = Replayed(CLIP, for_s=8.0)
    run(pipeline, [source], VirtualClock(), [sink], threading.Event())
    run(pipeline, [Replayed(CLIP, for_s=8.0)], Sleeper(), [after], threading.Event())
    (first,) = [event for event in after.events if event.latency.slept_s]
    assert first.latency.slept_s == 3600
    same = next(event for event in sink.events if event.media_time_s == first.media_time_s)
    assert same.moment is not None and same.transcript.text
    assert not first.transcript.text
    assert all((one.age_ms or 0) <= 200 for one in first.modalities.values())


@pytest.mark.parametrize(
    ("load", "why", "said"),
    [
        (SystemLoad(hot=True), "hot", "the board is hot"),
        (SystemLoad(contention=0.9), "busy", "other processes use the processor"),
    ],
)
def test_a_throttled_or_contended_machine_says_so(load: SystemLoad, why: str, said: str) -> None:
    # No tick keeps to this budget.
    pressed, sink = Pipeline(Bundle.open(), Live(lambda: load, 1)), Collected()
    run(pressed, [Replayed(CLIP, for_s=6.0)], VirtualClock(), [sink], threading.Event())
    last = sink.events[-1]
    assert last.latency.pressed_by == why
    assert last.modalities["face"].reason == f"skipped: {said}"


def test_skipped_face_has_reason_no_time() -> None:
    slow, sink = Pipeline(Bundle.open(), Live(SystemLoad, 1)), Collected()
    run(slow, [Replayed(CLIP, for_s=4.0)], VirtualClock(), [sink], threading.Event())
    last = sink.events[-1]
    assert last.latency.skipped and "face" in last.latency.skipped
    assert last.modalities["face"].reason == "skipped: latency budget exhausted"


def test_rooms_take_turns_and_answer_as_if_alone(pipeline: Pipeline) -> None:
    alone, both, bundle = Collected(), Collected(), Bundle.open()
    run(pipeline, [Replayed(CLIP, for_s=4.0)], VirtualClock(), [alone], threading.Event())
    rooms = [
        Room(Pipeline(bundle, Offline()), [Replayed(CLIP, for_s=4.0)], name)
        for name in ("hall", "den")
    ]
    summary = run_rooms(rooms, VirtualClock(), [both], threading.Event())
    hall, den = ([e for e in both.events if e.room == name] for name in ("hall", "den"))
    assert len(alone.events) == len(den) == pytest.approx(len(hall), abs=1)
    assert summary.events == len(hall) + len(den)
    assert summary.emotion is None, "they are different people"
    assert summary.rooms is not None and list(summary.rooms) == ["hall", "den"]
    assert not summary.interrupted
    for first, second, single in zip(hall, den, alone.events, strict=False):
        assert second.media_time_s - first.media_time_s == pytest.approx(0.1, abs=0.01)
        # The same ticks: the same answers, but for the last digits of stream time.
        assert second.emotion.probabilities == pytest.approx(single.emotion.probabilities, abs=0.05)


def test_shared_source_is_opened_once() -> None:
    class Device:
        name, id, is_live, has_audio, has_video = "camera 0", "room_1_camera", True, True, True
        condition, ended = LIVE, False
        opened = closed = polled = 0

        def open(self) -> None:
            self.opened += 1

        def poll(self, until_s: float, needs_frame: bool = True) -> Captured:
            self.polled += 1
            image = np.full((2, 2, 3), self.polled, np.uint8)
            sound = AudioChunk(np.full(4, self.polled, np.float32), until_s)
            return Captured([sound], VideoFrame(image, until_s))

        def close(self) -> None:
            self.closed += 1

    device = Device()
    shared = SharedSource(device)
    first, second = shared.subscribe(), shared.subscribe()
    first.open()
    second.open()
    assert device.opened == 1
    assert [s.samples[0] for s in first.poll(0.1).audio] == [1]
    assert [s.samples[0] for s in first.poll(0.2).audio] == [2]
    late = second.poll(0.3)
    assert [s.samples[0] for s in late.audio] == [1, 2, 3]
    assert late.frame is not None
    assert late.frame.at_s == pytest.approx(0.3)
    assert second.poll(0.4, needs_frame=False).frame is None
    kept = second.poll(0.5).frame
    assert kept is not None
    assert kept.at_s == pytest.approx(0.5)
    first.close()
    assert device.closed == 0
    # A room that comes later has its own stream time, and nothing from before it came.
    third = shared.subscribe()
    third.open()
    assert device.opened == 1
    second.poll(100.0)
    assert [sound.at_s for sound in third.poll(0.2).audio] == pytest.approx([0.2, 0.2], abs=0.1)
    third.close()
    second.close()
    second.close()
    assert device.closed >= 1
