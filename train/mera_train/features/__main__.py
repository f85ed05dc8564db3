"""`torchrun … -m mera_train.features DATASET --out FILE`: distributed feature extraction."""

from mera_edge.cli.console import reported
from mera_train.features.cli import app

if __name__ == "__main__":
    with reported():
        app()
