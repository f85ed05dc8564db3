"""Writes what follows from the code into the documentation: `python docs/make_reference.py`.

The tables between the marks of events.md, configuration.md and architecture.md, all of cli.md and
event.schema.json.
"""

from __future__ import annotations

import importlib
import json
import re
import types
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import typer
from pydantic import BaseModel
from typer.cli import get_docs_for_click

from mera_edge.bundle import Bundle
from mera_edge.bundle.manifest import Tensor
from mera_edge.cli import app
from mera_edge.cli.extras import VERBS
from mera_edge.config import TABLES, Settings, SinkSettings
from mera_edge.events import EmotionEvent, Summary, json_schema
from mera_edge.reasons import MEANINGS, REMEDIES

DOCS = Path(__file__).parent


def pages() -> dict[Path, str]:
    """Return the text of every file that is written, by path."""
    events, settings = DOCS / "events.md", DOCS / "configuration.md"
    architecture = DOCS / "architecture.md"
    return {
        DOCS / "event.schema.json": json.dumps(json_schema(), indent=2, ensure_ascii=False) + "\n",
        events: _filled(
            events, {"events": _messages(EmotionEvent, Summary), "reasons": _reasons()}
        ),
        settings: _filled(settings, {"settings": _settings()}),
        architecture: _filled(architecture, {"models": _interfaces()}),
        DOCS / "cli.md": _command_line(),
    }


def _filled(page: Path, parts: dict[str, str]) -> str:
    text = page.read_text(encoding="utf-8")
    for name, part in parts.items():
        marks = rf"(<!-- {name}: made by make_reference.py -->\n).*?(<!-- /{name} -->)"
        text, found = re.subn(marks, lambda match: f"{match[1]}{part}{match[2]}", text, flags=re.S)  # noqa: B023
        if found != 1:
            raise SystemExit(f"{page} has no place for {name}")
    return text


def _table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    lines = [head, ("---",) * len(head), *rows]
    return "".join(f"| {' | '.join(row)} |\n" for row in lines)


def _messages(*models: type[BaseModel]) -> str:
    """Describe models and, after them, those that they hold."""
    parts, waiting, done = [], list(models), set[type[BaseModel]]()
    while waiting:
        model = waiting.pop(0)
        if model in done:
            continue
        done.add(model)
        rows = []
        for name, field in model.model_fields.items():
            waiting += _models(field.annotation)
            rows.append(
                (f"`{field.alias or name}`", _kind(field.annotation), field.description or "")
            )
        parts.append(f"\n### {model.__name__}\n\n{model.__doc__}\n\n")
        parts.append(_table(("field", "type", "what"), rows))
    return "".join(parts) + "\n"


def _models(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for part in get_args(annotation) for model in _models(part)]


def _kind(annotation: Any) -> str:
    """Name a type in JSON's words."""
    origin, parts = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _kind(parts[0])
    if origin is Literal:
        return "text" if len(parts) > 7 else ", ".join(f"`{part}`" for part in parts)
    if origin in (Union, types.UnionType):
        kinds = dict.fromkeys(_kind(part) for part in parts)
        return " or ".join(kinds)
    if origin is dict:
        return f"object: {_kind(parts[0])} -> {_kind(parts[1])}"
    if origin is tuple:
        return f"list of {_kind(parts[0])}"
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return f"[{annotation.__name__}](#{annotation.__name__.lower()})"
    names = {type(None): "null", str: "text", Path: "text", int: "integer", float: "number"}
    return names.get(annotation, "true or false")


def _settings() -> str:
    parts = []
    for table, model in {"": Settings, **TABLES}.items():
        rows = []
        for name, field in model.model_fields.items():
            default = "required" if field.is_required() else _default(field.default)
            row = (f"`{name}`", default, field.description or "")
            variable = "" if name in {*TABLES} - {"sink"} else f"`MERA_EDGE_{name.upper()}`"
            rows.append(row if table else (*row, variable))
        head = ("key", "default", "what", "environment")[: len(rows[0])]
        title = f"The table `{table}`" if table else "The whole run"
        parts.append(f"\n### {title}\n\n{_table(head, rows)}")
    return "".join(parts) + "\n"


def _default(value: Any) -> str:
    if isinstance(value, BaseModel) or value in (None, (), {}):
        return ""
    if isinstance(value, tuple) and len(value) == 1:
        value = value[0]
    if isinstance(value, SinkSettings):
        value = value.to
    return f"`{json.dumps(value)}`"


def _reasons() -> str:
    rows = [(f"`{code}`", means, REMEDIES.get(code, "")) for code, means in MEANINGS.items()]
    return "\n" + _table(("code", "meaning", "what to do"), rows) + "\n"


def _command_line() -> str:
    """Describe every command with its arguments and options."""
    shown = [_command(app, "mera-edge", hidden=VERBS)]
    for verb, extra in VERBS.items():
        other = importlib.import_module(extra.module).app
        shown.append(_command(other, f"mera-edge {verb}", indent=1))
    return f"{_COMMANDS}\n{''.join(shown)}"


_COMMANDS = """<!-- made by make_reference.py -->
# Command line

Results go to stdout; progress, notices and logs go to stderr. Exit codes: 0 success, 1 a check
failed, 2 invalid usage or input, with the remedy in the message. `train`, `features`, `corpus` and
`results` need an extra (`pip install 'mera-edge[train]'`), `calibrate` and `export` another
(`'mera-edge[export]'`).
"""


def _command(app: typer.Typer, name: str, hidden: Collection[str] = (), indent: int = 0) -> str:
    command = typer.main.get_command(app)
    for verb in hidden:
        command.commands.pop(verb)
    _show_whole_lines(command)
    context = typer.Context(command, info_name=name)
    text = get_docs_for_click(obj=command, ctx=context, indent=indent + 1, name=name)
    text = re.sub(r"^\* `--(install-completion|show-completion|help)`.*\n", "", text, flags=re.M)
    return re.sub(r"\*\*Options\*\*:\n\n+(?=\*\*|#|$)", "", text)


def _show_whole_lines(command: Any) -> None:
    """Have lists of commands show the first line of each one's help, which is cut off otherwise."""
    for verb in getattr(command, "commands", {}).values():
        verb.short_help = verb.help.splitlines()[0]
        _show_whole_lines(verb)


def _interfaces() -> str:
    """List the inputs and outputs of every model of the default bundle."""
    rows = [
        (f"`{name}`", _tensors(role.inputs), _tensors(role.outputs))
        for name, role in Bundle.open().manifest.roles.items()
    ]
    return "\n" + _table(("role", "inputs", "outputs"), rows) + "\n"


def _tensors(tensors: Sequence[Tensor]) -> str:
    """Name tensors with their shapes; float32 is not said, and caches are one."""
    shown = []
    for tensor in tensors:
        kind = "" if tensor.dtype == "float32" else f" {tensor.dtype}"
        cache = re.match(r"(next_)?cache_", tensor.name)
        shown.append(f"`{cache[0]}*`" if cache else f"`{tensor.name}`{kind} {_shape(tensor)}")
    return ", ".join(dict.fromkeys(shown))


def _shape(tensor: Tensor) -> str:
    return f"[{', '.join(map(str, tensor.shape))}]"


if __name__ == "__main__":
    for path, text in pages().items():
        path.write_text(text, encoding="utf-8")
