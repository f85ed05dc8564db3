"""Results pages, cards and tables that follow from committed checkpoints."""
