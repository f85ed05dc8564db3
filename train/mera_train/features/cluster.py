"""Extraction where one machine is too small: on the workers of a Dask scheduler.

Workers read the clips themselves, by the same paths, and must have the same encoders.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from mera_edge.bundle import Bundle
from mera_edge.errors import InputError, MeraError
from mera_train.cluster import called
from mera_train.features.clips import Clip
from mera_train.features.extractor import Extractor, Status, Words
from mera_train.features.store import specification

Arrays = dict[str, NDArray[Any]]


def extracted(
    address: str,
    bundle: Path | None,
    wanted: Mapping[str, Any],
    waiting: Sequence[tuple[Clip, Path]],
) -> Iterator[tuple[Path, Status, Arrays]]:
    """Extract clips on a cluster; yields them in the order in which they are done.

    Args:
        address: of the scheduler, for example ``tcp://host:8786``.
        bundle: whose encoders, at the same path everywhere; the default bundle if unset.
        wanted: of the encoders here: `mera_train.features.store.specification`.
        waiting: clips, each with where its features are kept here.

    Raises:
        InputError: see `mera_train.cluster.called`; or a worker cannot see a clip.
        MeraError: a worker has other encoders.
    """
    extract = partial(_extract, None if bundle is None else bundle.absolute(), dict(wanted))
    far = ((replace(clip, path=clip.path.absolute()), part) for clip, part in waiting)
    for (_, part), result in called(address, extract, far, lost=_lost):
        yield part, *result


def _lost(given: tuple[Clip, Path]) -> tuple[Status, Arrays]:
    return Status(given[0].id, False, ("it ended several workers",)), {}


def _extract(
    bundle: Path | None, wanted: Mapping[str, Any], given: tuple[Clip, Path]
) -> tuple[Status, Arrays]:
    """Run on a worker."""
    clip, _ = given
    extractor, found = _extractor(bundle, wanted["words"])
    if found != wanted:
        raise MeraError(
            "a worker has different encoders",
            "install the same mera-edge and bundle everywhere",
        )
    if not clip.path.is_file():
        raise InputError(
            f"a worker cannot see {clip.path}", "put the clips where all machines see them"
        )
    return extractor.result_of(clip)


@cache
def _extractor(bundle: Path | None, words: Words) -> tuple[Extractor, dict[str, Any]]:
    opened = Bundle.open(bundle)
    return Extractor(opened, words), specification(opened, words)
