"""Self-contained HTML pages in a common style."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from html import escape
from importlib.resources import files
from pathlib import Path

from mera_edge.errors import InputError
from mera_edge.sinks.palette import COLOURS


def page(title: str, body: str, footer: str, head: str | None = None) -> str:
    """Return a page.

    Args:
        title: plain text.
        body: the sections, HTML.
        footer: HTML.
        head: HTML that replaces the inline style, for pages of a server.
    """
    title = escape(title)
    head = f"<style>{style()}</style>" if head is None else head
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{title} · mera-edge</title>{head}</head><body><main>"
        f"<header><p class=brand>mera-edge</p><p class=file>{title}</p></header>"
        f"{body}<footer>{footer}</footer></main></body></html>\n"
    )


def style() -> str:
    """Return the style, with a class for every emotion's colour."""
    text = files("mera_edge.sinks").joinpath("page.css").read_text(encoding="utf-8")
    return text + "".join(f".{name}{{--c:{colour}}}" for name, colour in COLOURS.items())


def facts(cells: Mapping[str, str]) -> str:
    """Return figures in large print with their labels (both HTML)."""
    items = "".join(f"<div><dt>{what}</dt><dd>{value}</dd></div>" for what, value in cells.items())
    return f"<dl class=facts>{items}</dl>"


def refuse_no_file(path: Path) -> None:
    """Raise `InputError` if ``path`` exists and is not a regular file."""
    if path.exists() and not path.is_file():
        what = "a directory" if path.is_dir() else "not a regular file"
        raise InputError(f"{path} is {what}", "name a file, for example report.html")


def write(path: Path, text: str) -> None:
    """Write a page atomically; its directory is created, and symbolic links are followed.

    Raises:
        InputError: it cannot be written.
    """
    refuse_no_file(path)
    target = path.resolve()
    scratch = target.with_name(f".{target.name}.partial")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        scratch.write_text(text, encoding="utf-8")
        scratch.replace(target)
    except OSError as error:
        with contextlib.suppress(OSError):
            scratch.unlink(missing_ok=True)
        raise InputError(
            f"{path} cannot be written ({error.strerror})", "choose another path"
        ) from error
