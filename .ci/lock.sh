#!/usr/bin/env bash
# Writes requirements.lock anew: what a device installs, for every Python and processor, with hashes.
#
#   python -m pip install uv && .ci/lock.sh
set -euo pipefail
cd "$(dirname "$0")/.."
{
  echo "# Made by .ci/lock.sh of pyproject.toml and constraints.txt."
  echo "#   pip install --require-hashes -r requirements.lock && pip install --no-deps mera-edge"
  uv pip compile pyproject.toml --quiet --universal --python-version 3.10 --generate-hashes \
    --extra http --extra mqtt --extra zeroconf --constraint constraints.txt --no-annotate --no-header
} > requirements.lock.new
mv requirements.lock.new requirements.lock
