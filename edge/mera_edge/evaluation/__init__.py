"""Models against labelled examples."""
