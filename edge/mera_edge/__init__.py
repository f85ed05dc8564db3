"""On-device emotion recognition from voice, words and face, fused, within a latency budget."""

__version__ = "0.1.0"
