"""Streaming speech recognition."""

from mera_edge.asr.recognizer import EndpointRules, Hypothesis, Recognizer, Word

__all__ = ["EndpointRules", "Hypothesis", "Recognizer", "Word"]
