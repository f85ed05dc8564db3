"""One colour per emotion, wherever emotions are drawn.

The hues differ in lightness too, so that they stay apart for colour-blind readers and on light
and dark grounds alike.
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
