"""`mera-edge models`: lists, shows, verifies and downloads models."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, get_args

import typer

from mera_edge.cli import complete, options

app = typer.Typer(no_args_is_help=True, help="List, show, verify and download models.")


@app.command("list")
def list_models(bundle: options.Bundle = None, json: options.Json = False) -> None:
    """List the models of the bundle, and the published models that can be pulled."""
    import json as to_json

    from rich.markup import escape
    from rich.table import Table

    from mera_edge.bundle import Bundle
    from mera_edge.bundle.catalogue import catalogue, pulled
    from mera_edge.bundle.licence import use
    from mera_edge.cli.console import stdout

    manifest = Bundle.open(bundle).manifest
    if json:
        facts = {
            "bundle": manifest.name,
            "roles": {
                name: {
                    "precision": role.precision,
                    "bytes": sum(file.bytes for file in role.files.values()),
                    "licence": role.licence,
                    "use": use(role.licence),
                }
                for name, role in manifest.roles.items()
            },
            "published": {name: pulled(name) is not None for name in catalogue()},
        }
        print(to_json.dumps(facts, ensure_ascii=False))
        return
    table = Table(
        "role", "precision", "size", "use", "licence of the weights", title=escape(manifest.name)
    )
    for name, role in manifest.roles.items():
        size = sum(file.bytes for file in role.files.values())
        table.add_row(
            name, role.precision, f"{size / 1e6:.2f} MB", use(role.licence), escape(role.licence)
        )
    stdout().print(table)
    published = Table("published", "role", "here", "use", "licence", "what")
    for key, model in catalogue().items():
        here = "yes" if pulled(key) else "no"
        published.add_row(key, model.role, here, use(model.licence), model.licence, model.what)
    stdout().print(published)


@app.command()
def show(
    role: Annotated[
        str,
        typer.Argument(
            help="Role of the bundle, for example face, or a published model.",
            autocompletion=complete.roles,
        ),
    ],
    bundle: options.Bundle = None,
    json: options.Json = False,
) -> None:
    """Show the model card of a role or published model: training data, metrics, licence."""
    from rich.markdown import Markdown

    from mera_edge.bundle import Bundle, RoleName
    from mera_edge.bundle.catalogue import catalogue
    from mera_edge.cli.console import stdout
    from mera_edge.errors import InputError

    if role in catalogue():
        _show_published(role, json)
        return
    opened = Bundle.open(bundle)
    if role not in get_args(RoleName):
        known = ", ".join([*opened.manifest.roles, *catalogue()])
        raise InputError(f"there is no role and no published model {role!r}", f"known: {known}")
    entry = opened.role(role).entry
    if json:
        print(entry.model_dump_json())
    else:
        stdout().print(Markdown(entry.card))


def _show_published(name: str, json: bool) -> None:
    from rich.table import Table

    from mera_edge.bundle.catalogue import published, pulled
    from mera_edge.bundle.licence import MEANING, use
    from mera_edge.cli.console import stdout

    model = published(name)
    if json:
        print(model.model_dump_json())
        return
    facts = {
        "role": model.role,
        "what": model.what,
        "licence": f"{model.licence}: {MEANING[use(model.licence)]}",
        "languages": ", ".join(model.languages),
        "labels": ", ".join(dict.fromkeys(model.labels)),
        "sources": "\n".join(model.sources),
        "SHA-256": "\n".join(f"{digest} {file}" for file, digest in model.files.items())
        or model.archive_sha256,
        "here": str(pulled(name) or f"no; run: mera-edge models pull {name}"),
    }
    table = Table("", "", title=name, show_header=False)
    table.columns[1].overflow = "fold"
    for key, value in facts.items():
        if value:
            table.add_row(key, value)
    stdout().print(table, markup=False)


@app.command()
def verify(bundle: options.Bundle = None) -> None:
    """Verify the hashes of a bundle and load every model once."""
    from mera_edge.bundle import Bundle
    from mera_edge.cli.console import stdout

    opened = Bundle.open(bundle)
    for name in opened.manifest.roles:
        opened.role(name).stage_engine()
    names = ", ".join(opened.manifest.roles)
    stdout().print(f"{opened.manifest.name} is intact: {names}", highlight=False, markup=False)


@app.command()
def pull(
    name: Annotated[
        str,
        typer.Argument(
            help="Published model; see `models list`.", autocompletion=complete.published
        ),
    ],
    source: Annotated[
        Path | None,
        typer.Option(
            "--from", help="Use a local copy instead: a directory, a file, an archive or a wheel."
        ),
    ] = None,
    licence: Annotated[
        Literal["any", "commercial"],
        typer.Option(
            help="`commercial` refuses models whose licence forbids commercial use or leaves it in "
            "doubt."
        ),
    ] = "any",
) -> None:
    """Download a published model and verify its SHA-256."""
    from mera_edge.bundle.catalogue import published
    from mera_edge.bundle.licence import MEANING, use
    from mera_edge.bundle.pull import pull as bring
    from mera_edge.cli.console import stdout
    from mera_edge.errors import InputError

    terms = published(name).licence
    meaning = MEANING[use(terms)]
    if licence == "commercial" and use(terms) != "commercial":
        raise InputError(f"{name} is licensed as {terms}: {meaning}", "see: mera-edge models list")
    path = bring(name, source)
    stdout().print(f"{name} is at {path}", highlight=False, markup=False)
    stdout().print(f"{terms}: {meaning}", highlight=False, markup=False)
