"""The fused answer of whole bundles on the same composed test examples.

    python benchmarks/fused.py DATA BUNDLE...

Encoders and fusion are those of each bundle, so that what INT8 costs end to end is seen. Prints a
Markdown table; *composed* means that voice, face and words come from different people.
"""

from __future__ import annotations

import sys
from pathlib import Path

from mera_edge.bundle import Bundle
from mera_export.fusion_check import CONDITIONS, EXAMPLES, Fused


def main() -> None:
    data, *bundles = map(Path, sys.argv[1:])
    print(f"{EXAMPLES} examples of every condition, test split, macro-F1:\n")
    print("| bundle |" + "".join(f" {name} |" for name in CONDITIONS))
    print("| --- |" + " --- |" * len(CONDITIONS))
    for path in bundles:
        scores = Fused(data, split="test")(Bundle.open(path))
        print(f"| {path} |" + "".join(f" {score:.3f} |" for score in scores.values()), flush=True)


if __name__ == "__main__":
    main()
