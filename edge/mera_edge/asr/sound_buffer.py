"""A buffer of the newest audio of a stream, accessed by stream time."""

from __future__ import annotations

from collections import deque

import numpy as np
from numpy.typing import NDArray

from mera_edge.features.audio import AudioBlock
from mera_edge.features.fbank import SAMPLE_RATE


class SoundBuffer:
    """Keeps the newest audio.

    Args:
        longest_s: its duration in seconds.
    """

    def __init__(self, longest_s: float) -> None:
        self._longest_s = longest_s
        self._blocks: deque[AudioBlock] = deque()

    def reset(self) -> None:
        """Empty the buffer."""
        self._blocks.clear()

    def accept(self, block: AudioBlock) -> None:
        """Append a block and drop the oldest ones."""
        self._blocks.append(block)
        while block.end_s - self._blocks[0].end_s > self._longest_s:
            self._blocks.popleft()

    @property
    def begin_s(self) -> float:
        """Stream time of the start of the buffered audio."""
        return _begin_s(self._blocks[0]) if self._blocks else 0.0

    @property
    def end_s(self) -> float:
        """Stream time of its end."""
        return self._blocks[-1].end_s if self._blocks else 0.0

    def between(self, begin_s: float, end_s: float) -> NDArray[np.float32]:
        """Return the samples between two stream times, as far as they are buffered."""
        parts = [np.zeros(0, np.float32)]
        for block in self._blocks:
            first, last = (
                max(0, round((at_s - _begin_s(block)) * SAMPLE_RATE)) for at_s in (begin_s, end_s)
            )
            parts.append(block.samples[first:last])
        return np.concatenate(parts)


def _begin_s(block: AudioBlock) -> float:
    return block.end_s - len(block.samples) / SAMPLE_RATE
