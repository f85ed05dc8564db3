"""Streaming speech recognition."""

from mera_edge.asr.choose import SpeechRecognizer, choose
from mera_edge.asr.recognizer import Hypothesis, Recognizer, Word

__all__ = ["Hypothesis", "Recognizer", "SpeechRecognizer", "Word", "choose"]
