"""Your own frames and sound, here noise: any camera or microphone that gives arrays will do."""

import numpy as np

import mera_edge

RATE = 48_000
noise = np.random.default_rng(0)

with mera_edge.Stream(sample_rate=RATE) as stream:
    for tick in range(1, 11):  # five ticks a second
        samples = noise.normal(0, 0.01, RATE // 5).astype(np.float32)
        frame = noise.integers(0, 255, (240, 320, 3), np.uint8)
        event = stream.tick(tick * 0.2, audio=samples, frame=frame)
        print(event.media_time_s, {name: m.reason for name, m in event.modalities.items()})
print(stream.close().events, "events")
