"""Asks every address of the documentation and of the catalogue whether it is still there.

    python docs/check_links.py

Needs a network, so no test runs it; links inside the site are tested (tests/test_docs.py). Exit
code 1 if an address does not answer.
"""

from __future__ import annotations

import re
import sys
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from mera_edge.bundle.catalogue import catalogue

ROOT = Path(__file__).parents[1]
PAGES = (*ROOT.glob("*.md"), *ROOT.glob("docker/*.md"), *ROOT.glob("docs/**/*.md"))
# In prose and in Markdown's links; addresses in code are examples.
_CODE = re.compile(r"```.*?```|`[^`]*`", re.DOTALL)
_ADDRESS = re.compile(r"https?://[^\s)>\"']+[^\s)>\"'.,;:]")


def addresses() -> set[str]:
    """Return the addresses of all pages, and of all files of published models."""
    found = {
        address
        for page in PAGES
        for address in _ADDRESS.findall(_CODE.sub("", page.read_text(encoding="utf-8")))
    }
    for model in catalogue().values():
        for source in model.sources:
            if source.startswith("https://"):
                names = model.files if source.endswith("/") else [""]
                found.update(source + name for name in names)
    return found


def ask(address: str) -> str:
    """Return the status of an address, or why there is none."""
    request = urllib.request.Request(address, method="HEAD", headers={"User-Agent": "mera-edge"})
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return str(answer.status)
    except urllib.error.HTTPError as error:
        return str(error.code)
    except OSError as error:
        return str(error)


if __name__ == "__main__":
    asked = sorted(addresses())
    with ThreadPoolExecutor(8) as pool:
        said = dict(zip(asked, pool.map(ask, asked), strict=True))
    for address, status in said.items():
        print(f"{status:6} {address}")
    sys.exit(any(status != "200" for status in said.values()))
