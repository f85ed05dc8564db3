#!/usr/bin/env bash
# The README's first two commands, to the letter, on a system that has nothing else; then the wheel alone:
# installed without a network, used by another user whose home is read-only.
#
#   sudo benchmarks/fresh_root.sh SUITE ROOT [MIRROR [CACHE]]
#
# SUITE is bookworm, trixie, jammy or noble; for Ubuntu's give MIRROR. CACHE keeps downloaded packages.
# Needs debootstrap and a network.
set -euo pipefail
here=$(cd "$(dirname "$0")/.." && pwd)
suite=$1 root=$2 mirror=${3:-http://deb.debian.org/debian} cache=${4:-}
# An older debootstrap does not know the newest Ubuntu, whose steps are those of the one before.
script=/usr/share/debootstrap/scripts/$suite
[ -e "$script" ] || script=/usr/share/debootstrap/scripts/jammy
components=main
case $mirror in *ubuntu*) components=main,universe ;; esac
debootstrap --variant=minbase --components=$components ${cache:+--cache-dir="$cache"} \
  "$suite" "$root" "$mirror" "$script" >&2
cp /etc/resolv.conf "$root/etc/resolv.conf"
# It trusts whom this machine trusts: a proxy may stand between it and the package index.
trusted=/etc/ssl/certs/ca-certificates.crt own=/etc/ssl/fresh_root.crt
mkdir -p "$root/etc/ssl/certs"
cp "$trusted" "$root$own"
network=()
in_root() {
  unshare --mount "${network[@]}" /bin/sh -ec \
    'root=$1; shift; mount -t proc proc "$root/proc"; mount -t tmpfs tmpfs "$root/dev/shm"
     exec chroot "$root" "$@"' sh "$root" /usr/bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin \
    PIP_CERT="$own" SSL_CERT_FILE="$own" ${https_proxy:+https_proxy="$https_proxy"} "$@"
}
as() { in_root HOME="/home/$1" su "$1" --shell /bin/bash --command "cd /home/$1 && $2"; }

in_root apt-get update -qq
in_root DEBIAN_FRONTEND=noninteractive \
  apt-get install -qq --yes --no-install-recommends make python3-venv
in_root useradd --create-home user
git -C "$here" archive HEAD | tar --extract --directory "$root/home/user"
in_root chown --recursive user /home/user
echo "== $suite: $(in_root python3 --version)"
as user "make demo"
echo "== once more, when all is installed"
as user "time make demo"
as user ".venv/bin/mera-edge doctor" || echo "doctor: exit code $?"
as user ".venv/bin/pip wheel --quiet --constraint constraints.txt --wheel-dir wheelhouse ."

echo "== the wheel alone, offline, as another user"
network=(--net)
mv "$root/home/user/wheelhouse" "$root/srv/wheelhouse"
rm -rf "$root/home/user"
in_root python3 -m venv /opt/mera
in_root /opt/mera/bin/pip install --quiet --no-index --find-links /srv/wheelhouse mera-edge
in_root useradd --create-home guest
in_root chown --recursive root:root /home/guest
in_root chmod 555 /home/guest
clip=$(in_root /opt/mera/bin/python -c 'from mera_edge.sample import CLIP; print(CLIP)')
as guest "touch here 2> /dev/null" && { echo "the home can be written"; exit 1; }
for command in demo "predict $clip" "bench $clip" doctor; do
  echo "== mera-edge $command"
  as guest "/opt/mera/bin/mera-edge $command" || echo "exit code $?"
done
du -sm "$root/opt/mera"
