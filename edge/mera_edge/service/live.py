"""A live run from Python: cameras and microphones in, a call for every event."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

from mera_edge.config import Settings
from mera_edge.events import EmotionEvent, Summary
from mera_edge.service.control import Control
from mera_edge.service.service import Service
from mera_edge.service.signals import Signals
from mera_edge.service.sink_group import SinkGroup
from mera_edge.sinks import Sink
from mera_edge.sinks.callback import Callback


def run_live(
    settings: Settings,
    on_event: Callable[[EmotionEvent], None] | None = None,
    *,
    sinks: Sequence[Sink] = (),
    stop: threading.Event | None = None,
    control: Control | None = None,
) -> Summary:
    """Run until every source has ended or ``stop`` is set, and return the summary.

    Args:
        settings: cameras, microphones, models. Its sinks are used if they were set; by default
            nothing is written to stdout, unlike on the command line.
        on_event: called with every event, in a thread of its own, so that it may take its time.
            An exception is logged and the run continues.
        sinks: each gets every event, likewise in a thread of its own, and the summary at the end.
        stop: set it from another thread to end the run.
        control: pauses rooms and switches cameras and microphones off.

    Raises:
        MeraError: a source, a sink or a model cannot be used. A device that is not there is no
            error: events say so, and it is tried again.
    """
    signals, control = Signals(), Control() if control is None else control
    signals.stop = signals.stop if stop is None else stop
    group = SinkGroup(signals.stop, control)
    for sink in [*([Callback(on_event)] if on_event else []), *sinks]:
        group.add(type(sink).__name__, sink)
    configured = "sink" in settings.model_fields_set
    service = Service(settings, signals, group, control, configured_sinks=configured)
    return service.run(lambda: settings)
