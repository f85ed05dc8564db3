"""The pipeline: one tick, one loop, one clock."""
