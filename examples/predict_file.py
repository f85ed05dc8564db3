"""How do the people in a recording feel? `python predict_file.py talk.mp4`"""

import sys

import mera_edge

prediction = mera_edge.predict(sys.argv[1])
for event in prediction.events[::5]:
    if event.moment is not None:  # somebody was seen or heard
        print(f"{event.media_time_s:6.1f} s  {event.moment.label:10} {event.why}")
summary = prediction.summary
if summary.emotion is not None:
    print(f"{summary.emotion.label} ({summary.emotion.confidence:.0%}): {summary.transcript}")
