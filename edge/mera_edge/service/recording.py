"""A run's evidence in a file, and the same events from it: no sound, no picture, but the words."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from mera_edge.bundle import Bundle
from mera_edge.errors import InputError
from mera_edge.events import SourceStatus, Summary, Transcript
from mera_edge.evidence import Evidence
from mera_edge.pipeline.event_builder import EventBuilder, Observation, TickCost
from mera_edge.pipeline.pipeline import TickResult
from mera_edge.pipeline.stage_runner import Stages, StageTimes
from mera_edge.pipeline.stamp import Recorded
from mera_edge.reasons import Reason
from mera_edge.service.run_summary import SummaryBuilder
from mera_edge.sinks import Sink
from mera_edge.sinks.lines import Lines

SCHEMA: Final = "mera-edge/evidence/1"


class EvidenceRecorder:
    """An observer that writes what every event follows from, a line a tick.

    Embeddings and probabilities are kept to the bit. A tick takes 1 to 3 kB.

    Args:
        path: the file, which is replaced.
        bundle: the models of the run.

    Raises:
        InputError: the file cannot be written.
    """

    def __init__(self, path: Path, bundle: Bundle) -> None:
        self._lines = Lines(str(path), append=False)
        self._lines.write(json.dumps({"schema": SCHEMA, "fusion": _fusion(bundle)}))

    def publish(self, result: TickResult) -> None:
        """Write a tick."""
        cost, stamp = asdict(result.cost), Recorded.of(result.event)
        tick = {**_written(result.observation), "cost": cost, "stamp": stamp}
        self._lines.write(json.dumps(tick, ensure_ascii=False))

    def close(self, summary: Summary) -> None:
        """Write what of the summary the events do not tell, and close the file."""
        kept = {"file", "duration_s", "real_time_factor", "interrupted"}
        self._lines.write(json.dumps({"end": summary.model_dump(include=kept)}))
        self._lines.close()


def replay(path: Path, bundle: Bundle, sinks: Sequence[Sink]) -> Summary:
    """Give the events of a recorded run again, bit for bit, and its summary.

    A recording that was cut off is replayed as far as it goes; its summary is `interrupted`, and
    its real-time factor counts no decoding.

    Raises:
        InputError: the file is no recording, or one of another fusion model than the bundle's.
    """
    builder, totals = EventBuilder(Stages(bundle, StageTimes())), SummaryBuilder()
    end: dict[str, Any] = {"file": None, "interrupted": True}
    now_s = 0.0
    for number, line in _lines(path, bundle):
        try:
            if "end" in line:
                end = line["end"]
                continue
            observation, cost = _observation(line), TickCost(**line["cost"])
            stamp = Recorded.model_validate(line.get("stamp", {}))
            builder.fuse(observation)
            event = stamp.put(builder.event(observation, cost))
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(
                f"{path}, line {number}: not a valid tick ({error!r})", _REMEDY
            ) from error
        now_s = observation.now_s
        totals.add(event, now_s, cost.compute_ms / 1000)
        for sink in sinks:
            sink.publish(event)
    summary = totals.summary(builder.transcript, now_s).model_copy(update=end)
    for sink in sinks:
        sink.close(summary)
    return summary


_REMEDY = "give a file recorded with --record"


def _fusion(bundle: Bundle) -> str:
    return bundle.role("fusion").entry.files["model"].sha256


def _lines(path: Path, bundle: Bundle) -> Iterator[tuple[int, dict[str, Any]]]:
    """Check the first line and read the others, without a last one that was cut off."""
    number = 0
    try:
        with path.open(encoding="utf-8") as file:
            for number, text in enumerate(file, start=1):
                try:
                    line = json.loads(text)
                except json.JSONDecodeError as error:
                    if number > 1 and not text.endswith("\n"):
                        return
                    raise InputError(f"{path}, line {number} is not JSON", _REMEDY) from error
                if number > 1:
                    yield number, line
                elif not isinstance(line, dict) or line.get("schema") != SCHEMA:
                    raise InputError(f"{path} is not a recording of schema {SCHEMA}", _REMEDY)
                elif line.get("fusion") != _fusion(bundle):
                    raise InputError(
                        f"{path} was recorded with another fusion model than "
                        f"{bundle.manifest.name}'s",
                        "use the bundle it was recorded with (--bundle)",
                    )
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path} cannot be read ({error})", _REMEDY) from error
    if number == 0:
        raise InputError(f"{path} is empty", _REMEDY)


def _written(observation: Observation) -> dict[str, Any]:
    return {
        "now_s": observation.now_s,
        "evidence": [
            {
                "modality": piece.modality,
                "captured_s": piece.captured_s,
                "probabilities": _packed(piece.probabilities),
                "valence": piece.valence,
                "embedding": _packed(piece.embedding),
                "person": piece.person,
            }
            for piece in observation.evidence
        ],
        "missing": observation.missing,
        "transcript": observation.transcript.model_dump(),
        "ended": observation.ended,
        "skipped": observation.skipped,
        "is_media": observation.is_media,
        "sources": {
            name: status.model_dump() for name, status in (observation.sources or {}).items()
        },
        "failures": observation.failures,
        "cautions": observation.cautions,
    }


def _observation(line: dict[str, Any]) -> Observation:
    return Observation(
        now_s=line["now_s"],
        evidence=tuple(
            Evidence(
                **{
                    **piece,
                    "probabilities": _unpacked(piece["probabilities"]),
                    "embedding": _unpacked(piece["embedding"]),
                }
            )
            for piece in line["evidence"]
        ),
        missing={
            name: Reason(None, why) if isinstance(why, str) else Reason(*why)
            for name, why in line["missing"].items()
        },
        transcript=Transcript(**line["transcript"]),
        ended=line["ended"],
        skipped=tuple(line["skipped"]),
        is_media=line["is_media"],
        sources={name: SourceStatus(**status) for name, status in line["sources"].items()} or None,
        failures=line.get("failures", {}),
        cautions={name: Reason(*why) for name, why in line.get("cautions", {}).items()},
    )


def _packed(values: NDArray[np.float32]) -> str:
    """Return float32 values, least significant byte first, in base64."""
    return base64.b64encode(values.astype("<f4").tobytes()).decode()


def _unpacked(text: str) -> NDArray[np.float32]:
    return np.frombuffer(base64.b64decode(text), "<f4").astype(np.float32)
