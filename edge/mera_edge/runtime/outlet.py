"""A sink that may fail without ending the run."""

from __future__ import annotations

import time
from collections.abc import Callable

from mera_edge.events import EmotionEvent, Summary
from mera_edge.sinks import Sink
from mera_edge.sources.backoff import Backoff

LONGEST_WAIT_S = 10.0


class Outlet:
    """Passes events on; while the sink fails they are counted, and it is tried again.

    Args:
        sink: which need not work.
        name: for messages.
        say: takes a message for the operator.
        on_end: called once when the reader of the sink has gone for good.
    """

    def __init__(
        self, sink: Sink, name: str, say: Callable[[str], None], on_end: Callable[[], None]
    ) -> None:
        self._sink, self._name, self._say, self._on_end = sink, name, say, on_end
        self._backoff = Backoff(longest_s=LONGEST_WAIT_S)
        self._again_s = 0.0
        self._lost = 0
        self._ended = False

    def publish(self, event: EmotionEvent) -> None:
        """Pass an event on, if the sink takes it."""
        if self._ended:
            return
        if time.monotonic() < self._again_s:
            self._lost += 1
            return
        if self._works(lambda: self._sink.publish(event)) and self._lost:
            self._say(f"{self._name} works again; {self._lost} events were lost")
            self._lost = 0
            self._backoff.reset()

    def close(self, summary: Summary) -> None:
        """Pass the summary on, and close the sink. Events that were lost are said to be."""
        lost = self._lost
        if not self._ended:
            self._works(lambda: self._sink.close(summary))
        if lost:
            self._say(f"{self._name} lost {lost} events")

    def _works(self, use: Callable[[], None]) -> bool:
        try:
            use()
        except BrokenPipeError:
            self._ended = True
            self._on_end()
            return False
        except Exception as error:  # noqa: BLE001  (whatever it is, the service goes on)
            if not self._lost:
                self._say(f"{self._name} fails: {error}")
            self._lost += 1
            self._again_s = time.monotonic() + self._backoff.wait_s()
            return False
        return True
