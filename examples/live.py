"""A camera and a microphone, until Ctrl-C. `python live.py 0 default`; a file works as a camera."""

import sys

import mera_edge


def show(event: mera_edge.EmotionEvent) -> None:
    if event.moment is None:
        print(f"{event.at}  nobody was seen or heard")
    else:
        print(f"{event.at}  {event.moment.label} ({event.moment.confidence:.0%}), {event.why}")


camera, mic = sys.argv[1:]
summary = mera_edge.run_live(mera_edge.Settings(camera=camera, mic=mic), on_event=show)
print(f"{summary.events} events in {summary.duration_s:.1f} s")
