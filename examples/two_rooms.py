"""Two cameras, two rooms, one set of models. `python two_rooms.py 0 rtsp://hall/1`"""

import sys

import mera_edge

hall, study = sys.argv[1:]
settings = mera_edge.Settings(
    room=[
        mera_edge.RoomSettings(name="hall", camera=hall),
        mera_edge.RoomSettings(name="study", camera=study),
    ]
)
newest = {}


def remember(event: mera_edge.EmotionEvent) -> None:
    newest[event.room] = event.moment.label if event.moment else "nobody"


mera_edge.run_live(settings, on_event=remember)
print(newest)
