"""Diagnostics: installation, devices, environment, and what a run sends and writes."""
