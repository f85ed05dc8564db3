"""Calibration sets, ranges, layer sensitivity and the gate."""

import mera_edge  # noqa: F401  (keeps ONNX Runtime from reporting to its maker)
