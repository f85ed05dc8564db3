"""What the operator wants of a run: signals that set events instead of ending the process."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator, Sequence
from types import FrameType


class Stopped(BaseException):
    """The operator ended what had not begun yet."""


class Signals:
    """What the operator wants, told by signals.

    Attributes:
        stop: the run ends, with its summary.
        reload: the configuration is to be read again.
        reopen: files were moved away and are to be opened again.
        pause: everything is to be switched off, or on again.
    """

    def __init__(self) -> None:
        self.stop, self.reload, self.reopen, self.pause = (threading.Event() for _ in range(4))
        self._raises = False

    @contextlib.contextmanager
    def stop_at_once(self) -> Iterator[None]:
        """Raise `Stopped` within, as soon as the run is to end: models take their time to load."""
        self._raises = True
        try:
            if self.stop.is_set():
                raise Stopped
            yield
        except Exception as error:
            if self.stop.is_set():
                # What is raised while an extension module is imported arrives as an ImportError.
                raise Stopped from error
            raise
        finally:
            self._raises = False

    def end(self, number: int, frame: FrameType | None) -> None:
        """Handle a signal that ends the run."""
        self.stop.set()
        if self._raises:
            raise Stopped


@contextlib.contextmanager
def take_signals(
    end: Sequence[signal.Signals],
    reload: Sequence[signal.Signals] = (),
    reopen: Sequence[signal.Signals] = (),
    pause: Sequence[signal.Signals] = (),
) -> Iterator[Signals]:
    """Have signals say what the operator wants, instead of ending the process."""
    signals = Signals()
    handlers = {
        **dict.fromkeys(end, signals.end),
        **dict.fromkeys(reload, lambda *_: signals.reload.set()),
        **dict.fromkeys(reopen, lambda *_: signals.reopen.set()),
        **dict.fromkeys(pause, lambda *_: signals.pause.set()),
    }
    before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    try:
        yield signals
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def stop_on_signals() -> Iterator[threading.Event]:
    """Give an event that Ctrl-C and SIGTERM set, so that a run ends with its summary."""
    with take_signals([signal.SIGINT, signal.SIGTERM]) as signals:
        yield signals.stop
