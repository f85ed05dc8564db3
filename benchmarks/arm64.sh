#!/usr/bin/env bash
# The same wheel on an emulated 64-bit Arm and here: does it give the same events?
#
#   sudo [BUNDLE=DIR] benchmarks/arm64.sh ROOT [PART...]
#
# Parts, all of them unless some are named: install (a Debian of half a gigabyte into ROOT, and the
# wheel), same (50 inputs per role and the sample beside this machine's answers, see
# benchmarks/portable.py; also of BUNDLE, FP32's of `mera-edge export --out DIR`), demo, doctor, and
# tests (all of tests/edge, a file at a time: what hangs the emulator costs one file).
# Needs debootstrap, a network and QEMU 8.1 or newer (Debian 12: qemu-user-static of backports).
# Emulated times mean nothing; a test that fails on time says so.
set -euo pipefail
here=$(cd "$(dirname "$0")/.." && pwd)
root=$(realpath -m "$1") bundle=${BUNDLE:-}
shift
[ $# -gt 0 ] || set -- install same demo doctor tests
own=$root.x86
# Another processor than this is emulated many times slower.
arm() {
  unshare --mount /bin/sh -ec \
    'root=$1; shift; mount -t proc proc "$root/proc"; mount -t sysfs sysfs "$root/sys"
     mount --rbind /dev "$root/dev"; exec chroot "$root" "$@"' sh "$root" \
    /usr/bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8 \
    QEMU_CPU=cortex-a76 PYTHONPATH=/opt/mera "$@"
}

install() {
  if [ ! -x "$root/usr/bin/python3" ]; then
    # The emulator has to be known before the first Arm program runs.
    mountpoint -q /proc/sys/fs/binfmt_misc || mount -t binfmt_misc none /proc/sys/fs/binfmt_misc
    [ -e /proc/sys/fs/binfmt_misc/qemu-aarch64 ] ||
      cat /usr/lib/binfmt.d/qemu-aarch64.conf > /proc/sys/fs/binfmt_misc/register
    debootstrap --arch=arm64 --variant=minbase --include=python3,libgomp1,mosquitto,openssl \
      bookworm "$root" >&2
    echo 127.0.0.1 localhost > "$root/etc/hosts"
  fi
  # An older emulator shows this machine's processor, at which ONNX Runtime crashes.
  arm grep -q 'CPU implementer' /proc/cpuinfo ||
    { echo "this QEMU is too old: install 8.1 or newer, from backports" >&2; exit 2; }
  local wheels
  wheels=$(mktemp -d)
  python3 -m venv "$own"
  "$own/bin/pip" install --quiet --constraint "$here/constraints.txt" "$here"
  "$own/bin/pip" wheel --quiet --no-deps --wheel-dir "$wheels" "$here"
  # Arm's own wheels, put there by this machine's pip, which need not be emulated.
  rm -rf "$root/opt/mera"
  "$own/bin/pip" install --quiet --constraint "$here/constraints.txt" --target "$root/opt/mera" \
    --only-binary :all: --python-version 3.11 --implementation cp \
    --platform manylinux_2_34_aarch64 --platform manylinux_2_31_aarch64 \
    --platform manylinux_2_28_aarch64 --platform manylinux_2_17_aarch64 --platform manylinux2014_aarch64 \
    "$(echo "$wheels"/mera_edge-*.whl)[http,mqtt,notice,sherpa,wyoming,zeroconf]" \
    pip pytest hypothesis jinja2 jiwer jsonschema onnx soundfile scipy tokenizers
  rm -r "$wheels"
}

same() {
  cp "$here/benchmarks/portable.py" "$root/tmp/"
  "$own/bin/python" "$here/benchmarks/portable.py" answer "$own/here.npz" ${1:+"$1"}
  [ $# = 0 ] || { rm -rf "$root/tmp/bundle" && cp -r "$1" "$root/tmp/bundle"; }
  arm python3 /tmp/portable.py answer "/tmp/arm${1:+-bundle}.npz" ${1:+/tmp/bundle}
  "$own/bin/python" "$here/benchmarks/portable.py" compare \
    "$own/here.npz" "$root/tmp/arm${1:+-bundle}.npz" || echo "not the same: exit code $?"
}

tests() {
  rm -rf "$root/tmp/checkout"
  mkdir "$root/tmp/checkout"
  git -C "$here" archive HEAD ':!train/checkpoints' | tar --extract --directory "$root/tmp/checkout"
  local file
  for file in $(cd "$here" && ls tests/edge/test_*.py); do
    echo "$file: $(arm timeout 900 /bin/sh -c "cd /tmp/checkout && python3 -m pytest -q -p no:cacheprovider \
      --tb=line $file" > "$own/tests.log" 2>&1 || true; tail -n 1 "$own/tests.log")"
    grep -E '^(FAILED|ERROR)' "$own/tests.log" || true
  done
}

for part; do
  echo "== $part"
  case $part in
    install | tests) "$part" ;;
    demo) arm python3 -m mera_edge demo | tail -n 5 ;;
    doctor) arm python3 -m mera_edge doctor || echo "doctor: exit code $?" ;;
    same) same && { [ -z "$bundle" ] || same "$bundle"; } ;;
    *) echo "$part is no part: install, same, demo, doctor, tests" >&2; exit 2 ;;
  esac
done
