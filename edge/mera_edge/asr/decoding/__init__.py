"""Decoding: from a recognizer's probabilities to words."""
