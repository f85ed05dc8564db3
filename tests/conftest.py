"""What holds for every test."""

import os
import tempfile

import numpy as np
import pytest
from hypothesis import settings
from numpy.typing import NDArray

import mera_edge  # noqa: F401  (keeps ONNX Runtime from reporting, before a test loads it)
from mera_edge.sample import CLIP
from mera_edge.sources.media import MediaFile

# What somebody has pulled must not change what is tested.
os.environ["MERA_EDGE_MODELS"] = tempfile.mkdtemp(prefix="mera-edge-no-models-")

# A loaded machine is slow, and that is no fault of what is tested.
settings.register_profile("patient", deadline=None)
settings.load_profile("patient")


@pytest.fixture(scope="session")
def spoken() -> NDArray[np.float32]:
    """A second of speech, of the sample clip."""
    source = MediaFile(CLIP)
    source.open()
    sound = np.concatenate([piece.samples for piece in source.poll(1.8).audio])[9600:25600]
    source.close()
    return sound
