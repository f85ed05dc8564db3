"""A summary in words that a person understands."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

    from mera_edge.events import Emotion, Summary

_NAMES = {"voice": "the voice", "face": "the face", "text": "the words"}


def print_answer(summary: Summary, console: Console) -> None:
    """Print the answer, what it rests on, the transcript and what it cost."""
    if summary.file:
        console.print(summary.file, style="dim", highlight=False, markup=False)
    for name, emotion in (summary.rooms or {}).items():
        console.print(f"  {name}: {sentence(emotion)}", highlight=False, markup=False)
    if not summary.rooms:
        console.print(f"  [bold]{sentence(summary.emotion)}[/]", highlight=False)
    rests = [f"{_NAMES[name]} {share:.0%}" for name, share in summary.evidence.items() if share]
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


def sentence(emotion: Emotion | None) -> str:
    """Say the answer in one sentence, without more certainty than it has."""
    if emotion is None:
        return "Nobody was seen or heard, so there is no answer."
    second = sorted(emotion.probabilities.items(), key=lambda item: -item[1])[1]
    tone = (
        "pleasant" if emotion.valence > 0.1 else "unpleasant" if emotion.valence < -0.1 else "even"
    )
    return (
        f"Most likely {emotion.label} ({emotion.confidence:.0%}), "
        f"then {second[0]} ({second[1]:.0%}); the tone is {tone} ({emotion.valence:+.2f})."
    )
