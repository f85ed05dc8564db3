"""The bundled sample clip: nobody's face and a machine's voice, happy, then sad, then angry.

`make.py` says how it was made, and of what.
"""

from pathlib import Path

CLIP = Path(__file__).parent / "sample.mp4"
