"""The bundled sample clip: made by `make.py`, of nobody in particular, with no emotion meant."""

from pathlib import Path

CLIP = Path(__file__).parent / "sample.mp4"
