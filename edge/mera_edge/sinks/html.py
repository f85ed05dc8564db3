"""The report of a run as a self-contained HTML page: answer, timeline, words, cost."""

from __future__ import annotations

from collections import deque
from datetime import datetime
from html import escape
from pathlib import Path

import numpy as np

from mera_edge import __version__
from mera_edge.events import UNCLEAR, Emotion, EmotionEvent, Summary
from mera_edge.labels import EMOTIONS, MODALITY_NAMES
from mera_edge.sinks.drawing import clock, draw
from mera_edge.sinks.page import facts, page, refuse_no_file, write
from mera_edge.sinks.timeline import Timeline
from mera_edge.wording import course

_AGES_KEPT = 10_000


class HtmlReport:
    """Collects events in bounded memory and writes the page atomically at the end.

    Args:
        path: the page; its directory is created.

    Raises:
        InputError: the path is a directory or a device.
    """

    def __init__(self, path: Path) -> None:
        refuse_no_file(path)
        self._path = path
        self._timeline = Timeline()
        self._before: float | None = None
        self._staleness_ms: deque[int] = deque(maxlen=_AGES_KEPT)
        self._budget_ms = 0
        self._late = 0

    def publish(self, event: EmotionEvent) -> None:
        """Add one event."""
        at_s = event.media_time_s
        if at_s is None:
            now = datetime.fromisoformat(event.at.replace("Z", "+00:00")).timestamp()
            # The wall clock may be set back.
            at_s = self._timeline.duration_s + max(0.0, now - (self._before or now))
            self._before = now
        self._timeline.add(event, at_s)
        if event.latency.staleness_ms is not None:
            self._staleness_ms.append(event.latency.staleness_ms)
        self._budget_ms = event.latency.budget_ms
        self._late += event.latency.late

    def close(self, summary: Summary) -> None:
        """Write the page.

        Raises:
            InputError: it cannot be written.
        """
        write(self._path, self._page(summary))

    def _page(self, summary: Summary) -> str:
        return page(
            summary.file or "Live run",
            f"{_answer(summary)}{_moments(summary)}"
            f"<section><h2>Timeline</h2>{_legend()}<figure>{draw(self._timeline)}</figure>"
            f"{self._table()}</section>"
            f"<section><h2>Words</h2>{self._words()}</section>"
            f"<section><h2>Cost and age</h2>{self._cost(summary)}</section>",
            f"{_FOOTER} mera-edge {__version__}, events {escape('mera-edge/event/1')}.",
        )

    def _words(self) -> str:
        if not self._timeline.utterances:
            return "<p class=quiet>No words were recognized.</p>"
        items = [
            f"<li><time>{clock(u.at_s)}</time><span>{escape(u.transcript.text)}</span>"
            f"<small>{u.transcript.confidence:.0%} sure</small></li>"
            for u in self._timeline.utterances
        ]
        return f"<ol class=words>{''.join(items)}</ol>"

    def _cost(self, summary: Summary) -> str:
        cells = {
            "compute, median": f"{summary.compute_ms['p50']:.0f} ms",
            f"compute, p95 (budget {self._budget_ms} ms)": f"{summary.compute_ms['p95']:.0f} ms",
            f"slowest ({self._late} late)": f"{summary.compute_ms['max']:.0f} ms",
            "real-time factor": f"{summary.real_time_factor:.2f}",
        }
        if self._staleness_ms:
            stale = np.percentile(self._staleness_ms, 50)
            cells["age of the answer, median"] = f"{stale:.0f} ms"
        return facts({**cells, f"answers in {clock(summary.duration_s)}": str(summary.events)})

    def _table(self) -> str:
        rows = []
        slots = self._timeline.slots
        for slot in slots[:: max(1, len(slots) // 60)]:
            cells = [f"<th scope=row>{clock(slot.begins_s)}</th>"]
            for track in (slot.fused, *slot.modalities.values()):
                shares = track.probabilities
                if shares is None:
                    cells.append(f"<td class=quiet>{escape(track.reason or '–')}</td>")
                else:
                    best = int(shares.argmax())
                    cells.append(f"<td>{EMOTIONS[best]} {shares[best]:.0%}</td>")
            rows.append(f"<tr>{''.join(cells)}</tr>")
        heads = "".join(f"<th scope=col>{name}</th>" for name in ("Time", "Fused", *_ROWS))
        return (
            "<details><summary>The same as a table</summary><div class=scroll><table>"
            f"<thead><tr>{heads}</tr></thead><tbody>{''.join(rows)}</tbody></table></div></details>"
        )


_ROWS = [name.capitalize() for name in MODALITY_NAMES.values()]

_FOOTER = (
    "How a person looks and sounds is not what a person feels: this is a statistical guess from "
    "voice, words and face, wrong often and not equally for everyone. Use it with consent, and "
    "for no decision about a person. Computed on this device; no sound or picture was kept."
)


def _answer(summary: Summary) -> str:
    emotion = summary.emotion
    if emotion is None:
        return (
            "<section class=answer><h1>No answer</h1>"
            "<p class=lead>Nobody was seen or heard.</p></section>"
        )
    rests = ", ".join(
        f"{MODALITY_NAMES[name]} {share:.0%}" for name, share in summary.evidence.items() if share
    )
    ended = " The run was interrupted." if summary.interrupted else ""
    moods = course(summary.course or ()) or UNCLEAR
    kind, size = ("", " class=course") if ", then " in moods else (moods, "")
    return (
        f'<section class="answer {kind}"><div><h1{size}>{moods}</h1>'
        f"<p class=lead>Over the whole: {emotion.label} {emotion.confidence:.0%}, "
        f"{_tone(emotion)} in tone ({emotion.valence:+.2f}). "
        f"Evidence was there this much of the time: {rests}.{ended}</p></div>"
        f"{_bars(emotion)}</section>"
    )


def _moments(summary: Summary) -> str:
    """List the moments that are not `unclear`."""
    items = [
        f'<li class="{segment.label}"><time>{clock(segment.begin_s)}</time>'
        f"<span><b>{segment.label}</b> {segment.confidence:.0%} for "
        f"{clock(segment.end_s - segment.begin_s)}</span>"
        f"<small>{escape(segment.why or '')}</small></li>"
        for segment in summary.course or ()
        if segment.label != UNCLEAR
    ]
    if not items:
        return ""
    return f'<section><h2>Moments</h2><ol class="words moments">{"".join(items)}</ol></section>'


def _tone(emotion: Emotion) -> str:
    if abs(emotion.valence) < 0.1:
        return "neither pleasant nor unpleasant"
    return "pleasant" if emotion.valence > 0 else "unpleasant"


def _bars(emotion: Emotion) -> str:
    rows = "".join(
        f'<li class="{name}"><span>{name}</span><i style="width:{100 * share:.1f}%"></i>'
        f"<b>{share:.0%}</b></li>"
        for name, share in emotion.probabilities.items()
    )
    return f"<ul class=bars>{rows}</ul>"


def _legend() -> str:
    items = "".join(f'<li class="{name}">{name}</li>' for name in EMOTIONS)
    return (
        f"<ul class=legend>{items}<li class=missing>unclear, or missing with its reason</li></ul>"
    )
