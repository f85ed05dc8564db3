"""The colours of the emotions.

They differ in lightness as well as hue, so that colour-blind readers can distinguish them, on light
and dark backgrounds.
"""

from __future__ import annotations

COLOURS = {
    "neutral": "#8b95a5",
    "happy": "#f0b429",
    "sad": "#2f7fc1",
    "angry": "#d64933",
    "fear": "#7b5ad0",
    "disgust": "#3f9b61",
    "surprise": "#e58ac0",
}
