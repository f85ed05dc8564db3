#!/usr/bin/env bash
# What a release is made of, in dist/: the wheel (built twice, compared), the source distribution, the
# bill of materials, a wheelhouse that installs without a network, and their checksums.
#
#   python -m venv .venv && .venv/bin/pip install '.[release]' && PATH=.venv/bin:$PATH .ci/release.sh
#
# Then the wheel is installed from the wheelhouse alone, and its demo run.
set -euo pipefail
cd "$(dirname "$0")/.."
largest=$((35 * 1000 * 1000))
rm -rf dist
python -m build --outdir dist . > /dev/null
wheel=$(ls dist/*.whl)
again=$(mktemp -d)
trap 'rm -rf "$again"' EXIT
(umask 077 && python -m build --wheel --outdir "$again" . > /dev/null)
cmp "$wheel" "$again"/*.whl
echo "reproducible: two builds are equal"
size=$(stat --format %s "$wheel")
echo "wheel: $size bytes, at most $largest"
[ "$size" -le "$largest" ]

python .ci/sbom.py "$wheel" > dist/sbom.cdx.json
python -m pip download --quiet --require-hashes --only-binary :all: --dest dist/wheelhouse \
  --requirement requirements.lock
cp "$wheel" dist/wheelhouse/
(cd dist && sha256sum ./*.whl ./*.tar.gz sbom.cdx.json > SHA256SUMS)

python -m venv "$again/venv"
"$again/venv/bin/pip" install --quiet --no-index --find-links dist/wheelhouse mera-edge
# Another home, and no way out of this machine where `unshare` may.
offline=()
unshare --net true 2> /dev/null && offline=(unshare --net)
HOME=$again "${offline[@]}" "$again/venv/bin/mera-edge" demo > "$again/demo"
tail -n 3 "$again/demo"
echo "the wheelhouse installs offline, and the demo runs"
