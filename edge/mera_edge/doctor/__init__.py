"""Checks before a run: what is installed, what the machine offers, what a run sends and writes."""
