"""From a checkpoint to a bundle that a device runs."""

import mera_edge  # noqa: F401  (keeps ONNX Runtime from reporting to its maker)
