"""Switches of a running service: what is off is closed, and nothing of before it counts."""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mera_edge.config import load
from mera_edge.errors import InputError
from mera_edge.events import EmotionEvent
from mera_edge.sample import CLIP
from mera_edge.service.control import Control, Switches
from mera_edge.service.service import Service
from mera_edge.service.signals import Signals, Stopped
from mera_edge.service.sink_group import SinkGroup

MJPEG = Path(__file__).parents[2] / "benchmarks" / "mjpeg.py"


@pytest.fixture(scope="module")
def camera() -> Iterator[str]:
    """A network camera that shows the sample's face."""
    with subprocess.Popen([sys.executable, str(MJPEG), "0"], stdout=subprocess.PIPE) as process:
        yield f"http://127.0.0.1:{int(process.stdout.readline())}/video"
        process.kill()


class Run:
    """A service in a thread, whose events are kept."""

    def __init__(self, control: Control, **settings: object) -> None:
        self.events: list[EmotionEvent] = []
        self._signals = Signals()
        outlets = SinkGroup(self._signals.stop)
        outlets.add("events", self)
        read = load(None, settings, {})
        service = Service(read, self._signals, outlets, control, configured_sinks=False)
        self._thread = threading.Thread(target=service.run, args=[lambda: read])

    def publish(self, event: EmotionEvent) -> None:
        self.events.append(event)

    def close(self, summary: object) -> None:
        pass

    def __enter__(self) -> Run:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._signals.stop.set()
        self._thread.join()

    def until(self, holds: Callable[[EmotionEvent], bool]) -> EmotionEvent:
        """Wait for a new event of which something holds."""
        seen, deadline = len(self.events), time.monotonic() + 60
        while time.monotonic() < deadline:
            for event in self.events[seen:]:
                if holds(event):
                    return event
            time.sleep(0.02)
        raise AssertionError(self.events[-1:])


def capturing() -> list[str]:
    """Return the processes of this one that capture."""
    children = Path(f"/proc/self/task/{threading.get_native_id()}/children")
    found = {pid for task in children.parents[1].iterdir() for pid in _children(task)}
    return [pid for pid in found if "mera_edge.sources" in _command(pid)]


def _children(task: Path) -> list[str]:
    try:
        return (task / "children").read_text().split()
    except OSError:
        return []


def _command(pid: str) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text()
    except OSError:
        return ""


def state(event: EmotionEvent) -> tuple[str, str | None]:
    (source,) = (event.sources or {}).values()
    return source.state, source.reason_code


def test_a_pause_ends_the_process_that_captures_and_says_so(camera: str) -> None:
    control = Control()
    with Run(control, camera=camera, mic="none") as run:
        run.until(lambda event: event.moment is not None)
        assert len(capturing()) == 1
        control.set(paused=True)
        event = run.until(lambda event: state(event) == ("off", "paused"))
        # Not a second longer, though a face counts for one and a moment for ten.
        assert (event.emotion, event.moment, event.transcript.text) == (None, None, "")
        assert {each.reason_code for each in event.modalities.values()} == {"paused"}
        run.until(lambda event: not capturing())
        control.set(paused=False)
        run.until(lambda event: state(event)[0] == "live" and event.emotion is not None)
        assert len(capturing()) == 1
        control.set("room_1", camera=False)
        event = run.until(lambda event: state(event) == ("off", "switched_off"))
        assert event.modalities["face"].reason_code == "switched_off"
        run.until(lambda event: not capturing())
    assert not capturing()


def test_a_room_that_is_off_does_not_stop_another_one_with_the_same_camera(camera: str) -> None:
    control = Control()
    with Run(control, camera=(camera, camera), mic="none") as run:
        run.until(lambda event: event.room_id == "room_2" and event.emotion is not None)
        control.set("room_1", camera=False)
        run.until(lambda event: event.room_id == "room_1" and state(event)[0] == "off")
        assert state(run.until(lambda event: event.room_id == "room_2")) == ("live", None)
        control.set("room_2", camera=False)
        run.until(lambda event: not capturing())
        control.set(camera=True)
        run.until(lambda event: event.room_id == "room_1" and event.emotion is not None)
        run.until(lambda event: event.room_id == "room_2" and event.emotion is not None)
        assert len(capturing()) == 1


def test_switched_off_tracks_of_a_file_are_not_used() -> None:
    control = Control()
    control.use(["room_1"])
    control.set(camera=False)
    with Run(control, camera=str(CLIP), mic=str(CLIP)) as run:
        event = run.until(lambda event: event.modalities["voice"].state == "used")
        assert event.modalities["face"].reason_code == "switched_off"
        control.set(camera=True, microphone=False)
        event = run.until(lambda event: event.modalities["face"].state == "used")
        assert event.modalities["voice"].reason_code == "switched_off"
        assert event.transcript.text == ""


@pytest.mark.parametrize("wanted", ["text", "voice", "face"])
def test_only_the_modalities_that_are_wanted_are_read(wanted: str) -> None:
    how = {"privacy": {"modalities": wanted}}
    with Run(Control(), camera=str(CLIP), mic=str(CLIP), **how) as run:
        event = run.until(lambda event: event.modalities[wanted].state == "used")
        others = [each for name, each in event.modalities.items() if name != wanted]
        assert {each.reason_code for each in others} == {"excluded"}
        if wanted != "text":
            assert not any(event.transcript.text for event in run.events)


def test_a_device_that_serves_nothing_wanted_is_not_opened(camera: str) -> None:
    how = {"privacy": {"modalities": ("text",)}}
    with Run(Control(), camera=camera, mic=str(CLIP), **how) as run:
        event = run.until(lambda event: event.modalities["text"].state == "used")
        assert state(event) == ("off", "excluded")
        assert not capturing()


def test_sigusr2_pauses_and_resumes(camera: str) -> None:
    main = "from mera_edge.cli import main; main()"
    arguments = ["run", "--camera", camera, "--mic", "none", "--sink", "-"]
    command = [sys.executable, "-c", main, *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:

        def until(wanted: str) -> None:
            while True:
                (source,) = json.loads(process.stdout.readline())["sources"].values()
                if source["state"] == wanted:
                    return

        for wanted in ("live", "off", "live"):
            until(wanted)
            process.send_signal(signal.SIGUSR2)
        until("off")
        process.terminate()


def test_switches_of_rooms_that_stay_are_kept() -> None:
    control = Control()
    told: list[tuple[str, Switches, str]] = []
    control.use(["hall", "kitchen"])
    control.subscribe(lambda *change: told.append(change))
    control.set("hall", microphone=False, by="HTTP 10.0.0.3")
    control.set("hall", microphone=False, by="signal")
    assert told == [("hall", Switches(microphone=False), "HTTP 10.0.0.3")]
    control.use(["hall", "attic"])
    assert control.rooms == {"hall": Switches(microphone=False), "attic": Switches()}
    with pytest.raises(InputError, match="no room 'kitchen': rooms: hall, attic"):
        control.set("kitchen", camera=False)


@given(st.builds(Switches, paused=st.booleans(), camera=st.booleans(), microphone=st.booleans()))
def test_switched_off_source_has_a_reason(switches: Switches) -> None:
    camera, microphone = (
        on and not switches.paused for on in (switches.camera, switches.microphone)
    )
    assert ("face" in switches.off) != camera
    assert ("voice" in switches.off) == ("text" in switches.off) != microphone
    assert set(switches.off.values()) <= {"paused" if switches.paused else "switched_off"}


def test_toggling_pauses_every_room_first() -> None:
    control = Control()
    control.use(["hall", "attic"])
    control.set("hall", paused=True)
    control.toggle("signal")
    assert all(switches.paused for switches in control.rooms.values())
    control.toggle("signal")
    assert not any(switches.paused for switches in control.rooms.values())


@pytest.mark.parametrize("ended", [True, False])
def test_loading_that_a_signal_interrupts_is_no_error(ended: bool) -> None:
    """An extension module that is being imported turns what a handler raises into ImportError."""
    signals = Signals()
    with pytest.raises(Stopped if ended else ImportError), signals.stop_at_once():
        if ended:
            with contextlib.suppress(Stopped):
                signals.end(signal.SIGTERM, None)
        raise ImportError("initialization failed")
