"""Results pages, model cards and tables, generated from committed checkpoints."""
