"""Hooks of MkDocs: pages that lie elsewhere, or follow from the bundle and the code.

The changelog and its like lie at the root of the tree; model cards are in ``bundle.json``; the
sentences of `doctor` and of missing modalities are in the code. A link to a file that is no page is
shown as its name.
"""

from __future__ import annotations

import re
from pathlib import Path
from posixpath import normpath

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

from mera_edge.bundle import Bundle
from mera_edge.reasons import MEANINGS, REMEDIES

ROOT = Path(__file__).parents[1]
FROM_ROOT = ("CHANGELOG.md", "CONTRIBUTING.md", "MODEL_LICENSES.md", "SECURITY.md")
CONTAINERS = "docker/README.md"
_LINK = re.compile(r"(?<!!)\[([^\]]*)\]\(([^)#\s]+)(#[^)\s]*)?\)")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that do not lie in ``docs``."""
    made = {name: (ROOT / name).read_text(encoding="utf-8") for name in FROM_ROOT}
    made["containers.md"] = (ROOT / CONTAINERS).read_text(encoding="utf-8")
    made["model_cards.md"] = model_cards()
    for name, text in made.items():
        files.append(File.generated(config, name, content=text))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Point links at pages, and show links to other files of the tree as their names."""
    source = page.file.src_uri
    if source == "troubleshooting.md":
        markdown = markdown.replace("<!-- reasons -->", reasons())
    here = "" if source in FROM_ROOT else "docs/" + source.rpartition("/")[0]
    up = "../" * source.count("/")

    def resolved(match: re.Match[str]) -> str:
        text, target, anchor = match[1], match[2], match[3] or ""
        if "://" in target or target.startswith("mailto:"):
            return match[0]
        place = normpath(f"{here}/{target}") if here else normpath(target)
        inside = place.removeprefix("docs/") if place.startswith("docs/") else place
        if place == "docs/results":
            inside = "results/README.md"
        if place == CONTAINERS:
            return f"[{text}]({up}containers.md{anchor})"
        if files.get_file_from_path(inside) is not None and (
            place.startswith("docs/") or place in FROM_ROOT
        ):
            return f"[{text}]({up}{inside}{anchor})"
        if (ROOT / place).exists():
            return text if "`" in text else f"`{place}`"
        return match[0]

    return _LINK.sub(resolved, markdown)


def model_cards() -> str:
    """Return the cards of the bundled models as one page."""
    manifest = Bundle.open().manifest
    parts = ["# Model cards\n\nOf the bundle that comes with this version.\n"]
    for role, entry in manifest.roles.items():
        card = re.sub(r"^#", "##", entry.card, flags=re.MULTILINE)
        facts = f"*Role `{role}`, {entry.precision.upper()}, licence: {entry.licence}*"
        parts.append(f"{card.strip()}\n\n{facts}\n")
    return "\n".join(parts)


def reasons() -> str:
    """Return why a modality is missing, and what to do, as a table."""
    rows = "".join(
        f"| `{code}` | {meaning} | {REMEDIES.get(code, '')} |\n"
        for code, meaning in MEANINGS.items()
    )
    return f"| reason_code | what it means | remedy |\n| --- | --- | --- |\n{rows}"
