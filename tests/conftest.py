"""What holds for every test."""

import os
import tempfile

from hypothesis import settings

import mera_edge  # noqa: F401  (keeps ONNX Runtime from reporting, before a test loads it)

# What somebody has pulled must not change what is tested.
os.environ["MERA_EDGE_MODELS"] = tempfile.mkdtemp(prefix="mera-edge-no-models-")

# A loaded machine is slow, and that is no fault of what is tested.
settings.register_profile("patient", deadline=None)
settings.load_profile("patient")
