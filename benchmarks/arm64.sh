#!/usr/bin/env bash
# The same wheel on an emulated 64-bit Arm and here: does it give the same events?
#
#   sudo benchmarks/arm64.sh ROOT [BUNDLE...]
#
# Needs Debian's qemu-user-static and debootstrap, and a network. ROOT gets a Debian of half a
# gigabyte and is used again. Prints, for every bundle, how far the probabilities of the events are
# apart. Emulated times mean nothing and are not shown.
set -euo pipefail
here=$(cd "$(dirname "$0")/.." && pwd)
root=$1
shift
bundles=("${@:-$here/edge/mera_edge/bundle/default}")

if [ ! -x "$root/usr/bin/python3" ]; then
  # The emulator has to be known before the first Arm program runs.
  mountpoint -q /proc/sys/fs/binfmt_misc || mount -t binfmt_misc none /proc/sys/fs/binfmt_misc
  [ -e /proc/sys/fs/binfmt_misc/qemu-aarch64 ] ||
    cat /usr/lib/binfmt.d/qemu-aarch64.conf > /proc/sys/fs/binfmt_misc/register
  debootstrap --arch=arm64 --variant=minbase \
    --include=python3,python3-venv,libgomp1,ca-certificates bookworm "$root" >&2
fi
cp /etc/resolv.conf "$root/etc/resolv.conf"
# It trusts whom this machine trusts: a proxy may stand between it and the package index.
trusted=/etc/ssl/certs/ca-certificates.crt
cp "$trusted" "$root$trusted"
# Another processor than this is emulated many times slower.
arm() { QEMU_CPU=cortex-a76 PIP_CERT=$trusted chroot "$root" "$@"; }

build=$(mktemp -d)
trap 'rm -rf "$build"' EXIT
python3 -m venv "$build/venv"
"$build/venv/bin/pip" install --quiet --constraint "$here/constraints.txt" "$here"
"$build/venv/bin/pip" wheel --quiet --no-deps --wheel-dir "$build" "$here"
cp "$build"/mera_edge-*.whl "$here/constraints.txt" "$root/tmp/"
arm python3 -m venv /opt/mera
arm /opt/mera/bin/pip install --quiet --constraint /tmp/constraints.txt --force-reinstall \
  /tmp/"$(basename "$build"/mera_edge-*.whl)"

cp "$here/edge/mera_edge/sample/sample.mp4" "$root/tmp/"
for bundle in "${bundles[@]}"; do
  rm -rf "$root/tmp/bundle"
  cp -r "$bundle" "$root/tmp/bundle"
  "$build/venv/bin/mera-edge" predict --json --bundle "$bundle" \
    "$here/edge/mera_edge/sample/sample.mp4" > "$build/here.jsonl"
  arm /opt/mera/bin/mera-edge predict --json --bundle /tmp/bundle /tmp/sample.mp4 \
    > "$build/arm.jsonl"
  echo -n "$bundle: "
  "$build/venv/bin/python" - "$build/here.jsonl" "$build/arm.jsonl" <<'PYTHON'
import json, sys

one, other = ([json.loads(line) for line in open(path)] for path in sys.argv[1:])
assert len(one) == len(other), f"{len(one)} events here, {len(other)} there"
apart, labels = [], []
for here, there in zip(one, other):
    if here.get("emotion") and there.get("emotion"):
        pairs = zip(here["emotion"]["probabilities"].values(),
                    there["emotion"]["probabilities"].values())
        apart.append(max(abs(a - b) for a, b in pairs))
        labels.append(here["emotion"]["label"] == there["emotion"]["label"])
same = one[-1]["transcript"] == other[-1]["transcript"]
print(f"{len(one)} lines; probabilities apart by at most {max(apart):.4f}; "
      f"{sum(labels)} of {len(labels)} labels equal; transcripts {'equal' if same else 'differ'}")
PYTHON
done
