"""Streaming speech recognition: corpora, a causal conformer with CTC, its training."""
