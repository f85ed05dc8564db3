"""A sink of your own: whoever looks unhappy for a while. `python own_sink.py talk.mp4`"""

import sys

import mera_edge


class Unhappy:
    """Keeps the moments of negative emotions."""

    def __init__(self) -> None:
        self.seconds = dict.fromkeys(("sad", "angry", "fear", "disgust"), 0.0)

    def publish(self, event: mera_edge.EmotionEvent) -> None:
        """Take one event."""
        if event.moment and event.moment.label in self.seconds:
            self.seconds[event.moment.label] += 0.2

    def close(self, summary: mera_edge.Summary) -> None:
        """Take the summary; the run has ended."""
        for label, seconds in self.seconds.items():
            print(f"{label}: {seconds:.1f} of {summary.duration_s:.1f} s")


mera_edge.Predictor().predict(sys.argv[1], sinks=[Unhappy()], keep_events=False)
