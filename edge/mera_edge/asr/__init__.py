"""Streaming speech recognition."""

from mera_edge.asr.factory import open_recognizer
from mera_edge.asr.protocol import Hypothesis, SpeechRecognizer, Word, finalized
from mera_edge.asr.recognizer import Recognizer

__all__ = ["Hypothesis", "Recognizer", "SpeechRecognizer", "Word", "finalized", "open_recognizer"]
