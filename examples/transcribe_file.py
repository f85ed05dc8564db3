"""Speech recognition alone, with the time of every word. `python transcribe_file.py talk.wav`"""

import sys

import mera_edge

transcript = mera_edge.transcribe(sys.argv[1])
for utterance in transcript.utterances:
    for word in utterance.words:
        print(f"{word.start_s:6.2f} {word.end_s:6.2f}  {word.text} ({word.confidence:.0%})")
print(transcript.text)
