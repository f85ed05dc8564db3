"""Checks the HTTP interface against its description with schemathesis.

    pip install schemathesis
    python benchmarks/http_contract.py [EXAMPLES] [SEED]

What docs/http.md says is written down as OpenAPI; schemathesis makes requests of it, valid and not,
and checks status, headers and content of every answer. `/events` never ends and is left to
fuzz_http.py. Exits with 1 on any finding, and where something else was switched or said.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from sample_events import again, recorded

from mera_edge.config import SinkSettings
from mera_edge.service.control import Control
from mera_edge.sinks.http import HttpSink
from mera_edge.sinks.http.app import Change

STATE = {
    "type": "object",
    "required": ["version", "rooms"],
    "properties": {"version": {"type": "string"}, "rooms": {"type": "object"}},
}
CONFIGURATION = 'checks.negative_data_rejection.expected-statuses = ["4xx"]\n'
"""A body that is too long (413) is refused too."""
COMMAND = "from schemathesis.cli import schemathesis; schemathesis()"


def answers(kind: str, *others: int, schema: dict[str, Any] | None = None) -> dict[str, Any]:
    """Return the answers of an operation: 200 of a kind, and errors as plain text."""
    text = {"content": {"text/plain": {"schema": {"type": "string"}}}, "description": "no"}
    good = {"content": {kind: {"schema": schema or {"type": "string"}}}, "description": "yes"}
    return {"200": good, **dict.fromkeys(map(str, (400, 401, 413, 421, *others)), text)}


def described() -> dict[str, Any]:
    """Return the interface as OpenAPI."""
    change = Change.model_json_schema()
    get: dict[str, tuple[str, dict[str, Any] | None]] = {
        "/": ("text/html", None),
        "/style.css": ("text/css", None),
        "/live.js": ("text/javascript", None),
        "/icon.svg": ("image/svg+xml", None),
        "/api/state": ("application/json", STATE),
        "/healthz": ("text/plain", None),
        "/readyz": ("text/plain", None),
        "/metrics": ("text/plain", None),
    }
    paths: dict[str, Any] = {
        path: {"get": {"responses": answers(kind, schema=schema)}}
        for path, (kind, schema) in get.items()
    }
    paths["/api/switches"] = {
        "post": {
            "requestBody": {"required": True, "content": {"application/json": {"schema": change}}},
            "responses": answers("application/json", 403, 404, 415, 422, schema=STATE),
        }
    }
    return {
        "openapi": "3.1.0",
        "info": {"title": "mera-edge", "version": "1"},
        "paths": paths,
    }


def main() -> None:
    examples, seed = (int(given) for given in (*sys.argv[1:], *("10000", "1")[len(sys.argv) - 1 :]))
    control, switched = Control(), 0

    def count(*change: object) -> None:
        nonlocal switched
        switched += 1

    control.use(["hall"])
    control.subscribe(count)
    sink = HttpSink(SinkSettings(to="http://127.0.0.1:0"), control)
    events = again(recorded())
    sink.publish(next(events))
    with tempfile.TemporaryDirectory() as place:
        schema = Path(place) / "openapi.json"
        schema.write_text(json.dumps(described()))
        (Path(place) / "schemathesis.toml").write_text(CONFIGURATION)
        process = subprocess.Popen(
            [
                *(sys.executable, "-c", COMMAND, "run", str(schema), "--url", sink.url.rstrip("/")),
                *("--checks", "all", "--phases", "examples,coverage,fuzzing", "--no-shrink"),
                *("--max-examples", str(examples), "--seed", str(seed), "--no-color"),
                *("--continue-on-failure", "--generation-database", "none"),
                *("--warnings", "off", "--request-timeout", "30"),
            ],
            cwd=place,
        )
        while process.poll() is None:
            sink.publish(next(events))
            time.sleep(0.2)
    print(f"{sink._server.server_state.total_requests} requests, {switched} times switched")
    sink.close(None)
    raise SystemExit(process.returncode)


if __name__ == "__main__":
    main()
