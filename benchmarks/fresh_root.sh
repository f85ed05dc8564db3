#!/usr/bin/env bash
# The README's first two commands, to the letter, on a system that has nothing else.
#
#   sudo benchmarks/fresh_root.sh SUITE ROOT [MIRROR]
#
# SUITE is bookworm, trixie, jammy or noble; for Ubuntu's give MIRROR. Needs debootstrap and a network.
# Ends with the CPU time of a second `make demo`, when all is installed.
set -euo pipefail
here=$(cd "$(dirname "$0")/.." && pwd)
suite=$1 root=$2 mirror=${3:-http://deb.debian.org/debian}
debootstrap --variant=minbase "$suite" "$root" "$mirror" >&2
cp /etc/resolv.conf "$root/etc/resolv.conf"
# It trusts whom this machine trusts: a proxy may stand between it and the package index.
trusted=/etc/ssl/certs/ca-certificates.crt own=/etc/ssl/fresh_root.crt
mkdir -p "$root/etc/ssl/certs"
cp "$trusted" "$root$own"
in_root() { chroot "$root" /usr/bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/home/user \
  PIP_CERT="$own" SSL_CERT_FILE="$own" ${https_proxy:+https_proxy="$https_proxy"} "$@"; }

in_root apt-get update -qq
in_root apt-get install -qq --yes --no-install-recommends make python3-venv
in_root useradd --create-home user
git -C "$here" archive HEAD | tar --extract --directory "$root/home/user"
in_root chown --recursive user /home/user
as_user() { in_root su user --command "cd /home/user && $1"; }
echo "== $suite: $(in_root python3 --version)"
as_user "make demo"
as_user "time make demo"
as_user ".venv/bin/mera-edge doctor" || echo "doctor: exit code $?"
