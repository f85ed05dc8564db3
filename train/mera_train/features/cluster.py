"""Extraction where one machine is too small: on the workers of a Dask scheduler.

Workers may come and go. A clip whose worker was lost is extracted by another one; what was done is
written here, as everywhere, so that an interrupted run resumes. Workers read the clips themselves,
by the same paths, and must have the same encoders.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import CancelledError
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from mera_edge.bundle import Bundle
from mera_edge.errors import InputError, MeraError
from mera_train.features.clips import Clip
from mera_train.features.extractor import Extractor, Status, Words
from mera_train.features.store import specification

Arrays = dict[str, NDArray[Any]]

CONNECT_S = 20
"""How long a scheduler is waited for."""

_one_at_a_time = threading.Lock()


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
        InputError: Dask is not installed, the scheduler does not answer or has gone, or a worker
            cannot see a clip or has other encoders.
    """
    try:
        import distributed
    except ImportError as error:
        raise InputError("Dask is not installed", "pip install 'mera-edge[dask]'") from error
    dask: Any = distributed
    try:
        client = dask.Client(address, timeout=CONNECT_S, set_as_default=False)
    except (OSError, ValueError) as error:
        raise InputError(
            f"the scheduler {address} does not answer ({error})",
            "start one with `dask scheduler`, and give its address",
        ) from error
    at = None if bundle is None else bundle.absolute()
    with client:
        if not client.scheduler_info()["workers"]:
            print(f"{address} has no workers yet: waiting for one", file=sys.stderr)
        futures = {}
        for clip, part in waiting:
            far = replace(clip, path=clip.path.absolute())
            future = client.submit(_extract, at, dict(wanted), far, pure=False)
            futures[future] = clip, part
        for future in dask.as_completed(list(futures), loop=client.loop):
            clip, part = futures.pop(future)
            try:
                status, arrays = future.result()
            except dask.KilledWorker:
                status, arrays = Status(clip.id, False, ("it ended several workers",)), {}
            except CancelledError as error:
                raise InputError(
                    f"the scheduler {address} no longer answers",
                    "restart it and run the same command again: it resumes",
                ) from error
            except ModuleNotFoundError as error:
                raise InputError(
                    f"the workers of {address} have no {error.name}",
                    "install the same mera-edge there: pip install 'mera-edge[train,dask]'",
                ) from error
            yield part, status, arrays


def _extract(bundle: Path | None, wanted: Mapping[str, Any], clip: Clip) -> tuple[Status, Arrays]:
    """Run on a worker."""
    # A worker may run several tasks in threads; a pipeline is one recording's at a time.
    with _one_at_a_time:
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
