"""Examples inside archives: WebDataset's tar shards, and what Hugging Face `datasets` writes.

They are unpacked once, beside the run, into a folder with ``metadata.jsonl``, which is read like
any other: `mera_train.own.layouts`.
"""

from __future__ import annotations

import json
import re
import shutil
import tarfile
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from mera_edge.errors import InputError
from mera_train import disk
from mera_train.fingerprint import Digests, combined, stale, stamp
from mera_train.own.layouts import SPLITS, TABLES

FOLDER, METADATA = "data", "metadata.jsonl"
"""In the directory of the run, and in that."""

SUFFIXES = (".tar", ".parquet")

MEDIA = {
    *("jpg", "jpeg", "png", "webp", "bmp", "ppm", "pgm"),
    *("wav", "flac", "mp3", "ogg", "opus", "m4a", "mp4", "mkv", "webm", "avi", "mov"),
}
"""Extensions in a WebDataset of what becomes ``file``."""

LABELS, TEXTS = ("cls", "label", "emotion"), ("txt", "text", "transcript")

Sample = dict[str, Any]
"""Columns; a file is ``bytes`` under its extension, as ``{".png": b"..."}`` in ``file``."""


def unpacked(data: Path, out: Path) -> Path:
    """Return ``data``, or, if that is archives, a folder with what is in them.

    Args:
        data: a ``.tar`` or ``.parquet`` file; a folder of such, or of ``save_to_disk``; or else.
        out: the directory of the run.

    Raises:
        InputError: an archive cannot be read, or ``pyarrow`` is missing.
    """
    found = _archives(data)
    if not found:
        return data
    folder = out / FOLDER
    digests = Digests(out / "digests.json")
    source = combined([(path.name, digests.of(path)) for path in found])
    digests.save()
    if not stale(folder, source):
        return folder
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    lines: list[str] = []
    for path in found:
        read = _shard if path.suffix == ".tar" else _table
        for sample in read(path):
            lines.append(_line(folder, len(lines), {"split": _split(path, data)} | sample))
    if not lines:
        raise InputError(f"there are no examples in {data}", "check its contents")
    disk.write(folder / METADATA, "\n".join(lines) + "\n")
    stamp(folder, source)
    return folder


def _archives(data: Path) -> list[Path]:
    if data.suffix in SUFFIXES and data.is_file():
        return [data]
    if not data.is_dir() or any((data / name).is_file() for name in TABLES):
        return []
    return sorted(
        path
        for kind in ("*.tar", "*.parquet", "data-*.arrow")
        for path in data.rglob(kind)
        if not any(part.startswith(".") for part in path.relative_to(data).parts)
    )


def _split(path: Path, data: Path) -> str:
    """Return the split that the name of a file or its folder says: ``train-00000-of-00002``."""
    inside = path.relative_to(data).parts if data.is_dir() else (path.name,)
    for part in reversed(inside):
        first = re.split(r"[-_.]", part.lower())[0]
        if SPLITS.get(first):
            return SPLITS[first]
    return ""


def _line(folder: Path, number: int, sample: Sample) -> str:
    """Write the file of a sample; return its row."""
    file = sample.get("file")
    if isinstance(file, Mapping):
        ((suffix, content),) = file.items()
        # Named by us: what an archive calls its members is no path to write to.
        name = f"{number:06d}{suffix}"
        (folder / name).write_bytes(content)
        sample = {**sample, "file": name}
    return json.dumps(sample, ensure_ascii=False)


def _shard(path: Path) -> Iterator[Sample]:
    """Yield the samples of a WebDataset: neighbours that share a name up to its first dot."""
    key, sample = "", Sample()
    try:
        with tarfile.open(path) as archive:
            for member in archive:
                stream = archive.extractfile(member) if member.isfile() else None
                if stream is None:
                    continue
                name = PurePosixPath(member.name)
                stem, _, extension = name.name.partition(".")
                this = str(name.parent / stem)
                if this != key and sample:
                    yield sample
                    sample = Sample()
                key = this
                sample |= _member(extension.lower(), stream.read(), f"{path}: {member.name}")
    except (tarfile.TarError, OSError, EOFError) as error:
        raise InputError(f"{path} cannot be read ({error})", "pack it again") from error
    if sample:
        yield sample


def _member(extension: str, content: bytes, where: str) -> Sample:
    if extension.rpartition(".")[2] in MEDIA:
        return {"file": {f".{extension.rpartition('.')[2]}": content}}
    if extension not in (*LABELS, *TEXTS, "json"):
        return {}
    try:
        text = content.decode("utf-8")
        if extension != "json":
            return {"label" if extension in LABELS else "text": text.strip()}
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{where} cannot be read ({error})", "pack it again") from error
    if not isinstance(found, dict):
        # A bare number or name, as `.json` holds a class in some sets.
        return {"label": found}
    return found


def _table(path: Path) -> Iterator[Sample]:
    """Yield the rows of an Arrow or Parquet file as `datasets` writes them."""
    try:
        import pyarrow as arrow
        from pyarrow import parquet
    except ImportError as error:
        raise InputError(
            f"{path} needs pyarrow to be read", "pip install 'mera-edge[arrow]'"
        ) from error
    try:
        if path.suffix == ".parquet":
            with parquet.ParquetFile(path) as file:
                names = _classes(file.schema_arrow)
                for batch in file.iter_batches(64):
                    yield from (_row(row, names) for row in batch.to_pylist())
        else:
            with arrow.memory_map(str(path)) as source, arrow.ipc.open_stream(source) as stream:
                names = _classes(stream.schema)
                for batch in stream:
                    yield from (_row(row, names) for row in batch.to_pylist())
    except (arrow.ArrowException, OSError) as error:
        raise InputError(f"{path} cannot be read ({error})", "fetch it again") from error


def _classes(schema: Any) -> dict[str, list[str]]:
    """Return by column the names of its classes, which `datasets` keeps beside the data."""
    told = json.loads((schema.metadata or {}).get(b"huggingface", b"{}"))
    features = told.get("info", {}).get("features", {})
    return {
        name: feature["names"]
        for name, feature in features.items()
        if isinstance(feature, dict) and feature.get("_type") == "ClassLabel"
    }


def _row(row: Sample, names: Mapping[str, list[str]]) -> Sample:
    found: Sample = {}
    for name, value in row.items():
        if isinstance(value, dict) and {"bytes", "path"} <= value.keys():
            file = value["path"] or ""
            content = value["bytes"]
            found["file"] = (
                file if content is None else {Path(file).suffix or _kind(content): content}
            )
        elif isinstance(value, int) and 0 <= value < len(names.get(name, ())):
            found[name] = names[name][value]
        else:
            found[name] = value
    return found


def _kind(content: bytes) -> str:
    """Return the extension of a picture or a recording that nobody named."""
    kinds = {b"\x89PNG": ".png", b"\xff\xd8": ".jpg", b"RIFF": ".wav", b"fLaC": ".flac"}
    return next((kind for magic, kind in kinds.items() if content.startswith(magic)), ".bin")
