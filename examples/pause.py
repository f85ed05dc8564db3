"""Switch a room's camera off and on while it runs. `python pause.py 0`"""

import sys
import threading

import mera_edge

control, stop = mera_edge.Control(), threading.Event()
seen = set()


def switch(event: mera_edge.EmotionEvent) -> None:
    face = event.modalities["face"]
    seen.add(face.reason_code or face.state)
    control.set(event.room_id, camera=event.sequence > 3)  # off at first, then on again
    if event.sequence == 8:
        stop.set()


settings = mera_edge.Settings(camera=sys.argv[1], mic="none")
mera_edge.run_live(settings, on_event=switch, control=control, stop=stop)
print(*sorted(seen))
