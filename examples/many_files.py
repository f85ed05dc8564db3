"""Many files with models loaded once, as a table. `python many_files.py *.mp4 > table.csv`"""

import csv
import sys

import mera_edge

predictor = mera_edge.Predictor()
table = csv.writer(sys.stdout)
table.writerow(["file", *mera_edge.EMOTIONS, "valence", "transcript"])
for file in sys.argv[1:]:
    try:
        summary = predictor.predict(file, keep_events=False).summary
    except mera_edge.MeraError as error:
        print(error, file=sys.stderr)  # what is wrong, and what to do
        continue
    if summary.emotion is not None:
        shares = summary.emotion.probabilities.values()
        table.writerow([file, *shares, summary.emotion.valence, summary.transcript])
