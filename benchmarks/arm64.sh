#!/usr/bin/env bash
# The same wheel on an emulated 64-bit Arm and here: does it give the same events?
#
#   sudo benchmarks/arm64.sh ROOT [BUNDLE]
#
# BUNDLE is compared beside the package's own: FP32's of `mera-edge export --out BUNDLE`.
# Needs Debian's qemu-user-static and debootstrap, and a network. ROOT gets a Debian of half a
# gigabyte and is used again. In it: the demo, `doctor`, 50 inputs per role and the sample beside
# this machine's answers (benchmarks/portable.py), and the tests of tests/edge that need no training
# code. Emulated times mean nothing and are not shown.
set -euo pipefail
here=$(cd "$(dirname "$0")/.." && pwd)
root=$1 bundle=${2:-}

if [ ! -x "$root/usr/bin/python3" ]; then
  # The emulator has to be known before the first Arm program runs.
  mountpoint -q /proc/sys/fs/binfmt_misc || mount -t binfmt_misc none /proc/sys/fs/binfmt_misc
  [ -e /proc/sys/fs/binfmt_misc/qemu-aarch64 ] ||
    cat /usr/lib/binfmt.d/qemu-aarch64.conf > /proc/sys/fs/binfmt_misc/register
  debootstrap --arch=arm64 --variant=minbase --include=python3,libgomp1 bookworm "$root" >&2
fi

build=$(mktemp -d)
trap 'rm -rf "$build"' EXIT
python3 -m venv "$build/venv"
"$build/venv/bin/pip" install --quiet --constraint "$here/constraints.txt" "$here"
"$build/venv/bin/pip" wheel --quiet --no-deps --wheel-dir "$build" "$here"
# Arm's own wheels, put there by this machine's pip, which need not be emulated.
rm -rf "$root/opt/mera"
"$build/venv/bin/pip" install --quiet --constraint "$here/constraints.txt" --target "$root/opt/mera" \
  --only-binary :all: --python-version 3.11 --implementation cp \
  --platform manylinux_2_34_aarch64 --platform manylinux_2_31_aarch64 --platform manylinux_2_28_aarch64 \
  --platform manylinux_2_17_aarch64 --platform manylinux2014_aarch64 \
  "$build"/mera_edge-*.whl pytest hypothesis jsonschema onnx soundfile scipy
# Another processor than this is emulated many times slower.
arm() { QEMU_CPU=cortex-a76 PYTHONPATH=/opt/mera chroot "$root" "$@"; }

echo "== demo, on $(arm uname -m)"
arm python3 -m mera_edge demo | tail -n 5
echo "== doctor"
arm python3 -m mera_edge doctor || echo "doctor: exit code $?"
echo "== the same answers"
cp "$here/benchmarks/portable.py" "$root/tmp/"
same() {
  "$build/venv/bin/python" "$here/benchmarks/portable.py" answer "$build/here.npz" ${1:+"$1"}
  [ $# = 0 ] || { rm -rf "$root/tmp/bundle" && cp -r "$1" "$root/tmp/bundle"; }
  arm python3 /tmp/portable.py answer /tmp/arm.npz ${1:+/tmp/bundle}
  "$build/venv/bin/python" "$here/benchmarks/portable.py" compare \
    "$build/here.npz" "$root/tmp/arm.npz" || echo "not the same: exit code $?"
}
same
[ -z "$bundle" ] || same "$bundle"
echo "== tests/edge"
rm -rf "$root/tmp/checkout"
mkdir "$root/tmp/checkout"
cp -r "$here/tests" "$here/benchmarks" "$here/docs" "$here/pyproject.toml" "$root/tmp/checkout/"
# What imports the training code is not for a device; what waits for something would wait in vain.
others='mera_(train|export|calibration)|sherpa_onnx|tokenizers|jiwer'
waits='monotonic\(|perf_counter|process_time|timeout=|Popen|import threading'
left_out=$(cd "$here" && grep -lE "$others|$waits" -r tests/edge | sed 's|^|--ignore=|')
echo "left out:" ${left_out//--ignore=}
arm /bin/sh -c "cd /tmp/checkout && python3 -m pytest -q tests/edge $(echo $left_out)" ||
  echo "tests: exit code $?"
