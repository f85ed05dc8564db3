"""Tables of the speech detector and Silero VAD on speech and non-speech."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mera_edge.metrics.confusion import wilson
from mera_train.figures import markdown

_SPEECH = {
    "ravdess_speech": "RAVDESS actors 23 and 24",
    "speechocean762": "speechocean762 test",
    "emodb_4class": "EmoDB",
    "urdu": "Urdu",
}
_HEAD = (
    "recordings, %",
    "95 % interval",
    "Silero, recordings, %",
    "95 % interval",
    "time, %",
    "Silero, time, %",
    "Silero minus ours, points, 95 % interval",
)


def section(metrics: Mapping[str, Any]) -> str:
    """Return both tables from ``test`` in the metrics (`mera_train.vad.measure`)."""
    test = {name: row for name, row in metrics["test"].items() if "gain 0 dB" not in name}
    spoken = {name: row for name, row in test.items() if name.split(",")[0] in _SPEECH}
    other = {name: row for name, row in test.items() if name not in spoken}
    street = other.pop("noise, fold 10")
    return f"""\
## False alarms

*Recordings*: share in which any speech is detected. *Time*: share of the time in which it is
detected; the last column is the 95 % interval of Silero's minus ours, by bootstrap over recordings.

{_table("sound", {"UrbanSound8K fold 10, street noises": street, **_synthetic(other)})}
*Synthetic*: 6 s per sound from `mera_train.vad.sounds`, with seeds not used in training.

## Speech detected

50 recordings per corpus: clean, mixed with the noises above at an SNR of 10 and 0 dB, attenuated
by 40 dB, and amplified by 40 dB (clipped).

{_table("speech", {_named(name): row for name, row in spoken.items()})}
"""


def _synthetic(rows: Mapping[str, Any]) -> dict[str, Any]:
    return {f"synthetic {name.removeprefix('made ')}": row for name, row in rows.items()}


def _named(name: str) -> str:
    corpus, _, condition = name.partition(", ")
    return f"{_SPEECH[corpus]}, {condition}"


def _table(first: str, rows: Mapping[str, Any]) -> str:
    body = []
    for name, row in rows.items():
        cells = [name, str(row["n"])]
        for whose in ("ours", "silero"):
            share = row[whose]["recordings"]
            low, high = wilson(share * row["n"], row["n"])
            cells += [f"{100 * share:.1f}", f"{100 * low:.1f} to {100 * high:.1f}"]
        cells += [f"{100 * row[whose]['time']:.1f}" for whose in ("ours", "silero")]
        body.append([*cells, " to ".join(f"{100 * edge:.1f}" for edge in row["lost_95"])])
    return markdown([first, "n", *_HEAD], body)
