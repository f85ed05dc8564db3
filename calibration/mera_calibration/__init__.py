"""Calibration sets, ranges, layer sensitivity and the gate."""
