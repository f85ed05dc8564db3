"""``python -m mera_train ROLE``: what torchrun starts."""

from mera_train.cli import app

app()
