"""What holds for every test."""

import math
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
def talk() -> NDArray[np.float32]:
    """All sound of the sample clip, at 16 kHz."""
    source = MediaFile(CLIP, video=False)
    source.open()
    samples = np.concatenate([piece.samples for piece in source.poll(math.inf).audio])
    source.close()
    return samples


@pytest.fixture(scope="session")
def spoken(talk: NDArray[np.float32]) -> NDArray[np.float32]:
    """A second of speech, of the sample clip."""
    return talk[9600:25600]
