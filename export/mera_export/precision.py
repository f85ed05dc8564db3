"""Connects the search for smaller precisions with export and training."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import onnx
from rich.console import Console

from mera_calibration.precision_search import PrecisionSearch, SearchResult
from mera_calibration.request import PrecisionRequest
from mera_edge.bundle import Bundle, RoleName
from mera_export.datasets import Corpora
from mera_export.legality import violations


def precision_search(
    data: Path | None,
    checkpoints: Path,
    roles: Collection[RoleName],
    fine_tune: int,
    console: Console,
    **options: Any,
) -> Callable[[Bundle], SearchResult]:
    """Return a function that searches smaller precisions for a bundle and shows its progress.

    Args:
        data: directory of the corpora, or examples of one role. Not needed for checkpoints with
            their own examples.
        checkpoints: directory with one checkpoint per role.
        roles: roles to try.
        fine_tune: steps of quantization-aware training; 0: none.
        console: for progress.
        options: other fields of `PrecisionRequest`.

    Raises:
        InputError: an option is invalid, or a corpus is missing.
    """
    datasets = Corpora(data, checkpoints).for_roles(roles)
    status = console.status("comparing precisions")
    needs: dict[str, Any] = {}
    if any(map(datasets.has, roles)):
        needs["datasets"] = datasets
    if data is not None and data.is_dir():
        from mera_export.fusion_check import Fused

        needs["fused"] = Fused(data, status.update)
    if fine_tune:
        from mera_export.qat import QuantizationAwareTraining

        needs["fine_tune"] = QuantizationAwareTraining(checkpoints, fine_tune, status.update)
    request = PrecisionRequest(
        roles=tuple(roles),
        **options,
        **needs,
        tensorrt_violations=_violations,
        progress=status.update,
        report=partial(console.print, style="dim"),
    )
    request.require_corpora(roles)

    def search(bundle: Bundle) -> SearchResult:
        with status:
            return PrecisionSearch(request).run(bundle)

    return search


def _violations(model: onnx.ModelProto) -> Sequence[str]:
    return [f"{found.node}: {found.what}" for found in violations(model)]
