"""The bundled sample clip: a rendered face and a synthetic voice, happy, then sad, then angry.

`make.py` describes how it was made.
"""

from pathlib import Path

CLIP = Path(__file__).parent / "sample.mp4"
