"""Activation ranges, measured with ONNX Runtime's calibrators on what the device computes."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np

from mera_calibration.calibration_set import CalibrationSet, Sample
from mera_calibration.instrumented_bundle import InstrumentedBundle, RecordingEngine
from mera_edge.bundle import Bundle, RoleName
from mera_edge.engine.protocol import Array
from mera_edge.errors import InputError
from mera_edge.evaluation.role_evaluators import RoleEvaluator

Method = Literal["minmax", "entropy", "percentile"]
METHODS: tuple[Method, ...] = get_args(Method)

_AT_ONCE = 32
"""Runs of the model whose activations are held in memory at once."""


@dataclass(frozen=True)
class ActivationRanges:
    """The activation ranges of one model."""

    tensors: dict[str, tuple[float, float]]
    """Minimum and maximum of every tensor, by its name in the graph."""
    method: Method
    samples: int
    steps: int
    """Runs of the model; one per chunk for a streaming model."""


class Feeds:
    """Implements ONNX Runtime's `CalibrationDataReader`."""

    def __init__(self, feeds: Sequence[dict[str, Array]]) -> None:
        self._rest = iter(feeds)

    def get_next(self) -> dict[str, Array] | None:
        """Return the next feeds, or ``None`` after the last."""
        return next(self._rest, None)


def recorded_feeds(
    evaluator: RoleEvaluator, bundle: Bundle, role: RoleName, samples: Sequence[Sample]
) -> Iterator[list[dict[str, Array]]]:
    """Run the device's stage on the samples; yield the feeds of its model for each sample.

    Streams run from their beginning, chunk by chunk, so the caches are those of the device.
    """
    recorder = RecordingEngine(bundle.role(role).engine())
    predict = evaluator.predictor(InstrumentedBundle(bundle, role, recorder))
    recorder.take()
    for sample in samples:
        predict(sample.inputs)
        if fed := recorder.take():
            yield fed


def measure_ranges(
    evaluator: RoleEvaluator,
    bundle: Bundle,
    chosen: CalibrationSet,
    method: Method,
    operators: Sequence[str],
) -> ActivationRanges:
    """Measure the range of every tensor that the ``operators`` read or write.

    Args:
        bundle: in full precision.
        chosen: the samples.
        method: minimum and maximum, least divergence (entropy), or the 99.999th percentile.
        operators: ONNX operators to quantize.

    Raises:
        InputError: an unknown method, or most samples are too short for one run of the model.
    """
    if method not in METHODS:
        raise InputError(
            f"unknown calibration method {method!r}", f"choose one of {', '.join(METHODS)}"
        )
    samples = steps = 0
    with tempfile.TemporaryDirectory() as scratch, _quiet():
        calibrator = _calibrator(bundle.role(chosen.role).path(), method, operators, Path(scratch))
        pending: list[dict[str, Array]] = []
        for fed in recorded_feeds(evaluator, bundle, chosen.role, chosen.samples):
            samples, steps = samples + 1, steps + len(fed)
            pending += fed
            while len(pending) >= _AT_ONCE:
                calibrator.collect_data(Feeds(pending[:_AT_ONCE]))
                pending = pending[_AT_ONCE:]
        if pending:
            calibrator.collect_data(Feeds(pending))
        if samples < len(chosen.samples) / 2:
            raise InputError(
                f"{len(chosen.samples) - samples} of {len(chosen.samples)} calibration samples for "
                f"{chosen.role} are too short for one run of its model",
                "use longer training examples",
            )
        found = calibrator.compute_data()
    tensors = {}
    for name, data in sorted(found.items()):
        least, greatest = data.range_value
        tensors[name] = (np.asarray(least).item(), np.asarray(greatest).item())
    return ActivationRanges(tensors, method, samples, steps)


def _calibrator(model: Path, method: Method, operators: Sequence[str], scratch: Path) -> Any:
    from onnxruntime import InferenceSession, SessionOptions
    from onnxruntime.quantization import CalibrationMethod, create_calibrator

    methods = {
        "minmax": CalibrationMethod.MinMax,
        "entropy": CalibrationMethod.Entropy,
        "percentile": CalibrationMethod.Percentile,
    }
    calibrator = create_calibrator(
        model,
        list(operators),
        augmented_model_path=str(scratch / "augmented.onnx"),
        calibrate_method=methods[method],
        extra_options={"symmetric": False},
    )
    # One thread: sums in a fixed order give the same ranges everywhere.
    threads = SessionOptions()
    threads.intra_op_num_threads = 1
    calibrator.infer_session = InferenceSession(
        calibrator.augmented_model_path, threads, providers=["CPUExecutionProvider"]
    )
    return calibrator


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Silence ONNX Runtime's calibrators, which print progress to stdout."""
    with Path(os.devnull).open("w") as nowhere, contextlib.redirect_stdout(nowhere):
        yield
