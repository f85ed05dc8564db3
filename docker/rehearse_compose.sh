#!/usr/bin/env bash
# The room of compose.yaml without Docker: the runtime image's root, a broker and a Prometheus with their
# configurations from here, in one network of their own that reaches nothing else.
#
#   sudo docker/rehearse_compose.sh DIR
#
# DIR is where rehearse.py rehearsed `Dockerfile` last. The sample takes the place of the camera and the
# microphone, Debian's mosquitto and Prometheus that of their images. Needs util-linux and iproute2.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
if [ -z "${COMPOSED:-}" ]; then
  export room=$1/stage1 services=$1/services COMPOSED=yes
  if [ ! -e "$services/usr/bin/prometheus" ]; then
    rm -rf "$services" && cp --archive "$1/bookworm-amd64" "$services"
    chroot "$services" /bin/sh -ec 'apt-get update -qq; apt-get install --yes -qq \
      --no-install-recommends curl mosquitto mosquitto-clients prometheus' > /dev/null
  fi
  exec unshare --mount --net --pid --fork --kill-child "$0" "$@"
fi

mount --make-rprivate /
ip link set lo up
scratch=$(mktemp -d)
mount -t tmpfs tmpfs "$scratch"
echo "127.0.0.1 localhost mosquitto mera-edge prometheus" > "$scratch/hosts"
# Compose gives a secret's file to its services as it is: they must be able to read it.
head -c 16 /dev/urandom | od -An -tx1 | tr -d ' \n' > "$scratch/http.token"
chmod 644 "$scratch/http.token"
for root in "$room" "$services"; do
  mkdir -p "$root"/{run/secrets,etc/mera-edge,mosquitto/config,mosquitto/data}
  touch "$root"/{etc/hosts,run/secrets/http.token,etc/mera-edge/config.toml,mosquitto/config/mosquitto.conf}
  mount --bind "$root" "$root"
  mount -t proc proc "$root/proc"
  mount --bind /dev "$root/dev"
  for folder in tmp models events mosquitto/data; do
    [ ! -d "$root/$folder" ] || mount -t tmpfs -o mode=1777 tmpfs "$root/$folder"
  done
  mount --bind "$scratch/hosts" "$root/etc/hosts"
  mount --bind "$scratch/http.token" "$root/run/secrets/http.token"
  mount --bind "$here/config.toml" "$root/etc/mera-edge/config.toml"
  mount --bind "$here/mosquitto.conf" "$root/mosquitto/config/mosquitto.conf"
  mount -o remount,bind,ro "$root"
done
mount --bind "$here/prometheus.yaml" "$services/etc/prometheus/prometheus.yml"
within() { chroot "$services" /usr/bin/env -i PATH=/usr/sbin:/usr/bin:/bin HOME=/tmp "$@"; }

echo "== promtool"
within promtool check config /etc/prometheus/prometheus.yml
within mosquitto --config-file /mosquitto/config/mosquitto.conf > "$scratch/mosquitto.log" 2>&1 &
within prometheus --config.file=/etc/prometheus/prometheus.yml --storage.tsdb.path=/tmp/prometheus \
  > "$scratch/prometheus.log" 2>&1 &
sleep 2
within mosquitto_sub --host mosquitto --topic '#' --verbose > "$scratch/heard" &
sleep 1
run() {
  chroot "$room" /usr/bin/setpriv --reuid 10001 --regid 10001 --clear-groups --no-new-privs \
    --bounding-set=-all /usr/bin/env -i HOME=/tmp PATH=/opt/mera/bin:/usr/bin:/bin MERA_EDGE_MODELS=/models "$@"
}
clip=$(run python3 -c 'from mera_edge.sample import CLIP; print(CLIP)')
echo "== mera-edge run"
run mera-edge run --config=/etc/mera-edge/config.toml --camera "$clip" --mic none 2> "$scratch/room.log" &
live=$!
asked='up{job="mera-edge"}'
scraped() { within curl --silent --get --data-urlencode "query=$1" http://prometheus:9090/api/v1/query; }
for try in $(seq 120); do
  sleep 1
  if scraped "$asked" | grep -q '"1"' && [ -s "$room/events/events.jsonl" ]; then break; fi
  [ "$try" -lt 120 ] || { cat "$scratch"/*.log; exit 1; }
done
result() { echo "== $1"; shift; "$@"; }
result "Prometheus: $asked" scraped "$asked"
echo
result "Prometheus: series of the room" scraped 'count({job="mera-edge",__name__=~"mera.*"})'
echo
result "metrics without the token" within curl --silent --output /dev/null --write-out '%{http_code}\n' http://mera-edge:8765/metrics
kill $live && wait $live || true
result "messages by topic" awk '{n[$1]++} END {for (topic in n) print n[topic], topic}' "$scratch/heard"
result "lines of events.jsonl" wc -l < "$room/events/events.jsonl"
result "the room said" tail -n 5 "$scratch/room.log"
