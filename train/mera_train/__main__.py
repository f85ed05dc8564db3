"""``python -m mera_train ROLE``: what torchrun starts."""

from mera_edge.cli.console import reported
from mera_train.cli import app

if __name__ == "__main__":
    with reported():
        app()
