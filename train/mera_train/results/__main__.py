"""``python -m mera_train.results``: `mera-edge results pages`, as ``make results`` calls it."""

import sys

from mera_edge.cli.console import reported
from mera_train.results.cli import app

if __name__ == "__main__":
    with reported():
        app(["pages", *sys.argv[1:]])
