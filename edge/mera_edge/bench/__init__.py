"""Benchmarks of the pipeline: cost, latency and staleness."""
