"""Fingerprint of a run: every setting, and the content of all data that it reads.

Runs with the same fingerprint use the same settings on the same data. The fingerprint is stored in
the output directory, which refuses runs with another one.
"""

from __future__ import annotations

import json
import os
import time
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from hashlib import blake2b
from itertools import product
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from mera_edge.errors import InputError
from mera_train import disk
from mera_train.configuration import RENAMED

Made = dict[str, str]
"""Settings as JSON, and the digests of corpora and files (beginning with #), by name."""

MISSING = "#missing"


class Settings(Protocol):
    """The configuration of a run: a pydantic model."""

    def model_dump(self) -> dict[str, Any]:
        """Return every setting."""


WITHOUT_EFFECT = frozenset(
    {
        *("loop.save_every_batches", "licence", "feature_path"),
        *("own.data", "own.skip_bad", "own.keep_learnt"),
    }
)
"""Settings without effect on the weights. (The examples in the paths among them count.)"""

_RECENT_S = 2.0
"""A file that was just written may change again without a change of its timestamps."""

_WHOLE = {"bundle.json": "bundle.json", "config.yaml": "model.safetensors"}
"""Marker file of a directory type -> the file whose digest represents the directory."""


class Digests:
    """Digests of the content of files.

    A file with unchanged size, timestamps and inode is not read again. With ``path``, digests are
    kept for later processes.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._path = path
        self._known: dict[str, tuple[list[int], str]] = {}
        if path is not None and path.is_file():
            try:
                self._known = json.loads(path.read_text(encoding="utf-8"))
            except ValueError:
                # Only a cache: start with an empty one.
                self._known = {}
        self._read = 0

    def of(self, path: Path) -> str:
        """Return the digest of a file or a directory; `MISSING` if there is none."""
        if path.is_dir():
            for mark, name in _WHOLE.items():
                if (path / mark).is_file():
                    return combined([name, self.of(path / name)])
            files = sorted(file for file in path.rglob("*") if file.is_file())
            return combined([str(f.relative_to(path)), self.of(f)] for f in files)
        try:
            about = path.stat()
        except OSError:
            return MISSING
        seen = [about.st_size, about.st_mtime_ns, about.st_ctime_ns, about.st_ino]
        name = str(path.absolute())
        known = self._known.get(name)
        if known is not None and known[0] == seen:
            return known[1]
        found = _content(path)
        self._read += 1
        if time.time() - max(about.st_mtime, about.st_ctime) > _RECENT_S:
            self._known[name] = (seen, found)
        return found

    def of_recording(self, corpus: Path, file: str) -> str:
        """Return the digest of a recording's archive, or of its file."""
        return self.of(corpus if corpus.suffix == ".zip" else corpus / file)

    def save(self) -> None:
        """Save the digests; only rank 0 writes."""
        if self._path is not None and self._read and int(os.environ.get("RANK", 0)) == 0:
            disk.write(self._path, json.dumps(self._known))


def _content(path: Path) -> str:
    if path.suffix in (".zip", ".npz") and zipfile.is_zipfile(path):
        # A zip directory contains the size and CRC-32 of every member.
        with zipfile.ZipFile(path) as archive:
            return combined([i.filename, i.file_size, i.CRC] for i in archive.infolist())
    digest = blake2b(digest_size=16)
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return f"#{digest.hexdigest()}"


def combined(parts: Iterable[Any]) -> str:
    """Return one digest of several values; the order matters."""
    digest = blake2b(digest_size=16)
    for part in parts:
        digest.update(json.dumps(part, ensure_ascii=False, default=str).encode() + b"\n")
    return f"#{digest.hexdigest()}"


def by_corpus(facts: Iterable[tuple[str, object]]) -> Made:
    """Return one digest per corpus of the facts about its recordings, in order."""
    found: dict[str, list[object]] = {}
    for corpus, fact in facts:
        found.setdefault(corpus, []).append(fact)
    return {corpus: combined(each) for corpus, each in found.items()}


def arrays(*values: NDArray[Any]) -> str:
    """Return one digest of several arrays; the order matters."""
    return combined(
        [str(v.dtype), v.shape, blake2b(np.ascontiguousarray(v).data, digest_size=16).hexdigest()]
        for v in values
    )


def of(config: Settings, data: Mapping[str, str | Path], digests: Digests | None = None) -> Made:
    """Return the fingerprint of a run.

    Args:
        config: its settings. Paths count by their content, not by their location.
        data: other inputs by name: a path, or a digest.
        digests: cache of file digests.
    """
    digests = digests or Digests()
    made = dict(_flat("", config.model_dump(), digests))
    for name, content in data.items():
        made[name] = digests.of(content) if isinstance(content, Path) else content
    if "loop.gradient_accumulation_steps" in made:
        # n processes are equivalent to one with n times the gradient accumulation.
        together = int(os.environ.get("WORLD_SIZE", 1))
        made["loop.gradient_accumulation_steps"] = str(
            together * int(made["loop.gradient_accumulation_steps"])
        )
    return made


def _flat(name: str, value: Any, digests: Digests) -> Iterator[tuple[str, str]]:
    if name in WITHOUT_EFFECT:
        return
    if isinstance(value, dict) and value:
        for key, part in value.items():
            yield from _flat(f"{name}.{key}".removeprefix("."), part, digests)
    elif isinstance(value, Path):
        yield name, digests.of(value)
    elif isinstance(value, list | tuple) and any(isinstance(part, Path) for part in value):
        yield name, combined(digests.of(part) for part in value)
    else:
        yield name, json.dumps(value, ensure_ascii=False, default=str)


def check(there: Made, here: Made, where: Path) -> None:
    """Refuse an output directory that belongs to another run.

    Raises:
        InputError: names every setting and every corpus that differs.
    """
    there = {_name_now(name, here): value for name, value in there.items()}
    # An unset setting behaves as before the setting existed.
    names = [n for n in {**there, **here} if there.get(n, "null") != here.get(n, "null")]
    if names:
        raise InputError(
            f"{where} was made with different settings or data: "
            + "; ".join(_difference(name, there.get(name), here.get(name)) for name in names),
            "start over with --fresh (in Python resume=False), or choose another folder",
        )


def _name_now(name: str, here: Made) -> str:
    """Return the current name of a setting that may be from an earlier version."""
    options = ((part, *RENAMED.get(part, ())) for part in name.split("."))
    return next((now for names in product(*options) if (now := ".".join(names)) in here), name)


def _difference(name: str, there: str | None, here: str | None) -> str:
    if _is_digest(there) and _is_digest(here):
        return f"{name} has other content"
    return f"{name} is {_shown(there)} there, {_shown(here)} now"


def _is_digest(value: str | None) -> bool:
    return value is not None and value.startswith("#")


def _shown(value: str | None) -> str:
    if value is None:
        return "not used"
    if _is_digest(value):
        return "missing" if value == MISSING else "used"
    return value if len(value) <= 80 else f"{value[:77]}..."


def stale(path: Path, made: str) -> bool:
    """Whether the cache ``path`` is missing or was computed from other data.

    If so, the caller computes it and then calls `stamp`; until then the cache is invalid.
    """
    mark = _mark(path)
    if path.exists() and mark.is_file() and mark.read_text() == made:
        return False
    mark.unlink(missing_ok=True)
    return True


def stamp(path: Path, made: str) -> None:
    """Record what the completed cache ``path`` was computed from."""
    disk.write(_mark(path), made)


def _mark(path: Path) -> Path:
    return path.with_name(f"{path.name}.made")
