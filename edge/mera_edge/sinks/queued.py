"""Runs a sink in its own thread, so that a slow, hanging or failing sink does not stop the run."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Generic, TypeVar

from mera_edge.backoff import Backoff
from mera_edge.errors import MeraError
from mera_edge.events import Summary
from mera_edge.sinks import Receiver
from mera_edge.sinks.outbox import Outbox

_LOG = logging.getLogger(__name__)

Message = TypeVar("Message")

WAITING = 256
"""Queue size in events: 51 s of one room."""

PATIENCE_S = 1.0
"""A sink that takes longer for one event counts as hanging."""

LONGEST_WAIT_S = 2.0
"""Maximum interval between retries of a failing sink."""


class QueuedSink(Generic[Message]):
    """Passes events on through a bounded queue. Only `wait` blocks.

    If the sink fails, the same event is retried while the next ones are queued. If the queue is
    full, the oldest events are dropped, and their number is logged.

    Args:
        sink: must not be used by any other thread.
        name: for messages.
        changed: called from any thread when `worked`, `gone` or `error` has changed.
        reopen: the sink's method, called for `reopen`.
        waiting: size of the queue in events.
        newest_only: whether a failed message is replaced by the next one instead of being retried;
            none counts as lost.

    Attributes:
        worked: whether the sink has ever accepted a message.
        gone: whether its reader has gone permanently.
        error: the reason while it fails, else ``None``.
    """

    def __init__(
        self,
        sink: Receiver[Message],
        name: str,
        changed: Callable[[], None] = lambda: None,
        reopen: Callable[[], None] = lambda: None,
        waiting: int = WAITING,
        newest_only: bool = False,
    ) -> None:
        self.worked = self.gone = False
        self.error: MeraError | None = None
        self._sink, self._name = sink, name
        self._changed, self._reopen = changed, reopen
        self._backoff = Backoff(longest_s=LONGEST_WAIT_S)
        self._troubled = False
        self._refused = self._told = 0
        self._to_reopen = False
        self._newest_only = newest_only
        self._outbox = Outbox(name, 1 if newest_only else waiting)

    def publish(self, message: Message) -> None:
        """Queue a message."""
        kept = self._outbox.put(lambda: self._try(lambda: self._sink.publish(message)))
        if not kept and not self._newest_only:
            self._trouble("is too slow: the oldest queued events are dropped")

    def reopen(self) -> None:
        """Reopen the sink before the next event."""
        self._to_reopen = True

    def close(self, summary: Summary | None) -> None:
        """Queue the end, with the summary unless the run failed."""
        end = (lambda: None) if summary is None else (lambda: self._sink.close(summary))
        self._outbox.close(lambda: self._try(end, proves=False))

    def wait(self, until_s: float) -> None:
        """Wait for the sink after `close`, and log how many events were lost.

        Args:
            until_s: deadline, by `time.monotonic`; a hanging sink is abandoned earlier.
        """
        left = self._outbox.wait(until_s, PATIENCE_S)
        lost = self._lost + (0 if self._newest_only else max(0, left - 1))
        if lost and not self.gone:
            _LOG.warning("%s lost %d events", self._name, lost)
        elif left and not self.error:
            _LOG.warning("%s did not finish and was abandoned", self._name)

    @property
    def _lost(self) -> int:
        dropped = 0 if self._newest_only else self._outbox.dropped
        return dropped + self._refused - self._told

    def _trouble(self, what: str) -> None:
        if not self._troubled:
            self._troubled = True
            _LOG.warning("%s %s", self._name, what)

    def _try(self, use: Callable[[], None], proves: bool = True) -> float | None:
        """Call the sink; return the seconds until a retry, or ``None``.

        Args:
            use: the call.
            proves: whether success shows that the sink works. Closing the connection to a broker
                that was never reached does not.
        """
        try:
            if self._to_reopen:
                self._to_reopen = False
                self._reopen()
            use()
        except BrokenPipeError:
            self.gone = True
            self._outbox.abandon()
            self._changed()
        except MeraError as error:
            self.error = error
            self._trouble(f"fails: {error}")
            self._changed()
            return None if self._newest_only else self._backoff.wait_s()
        except Exception as error:  # noqa: BLE001  (a sink must not stop the service)
            self._refused += 1
            self._trouble(f"failed on an event: {error!r}")
        else:
            if self.error is not None and not proves:
                return None
            self.worked, self.error = True, None
            self._backoff.reset()
            if self._troubled and self._outbox.is_empty:
                lost, self._troubled = self._lost, False
                self._told += lost
                some = "" if self._newest_only else f"; {lost} events were lost"
                _LOG.info("%s works again%s", self._name, some)
        return None
