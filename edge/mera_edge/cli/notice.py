"""`mera-edge notice`: the printable notice for the people in the room."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mera_edge.cli import options


def notice(
    page: Annotated[Path, typer.Argument(help="HTML file to write, for example notice.html.")],
    purpose: Annotated[str, typer.Option(help="Why emotions are recognized.")],
    contact: Annotated[str, typer.Option(help="Whom to ask: name, and telephone or address.")],
    language: Annotated[
        list[str] | None,
        typer.Option(help="Language: en, de, zh, es, fr or it; repeatable. Default: all."),
    ] = None,
    link: Annotated[
        str | None,
        typer.Option(help="URL in the QR code. Default: the purpose and the contact as text."),
    ] = None,
    config: options.Config = None,
) -> None:
    """Write a printable notice that informs people about the emotion recognition.

    It states what the configuration analyses, where, why and whom to ask, as Article 50(3) of the
    EU's AI Act requires, on one sheet per language.
    """
    from mera_edge.cli.console import say
    from mera_edge.config import load
    from mera_edge.notice.sheet import NoticeDetails, texts
    from mera_edge.notice.sheet import notice as sheet
    from mera_edge.sinks.page import write

    text = sheet(load(config), NoticeDetails(purpose, contact, link), language or list(texts()))
    write(page, text)
    say(f"wrote {page}: print it and put it up where people enter")
