#!/usr/bin/env bash
# Does every external link of the documentation still answer, and every file of the catalogue of models?
#
#   .ci/links.sh
#
# Needs a network. Prints the links that do not, each with curl's reason, and their number; exit code 1 if any.
set -euo pipefail
cd "$(dirname "$0")/.."
links() {
  git grep -hoE 'https://[a-z0-9][^][(){}<>"`… ]*' -- '*.md' | sed -E 's/[.,;:]+$//'
  python3 -c '
import tomllib
for model in tomllib.load(open("edge/mera_edge/bundle/catalogue.toml", "rb")).values():
    for source in model["sources"]:
        if source.startswith("https:"):
            print(*[source + file for file in model["files"]] if source[-1] == "/" else [source], sep="\n")'
}
dead=0 asked=0
while read -r url; do
  asked=$((asked + 1))
  said=$(curl --silent --show-error --fail --location --range 0-0 --max-time 30 --retry 2 \
    --output /dev/null "$url" 2>&1 | tail -n 1) || { dead=$((dead + 1)); echo "$url: $said"; }
done < <(links | sort -u)
echo "$asked links, $dead dead"
[ "$dead" = 0 ]
