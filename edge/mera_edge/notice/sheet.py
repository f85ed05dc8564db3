"""The printable notice: what is analysed, why and whom to ask, one sheet per language."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from html import escape
from importlib.resources import files

from mera_edge import __version__
from mera_edge.config import Settings
from mera_edge.errors import InputError, MissingExtra
from mera_edge.labels import ModalityName
from mera_edge.sinks.page import page, style
from mera_edge.sources.select import NONE

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

_SERVED: dict[ModalityName, str] = {"voice": "mic", "text": "mic", "face": "camera"}

_STYLE = """
.sheet{font-size:19px}.sheet h1{font-size:46px;margin-bottom:18px;hyphens:auto}
.sheet ul{margin:8px 0 18px;padding-left:1.2em}.sheet p{margin:0 0 12px}
.sheet h2{margin:22px 0 4px}
.who{display:flex;gap:28px;align-items:end;justify-content:space-between}
.sheet svg{min-width:0;width:150px;height:150px;background:#fff;flex:none}
.sheet .law{font-size:14px;color:var(--soft);margin-top:22px}
@media print{@page{size:A4;margin:16mm}body{background:#fff}main{padding:0;max-width:none}
header,footer{display:none}.sheet{border:0;padding:0;break-after:page}}
"""


@dataclass(frozen=True)
class NoticeDetails:
    """Details that only the operator knows.

    Attributes:
        purpose: why emotions are recognized.
        contact: whom to ask: a name, with a telephone number or an address.
        link: URL in the QR code; if ``None``, it contains purpose and contact as text.
    """

    purpose: str
    contact: str
    link: str | None = None


@cache
def texts() -> dict[str, dict[str, str]]:
    """Return the texts by language."""
    text = files("mera_edge.notice").joinpath("texts.toml").read_text(encoding="utf-8")
    found: dict[str, dict[str, str]] = tomllib.loads(text)
    return found


def notice(settings: Settings, facts: NoticeDetails, languages: Sequence[str]) -> str:
    """Return the HTML page.

    Args:
        settings: determine what is analysed, where, and whether words are passed on.
        facts: purpose and contact.
        languages: language codes, in the order of the sheets.

    Raises:
        InputError: a language is unknown, the purpose or contact is empty, or the text is too long
            for a QR code.
        MissingExtra: segno is not installed.
    """
    unknown = [language for language in languages if language not in texts()]
    if unknown:
        raise InputError(f"no notice in {', '.join(unknown)}", f"languages: {', '.join(texts())}")
    if not (facts.purpose.strip() and facts.contact.strip()):
        raise InputError("the purpose or the contact is empty", "give --purpose and --contact")
    sheets = "".join(_sheet(settings, facts, language) for language in languages)
    head = f"<style>{style()}{_STYLE}</style>"
    return page("Notice", sheets, f"mera-edge {__version__}", head)


def _sheet(settings: Settings, facts: NoticeDetails, language: str) -> str:
    say = texts()[language]
    rooms = [room.name for room in settings.rooms if room.name]
    place = ", ".join(rooms) if rooms else say["here"]
    used = [
        name
        for name in settings.privacy.modalities
        if any(getattr(room, _SERVED[name]) != NONE for room in settings.rooms)
    ]
    passed_on = any(sink.transcript != "off" for sink in settings.sinks if sink.to != "-")
    items = "".join(f"<li>{say[name]}</li>" for name in used)
    words = say["words_on" if passed_on and "text" in used else "words_off"]
    return (
        f'<section class=sheet lang="{language}"><h1>{say["title"]}</h1>'
        f"<p>{say['lead'].format(place=escape(place))}</p><ul>{items}</ul>"
        f"<p>{say['local']} {words}</p><p>{say['guess']}</p>"
        f"<h2>{say['why']}</h2><p>{escape(facts.purpose)}</p>"
        f"<div class=who><div><h2>{say['who']}</h2><p>{escape(facts.contact)}</p>"
        f"<p>{say['ask']}</p></div>{_code(facts, say)}</div><p class=law>{say['law']}</p></section>"
    )


def _code(facts: NoticeDetails, say: dict[str, str]) -> str:
    """Return the QR code as SVG."""
    try:
        import segno
    except ModuleNotFoundError as error:
        raise MissingExtra("segno, which makes QR codes,", "notice") from error
    content = facts.link or "\n".join(
        [say["title"], f"{say['why']}: {facts.purpose}", f"{say['who']}: {facts.contact}"]
    )
    try:
        code = segno.make(content, error="m", micro=False)
    except ValueError as error:
        raise InputError("too long for a QR code", "give a --link, or a shorter purpose") from error
    svg: str = code.svg_inline(omitsize=True, border=4, title="QR")
    return re.sub("^<svg ", '<svg role="img" aria-label="QR" ', svg)
