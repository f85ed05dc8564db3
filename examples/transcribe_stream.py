"""Speech recognition of sound as it comes, from a pipe of 16-bit samples.

`ffmpeg -i talk.mp4 -f s16le -ac 1 -ar 16000 - | python transcribe_stream.py`
"""

import sys

import numpy as np

import mera_edge

stream = mera_edge.SpeechStream()
while piece := sys.stdin.buffer.read(6400):  # 0.2 s
    samples = np.frombuffer(piece, np.int16) / np.float32(32768)
    for utterance in stream.accept(samples):
        print("final:  ", utterance.text)
    if partial := stream.partial().text:
        print("partial:", partial)
for utterance in stream.flush():
    print("final:  ", utterance.text)
