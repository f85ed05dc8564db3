#!/usr/bin/env bash
# The device's packages in their newest versions: does it still run, and does still nothing leave? With the pinned
# ones: does an own model of every role still take four commands and less than 15 minutes? Then links.sh.
#
#   .ci/nightly.sh [PYTHON]
#
# Needs strace. The pinned set of constraints.txt is only resolved, with every Python, from PyPI alone: where a
# wheel of torch lies on the machine, a conflict with its CUDA build does not show.
set -euo pipefail
cd "$(dirname "$0")/.."
python=${1:-python3}
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
"$python" -m venv "$scratch/venv"
"$scratch/venv/bin/pip" install --quiet --upgrade --upgrade-strategy eager \
  '.[http,mqtt,notice,sherpa,wyoming,zeroconf]' pytest hypothesis jinja2 jsonschema onnx pyyaml \
  soundfile scipy
"$scratch/venv/bin/pip" list --format freeze
"$python" -m venv "$scratch/uv" && "$scratch/uv/bin/pip" install --quiet uv
for version in 3.10 3.11 3.12 3.13; do
  "$scratch/uv/bin/uv" pip compile pyproject.toml --quiet --extra dev --constraint constraints.txt \
    --python-version "$version" --python-platform x86_64-manylinux_2_39 > "$scratch/resolved"
  echo "pinned set, Python $version: $(grep -c == "$scratch/resolved") packages"
done
"$scratch/venv/bin/mera-edge" demo
"$scratch/venv/bin/mera-edge" doctor --egress
# What imports the training code is tested with the pinned set only.
mapfile -t trained < <(grep -rlE 'mera_(train|export|calibration)|tokenizers|jiwer' tests/edge)
"$scratch/venv/bin/python" -m pytest -q -p no:cacheprovider tests/edge "${trained[@]/#/--ignore=}"
# Silero VAD itself would install torchaudio. One thread, as on the results page.
"$python" -m venv "$scratch/train"
"$scratch/train/bin/pip" install --quiet --constraint constraints.txt --editable '.[export]'
"$scratch/train/bin/pip" install --quiet --no-deps silero-vad==6.2.3
OMP_NUM_THREADS=1 "$scratch/train/bin/python" benchmarks/four_commands.py "$scratch/own"
OMP_NUM_THREADS=1 "$scratch/train/bin/python" benchmarks/four_commands.py "$scratch/own2" vad fusion
.ci/links.sh
