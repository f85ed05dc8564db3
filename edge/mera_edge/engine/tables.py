"""Tables that stay in the model's file: only the rows that are asked for come into memory.

A text encoder is two large tables and a small network. ONNX Runtime copies both; looked up in a
mapping of the file they cost the few pages that the words of a day touch.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from mera_edge.engine.protocol import Array

LARGE = 1 << 20
"""Bytes from which on it is worth it."""

_TYPES: dict[int, type[np.generic]] = {1: np.float32, 3: np.int8, 10: np.float16}
"""By the number that ONNX has for them."""

# Numbers of the fields in onnx.proto.
_GRAPH = 7
_NODE, _INITIALIZER = 1, 5
_INPUT, _OPERATOR = 1, 4
_DIMS, _TYPE, _NAME, _RAW = 1, 2, 8, 9


def tables(path: Path) -> dict[str, Array]:
    """Map the initializers of an ONNX file from which nothing but rows is taken.

    Args:
        path: the file. Where it is none that can be read there are no tables, and whoever loads it
            says what is wrong.
    """
    try:
        with path.open("rb") as file:
            data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        return _tables(data)
    except (OSError, ValueError, IndexError):
        return {}


def _tables(data: mmap.mmap) -> dict[str, Array]:
    large: dict[str, Array] = {}
    users: dict[str, set[bool]] = {}
    for graph, _ in _fields(data, slice(0, len(data)), _GRAPH):
        for tensor, _ in _fields(data, graph, _INITIALIZER):
            if tensor.stop - tensor.start >= LARGE:
                large |= _mapped(data, tensor)
        for node, _ in _fields(data, graph, _NODE):
            gathers = next(_texts(data, node, _OPERATOR), "") == "Gather"
            for place, name in enumerate(_texts(data, node, _INPUT)):
                users.setdefault(name, set()).add(gathers and place == 0)
    # `Gather` copies bytes; others would want numbers to begin where numbers may begin.
    return {name: array for name, array in large.items() if users.get(name) == {True}}


def _mapped(data: mmap.mmap, tensor: slice) -> dict[str, Array]:
    dims: list[int] = []
    for packed, single in _fields(data, tensor, _DIMS):
        dims += _packed(data, packed) if packed.stop else [single]
    kind = next((_TYPES.get(number) for _, number in _fields(data, tensor, _TYPE)), None)
    raw = next((part for part, _ in _fields(data, tensor, _RAW)), None)
    if kind is None or raw is None:
        return {}
    count = (raw.stop - raw.start) // np.dtype(kind).itemsize
    array = np.frombuffer(data, kind, count, raw.start).reshape(dims)
    return dict.fromkeys(_texts(data, tensor, _NAME), array)


def _texts(data: mmap.mmap, message: slice, wanted: int) -> Iterator[str]:
    for part, _ in _fields(data, message, wanted):
        yield data[part].decode()


def _fields(data: mmap.mmap, message: slice, wanted: int) -> Iterator[tuple[slice, int]]:
    """Yield the fields of a protocol buffer that have a number: where their bytes lie, or, with an
    empty slice, the integer that they are."""
    at = message.start
    while at < message.stop:
        key, at = _integer(data, at)
        value, part = 0, slice(0, 0)
        match key & 7:
            case 0:
                value, at = _integer(data, at)
            case 1:
                at += 8
            case 2:
                length, at = _integer(data, at)
                part, at = slice(at, at + length), at + length
            case 5:
                at += 4
            case _:
                raise ValueError("no protocol buffer")
        if key >> 3 == wanted:
            yield part, value


def _packed(data: mmap.mmap, part: slice) -> Iterator[int]:
    at = part.start
    while at < part.stop:
        value, at = _integer(data, at)
        yield value


def _integer(data: mmap.mmap, at: int) -> tuple[int, int]:
    """Return the integer that begins at a byte, and where the next thing begins."""
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            return value, at
