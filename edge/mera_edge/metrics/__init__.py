"""Metrics of classification and of speech recognition."""
