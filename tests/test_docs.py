"""The documentation builds without a warning, and its commands do what it says."""

from __future__ import annotations

import logging
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

import pytest
import typer
import typer.main
from mkdocs.commands.build import build
from mkdocs.config import load_config

from mera_edge.cli import app
from mera_edge.cli.extras import VERBS
from mera_edge.sample import CLIP

ROOT = Path(__file__).parents[1]
PAGES = sorted([ROOT / "README.md", ROOT / "docker" / "README.md", *(ROOT / "docs").rglob("*.md")])
RUN = (
    "docs/privacy.md",
    "docs/tutorials/first_run.md",
    "docs/tutorials/share_benchmark.md",
)
"""Pages whose commands run here, one after the other, but for what has a mark: that they need
something else, or which tests run them."""

_BLOCK = re.compile(r"(?:<!-- ([^\n]*) -->\n)?```bash\n(.*?)```", re.DOTALL)


def blocks(page: Path) -> Iterator[tuple[str, list[str]]]:
    """Yield the mark before every block of commands, and its lines."""
    for mark, text in _BLOCK.findall(page.read_text(encoding="utf-8")):
        lines = text.replace("\\\n", " ").splitlines()
        yield mark, [line for line in lines if line.strip() and not line.startswith("#")]


def commands(page: Path) -> Iterator[list[str]]:
    """Yield the words of every call of mera-edge on a page."""
    for _, lines in blocks(page):
        for line in lines:
            lexer = shlex.shlex(line, posix=True, punctuation_chars=";&|<>")
            lexer.whitespace_split = True
            for separator, words in groupby(lexer, key=lambda word: set(word) <= set(";&|<>")):
                called = [] if separator else list(words)
                # Behind `sudo` and the like, but not as an argument of another program.
                at = next((i for i, w in enumerate(called[:2]) if w.endswith("mera-edge")), None)
                if at is not None and len(called) > at + 1 and called[0] not in ("rm", "pip"):
                    yield called[at + 1 :]


def test_the_site_builds_without_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    config = load_config(str(ROOT / "mkdocs.yml"), site_dir=str(tmp_path / "site"), strict=True)
    with caplog.at_level(logging.WARNING, logger="mkdocs"):
        build(config)
    assert [r.message for r in caplog.records if r.levelno >= logging.WARNING] == []
    page = (tmp_path / "site" / "index.html").read_text(encoding="utf-8")
    # Reading it asks nobody else: no font, script or picture from another server.
    assert not re.findall(r'<(?:script|img|link)[^>]+(?:src|href)="(?:https?:)?//', page)


def tables(page: Path) -> Iterator[list[list[str]]]:
    """Yield the tables of a page: the cells of its lines, the head first."""
    text = re.sub(r"(?ms)^ *```.*?^ *```", "", page.read_text(encoding="utf-8"))
    for found in re.findall(r"(?m)(?:^\|.*\n?)+", text):
        lines = found.splitlines()
        yield [re.split(r"(?<!\\)\|", line.strip()[1:-1]) for line in lines]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_row_of_a_table_has_as_many_cells_as_its_head(page: Path) -> None:
    for head, *rows in tables(page):
        uneven = [row for row in rows if len(row) != len(head)]
        assert not uneven, f"{page}: {uneven[0]}"


@pytest.mark.parametrize(
    "page", sorted((ROOT / "docs" / "results").glob("*.md")), ids=lambda page: page.stem
)
def test_a_cell_of_a_results_page_has_one_figure(page: Path) -> None:
    figure = r"\*{0,2}-?[\d.,]*\d( %)?\*{0,2}"
    several = re.compile(rf"{figure}((, | / ){figure}| \({figure}( to {figure})?\))+")
    for _, *rows in tables(page):
        found = [cell for row in rows for cell in row if several.fullmatch(cell.strip())]
        assert not found, f"{page}: {found[0]}"


def verbs() -> dict[str, typer.core.TyperCommand]:
    """Every verb, those of the extras with their own options."""
    import importlib

    group = typer.main.get_command(app)
    found = dict(group.commands)  # type: ignore[attr-defined]
    for name, extra in VERBS.items():
        found[name] = typer.main.get_command(importlib.import_module(extra.module).app)
    return found


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_documented_flag_exists(page: Path) -> None:
    known = verbs()
    for words in commands(page):
        command, flags = known.get(words[0]), [w for w in words if w.startswith("--")]
        if command is None:
            assert words[0].startswith("--"), f"{page}: there is no verb {words[0]}"
            continue
        for word in words[1:]:
            command = getattr(command, "commands", {}).get(word, command)
        command = getattr(command, "commands", {}).get(getattr(command, "default", ""), command)
        options = {option for p in command.params for option in (*p.opts, *p.secondary_opts)}
        unknown = {flag.partition("=")[0] for flag in flags} - options - {"--help"}
        assert not unknown, f"{page}: {' '.join(words)}"


@pytest.mark.parametrize("name", RUN)
def test_the_commands_of_a_tutorial_run(name: str, tmp_path: Path) -> None:
    (tmp_path / "talk.mp4").write_bytes(CLIP.read_bytes())
    bin_directory = tmp_path / "bin"
    bin_directory.mkdir()
    tool = bin_directory / "mera-edge"
    tool.write_text(f'#!/bin/sh\nexec {sys.executable} -m mera_edge "$@"\n')
    tool.chmod(0o755)
    environment = os.environ | {
        "PATH": f"{bin_directory}:{os.environ['PATH']}",
        "HOME": str(tmp_path),
    }
    for mark, lines in blocks(ROOT / name):
        if mark.startswith(("needs: ", "run by: ")):
            continue
        allowed = {0, 1} if mark == "exit: 0 or 1" else {0}
        for line in lines:
            done = subprocess.run(
                line, shell=True, cwd=tmp_path, env=environment, capture_output=True, text=True,
                check=False,
            )  # fmt: skip
            assert done.returncode in allowed, f"{line}\n{done.stderr}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_command_is_run_or_says_what_it_needs(page: Path) -> None:
    if page.parent.name == "results":  # what made the figures, from corpora
        return
    for mark, lines in blocks(page):
        kind, _, rest = mark.partition(": ")
        if kind == "run by":
            files = re.findall(r"[\w./]+/\w+(?:\.py|\.sh)?", rest)
            assert files and all((ROOT / file).is_file() for file in files), mark
        elif kind != "needs":
            assert str(page.relative_to(ROOT)) in RUN, f"{page}: {lines}"


def test_every_message_of_troubleshooting_is_one_of_the_code() -> None:
    text = (ROOT / "docs" / "troubleshooting.md").read_text(encoding="utf-8")
    code = "\n".join(p.read_text(encoding="utf-8") for p in (ROOT / "edge").rglob("*.py"))
    messages = re.findall(r"^\| `([^`]+)`( \(\w+\))? \|", text, re.MULTILINE)
    assert len(messages) > 10
    for message, elsewhere in messages:
        assert elsewhere or message in code, f"nothing says {message!r}"
