"""On-device emotion recognition from voice, words and face, fused, within a latency budget."""

import os

__version__ = "0.1.0"

# The Linux wheels of ONNX Runtime report to their maker since 1.29, unless this is set when they
# are loaded. Every package of this project imports this one first. Only an explicit 0 allows it.
if os.environ.get("ORT_DISABLE_TELEMETRY") != "0":
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
