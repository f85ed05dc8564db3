"""A report of a file, and the same events again from its recording, which holds no sound or video.

`python report_and_replay.py talk.mp4 report.html evidence.jsonl`
"""

import sys
from pathlib import Path

import mera_edge
from mera_edge.service.recording import EvidenceRecorder, replay
from mera_edge.sinks.html import HtmlReport

clip, report, recording = map(Path, sys.argv[1:])
predictor = mera_edge.Predictor()
recorder = EvidenceRecorder(recording, predictor.bundle)
first = predictor.predict(clip, observers=[recorder])
again = replay(recording, predictor.bundle, [HtmlReport(report)])
print(again.emotion == first.summary.emotion, report)
