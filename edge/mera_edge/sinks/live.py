"""The live view in a terminal."""

from __future__ import annotations

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from mera_edge.events import UNCLEAR, Emotion, EmotionEvent, Modality, Moment, Summary
from mera_edge.labels import MODALITY_NAMES
from mera_edge.sinks.drawing import clock
from mera_edge.sinks.palette import COLOURS

_BAR = 28


class LiveView:
    """Redraws one panel per room with every event; a panel fits a terminal of 80 x 24."""

    def __init__(self, console: Console) -> None:
        self._live = Live(console=console, auto_refresh=False, transient=True)
        self._started = False
        self._panels: dict[str | None, RenderableType] = {}

    def publish(self, event: EmotionEvent) -> None:
        """Draw one event."""
        if not self._started:
            self._live.start()
            self._started = True
        self._panels[event.room] = _panel(event)
        self._live.update(Group(*self._panels.values()), refresh=True)

    def close(self, summary: Summary) -> None:
        """Remove the panels; the summary follows as text."""
        self._live.stop()


def _panel(event: EmotionEvent) -> RenderableType:
    at = event.at[11:19] if event.media_time_s is None else f"{event.media_time_s:.1f} s"
    return Panel(
        Group(
            *_top(event),
            Text(),
            _now(event.emotion),
            _bars(event.emotion),
            Text(),
            _modalities(event),
            Text(),
            _words(event),
        ),
        title="mera-edge" if event.room is None else f"mera-edge: {event.room}",
        subtitle=f"{at} · {_latency(event)} · Ctrl-C ends",
        width=78,
    )


def _top(event: EmotionEvent) -> tuple[Text, Text]:
    """Return the two headlines."""
    if event.sources and all(source.state == "gone" for source in event.sources.values()):
        remedy = "`mera-edge doctor` with the same options says why and what to do"
        return (
            Text("no camera and no microphone works; they are being retried", style="bold red"),
            Text(remedy, style="bold"),
        )
    why = Text(event.why or "", style="dim", overflow="ellipsis", no_wrap=True)
    return _headline(event.moment), why


def _headline(moment: Moment | None) -> Text:
    if moment is None:
        return Text("waiting for somebody to see or hear", style="dim")
    line = Text(moment.label, style=f"bold {COLOURS.get(moment.label, '')}")
    if moment.label != UNCLEAR:
        line.append(f"  {moment.confidence:.0%}", style="bold")
    return line.append(f"   for {clock(moment.lasts_s)}", style="dim")


def _now(emotion: Emotion | None) -> Text:
    if emotion is None:
        return Text("no answer now", style="dim")
    line = Text(f"now {emotion.label} {emotion.confidence:.0%}", style="dim")
    return line.append(f"   valence {emotion.valence:+.2f}")


def _bars(emotion: Emotion | None) -> Table:
    grid = Table.grid(padding=(0, 1))
    for name, colour in COLOURS.items():
        share = emotion.probabilities[name] if emotion else 0.0
        full = round(share * _BAR)
        bar = Text("━" * full, style=colour) + Text("─" * (_BAR - full), style="dim")
        grid.add_row(Text(f"{name:8}"), bar, Text(f"{share:4.0%}", style="dim"))
    return grid


def _modalities(event: EmotionEvent) -> Table:
    grid = Table.grid(padding=(0, 2))
    for key, modality in event.modalities.items():
        grid.add_row(Text(MODALITY_NAMES[key], style="bold"), _modality(modality))
    return grid


def _modality(modality: Modality) -> Text:
    if modality.probabilities is None:
        return Text(modality.reason or "missing", style="dim italic")
    best = max(modality.probabilities.items(), key=lambda item: item[1])
    line = Text(f"{best[0]:9}", style=COLOURS[best[0]])
    line.append(f"{best[1]:4.0%}")
    return line.append(f"   weight {modality.weight:.0%}   {modality.age_ms} ms old", style="dim")


def _words(event: EmotionEvent) -> Text:
    words = event.transcript
    style = "" if words.final else "italic"
    # A long utterance is truncated at its start, since the newest words matter.
    text = words.text if len(words.text) <= 140 else "…" + words.text[-139:]
    return Text(f"“{text}”" if text else "no words yet", style=style if text else "dim")


def _latency(event: EmotionEvent) -> str:
    latency = event.latency
    late = " LATE" if latency.late else ""
    return f"compute {latency.compute_ms:.0f} of {latency.budget_ms} ms{late}"
