"""What holds for every test."""

from hypothesis import settings

import mera_edge  # noqa: F401  (keeps ONNX Runtime from reporting, before a test loads it)

# A loaded machine is slow, and that is no fault of what is tested.
settings.register_profile("patient", deadline=None)
settings.load_profile("patient")
