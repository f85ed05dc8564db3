"""Data, features and training, in full precision."""

import mera_edge  # noqa: F401  (keeps ONNX Runtime from reporting to its maker)
