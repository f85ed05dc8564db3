"""Prints a summary for people."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from mera_edge.labels import MODALITY_NAMES
from mera_edge.wording import course

if TYPE_CHECKING:
    from rich.console import Console

    from mera_edge.events import Emotion, Segment, Summary


def print_answer(summary: Summary, console: Console) -> None:
    """Print the answer, its evidence, the transcript and the cost."""
    if summary.file:
        console.print(summary.file, style="dim", highlight=False, markup=False)
    segments = summary.course or ()
    for name, emotion in (summary.rooms or {}).items():
        words = sentence(emotion, [segment for segment in segments if segment.room == name])
        console.print(f"  {name}: {words}", highlight=False, markup=False)
    if not summary.rooms:
        console.print(f"  [bold]{sentence(summary.emotion, segments)}[/]", highlight=False)
    rests = [
        f"the {MODALITY_NAMES[name]} {share:.0%}"
        for name, share in summary.evidence.items()
        if share
    ]
    if rests:
        console.print(f"  evidence, of the time: {', '.join(rests)}", highlight=False)
    if summary.transcript:
        console.print(f"  words: “{summary.transcript}”", highlight=False, markup=False)
    console.print(
        f"  {summary.events} answers over {summary.duration_s:.1f} s, "
        f"real-time factor {summary.real_time_factor:.2f}, "
        f"compute p95 {summary.compute_ms['p95']:.0f} ms"
        + (" (interrupted)" if summary.interrupted else ""),
        style="dim",
        highlight=False,
    )


def sentence(emotion: Emotion | None, segments: Sequence[Segment]) -> str:
    """Return the answer in one sentence that does not overstate its confidence.

    Args:
        emotion: the mean answer.
        segments: the course of the same room.
    """
    if emotion is None:
        return "Nobody was seen or heard, so there is no answer."
    tone = (
        "pleasant" if emotion.valence > 0.1 else "unpleasant" if emotion.valence < -0.1 else "even"
    )
    tone = f"the tone is {tone} ({emotion.valence:+.2f})."
    moods = course(segments)
    if moods is not None and ", then " in moods:
        return f"{moods[0].upper()}{moods[1:]}; {tone}"
    second = sorted(emotion.probabilities.items(), key=lambda item: -item[1])[1]
    most = "Most likely" if moods else "Unclear: at no time sure enough; most likely"
    return (
        f"{most} {emotion.label} ({emotion.confidence:.0%}), "
        f"then {second[0]} ({second[1]:.0%}); {tone}"
    )
