"""Streaming speech recognition: corpora, networks with CTC, their training."""
