"""The machine: its load, its sensors."""
