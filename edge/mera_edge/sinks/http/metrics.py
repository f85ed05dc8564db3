"""Prometheus metrics, by its conventions: base units, `_total`, labels of low cardinality."""

from __future__ import annotations

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    Info,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)

from mera_edge.events import EmotionEvent

disable_created_metrics()  # type: ignore[no-untyped-call]

_SECONDS = (0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.2, 0.5, 1.0)


class Metrics:
    """Metrics of events. Rooms appear by id only, and people not at all."""

    def __init__(self) -> None:
        registry = self._registry = CollectorRegistry()

        def gauge(name: str, what: str, *labels: str) -> Gauge:
            return Gauge(f"mera_edge_{name}", what, ("room", *labels), registry=registry)

        def counter(name: str, what: str, *labels: str) -> Counter:
            return Counter(f"mera_edge_{name}", what, ("room", *labels), registry=registry)

        self._build = Info("mera_edge_build", "Version and bundle.", registry=registry)
        self._ticks = counter("ticks", "Answers given.")
        self._late = counter("late_ticks", "Answers that took longer than their budget.")
        self._skipped = counter("skipped", "Stages skipped to stay within the budget.", "stage")
        self._duration = Histogram(
            "mera_edge_tick_duration_seconds",
            "Time that an answer took to compute.",
            ("room",),
            buckets=_SECONDS,
            registry=registry,
        )
        self._staleness = gauge("staleness_seconds", "Age of the newest evidence.")
        self._emotion = gauge("emotion_ratio", "Probability of an emotion.", "emotion")
        self._valence = gauge("valence", "From unpleasant (-1) to pleasant (1).")
        self._used = gauge("modality_used", "Whether a modality is in the answer.", "modality")
        self._up = gauge("source_up", "Whether a camera or microphone is live.", "source")
        self._off = gauge("source_off", "Whether it is switched off.", "source")
        ProcessCollector(registry=registry)

    def publish(self, event: EmotionEvent) -> None:
        """Count an event."""
        room, latency = event.room_id or "", event.latency
        if event.about is not None:
            self._build.info(event.about.model_dump())
        self._ticks.labels(room).inc()
        self._late.labels(room).inc(latency.late)
        for stage in latency.skipped:
            self._skipped.labels(room, stage).inc()
        self._duration.labels(room).observe(latency.compute_ms / 1000)
        for name, modality in event.modalities.items():
            self._used.labels(room, name).set(modality.state == "used")
        for id, source in (event.sources or {}).items():
            self._up.labels(room, id).set(source.state == "live")
            self._off.labels(room, id).set(source.state == "off")
        if latency.staleness_ms is not None:
            self._staleness.labels(room).set(latency.staleness_ms / 1000)
        else:
            self._staleness.remove(room)
        if event.emotion is not None:
            self._valence.labels(room).set(event.emotion.valence)
            for emotion, share in event.emotion.probabilities.items():
                self._emotion.labels(room, emotion).set(share)
        else:  # the last value would look current
            self._valence.remove(room)
            self._emotion.remove_by_labels({"room": room})

    def text(self) -> bytes:
        """Return the metrics in the text exposition format."""
        return generate_latest(self._registry)
