"""Ranges of activations, found by ONNX Runtime's calibrators on what a device really computes."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

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
"""Steps whose inner tensors are held in memory together."""


@dataclass(frozen=True)
class ActivationRanges:
    """What calibration found."""

    tensors: dict[str, tuple[float, float]]
    """Least and greatest value of every tensor, by its name in the graph."""
    method: Method
    samples: int
    steps: int
    """Runs of the model: of a streaming one, chunks."""


class Feeds:
    """Feeds as ONNX Runtime's calibrators take them (its `CalibrationDataReader`)."""

    def __init__(self, feeds: Sequence[dict[str, Array]]) -> None:
        self._rest = iter(feeds)

    def get_next(self) -> dict[str, Array] | None:
        return next(self._rest, None)


def recorded_feeds(
    evaluator: RoleEvaluator, bundle: Bundle, role: RoleName, samples: Sequence[Sample]
) -> Iterator[list[dict[str, Array]]]:
    """Let the device's stage go through the samples; yield what its model was fed for each.

    A stream is heard from its beginning, chunk by chunk, so its caches are those of the device.
    """
    recorder = RecordingEngine(bundle.role(role).engine())
    predict = evaluator.predictor(InstrumentedBundle(bundle, role, recorder))
    recorder.take()
    for sample in samples:
        predict(sample.given)
        if fed := recorder.take():
            yield fed


def find(
    evaluator: RoleEvaluator,
    bundle: Bundle,
    chosen: CalibrationSet,
    method: Method,
    operators: Sequence[str],
) -> ActivationRanges:
    """Find the range of every tensor that the ``operators`` read or write.

    Args:
        bundle: in full precision.
        chosen: the samples.
        method: least and greatest value, least divergence (entropy), or the 99.999th percentile.
        operators: ONNX names of the operators that are to be quantized.

    Raises:
        InputError: an unknown method, or samples that the model was never fed with.
    """
    from onnxruntime import InferenceSession, SessionOptions
    from onnxruntime.quantization import CalibrationMethod, create_calibrator

    if method not in METHODS:
        raise InputError(f"ranges cannot be found by {method!r}", f"by {', '.join(METHODS)}")
    methods = {
        "minmax": CalibrationMethod.MinMax,
        "entropy": CalibrationMethod.Entropy,
        "percentile": CalibrationMethod.Percentile,
    }
    samples = steps = 0
    with tempfile.TemporaryDirectory() as scratch, _quiet():
        calibrator = create_calibrator(
            bundle.role(chosen.role).path(),
            list(operators),
            augmented_model_path=str(Path(scratch) / "augmented.onnx"),
            calibrate_method=methods[method],
            extra_options={"symmetric": False},
        )
        # One thread: the same sums in the same order, so the same ranges, on every machine.
        threads = SessionOptions()
        threads.intra_op_num_threads = 1
        calibrator.infer_session = InferenceSession(
            calibrator.augmented_model_path, threads, providers=["CPUExecutionProvider"]
        )
        waiting: list[dict[str, Array]] = []
        for fed in recorded_feeds(evaluator, bundle, chosen.role, chosen.samples):
            samples, steps = samples + 1, steps + len(fed)
            waiting += fed
            while len(waiting) >= _AT_ONCE:
                calibrator.collect_data(Feeds(waiting[:_AT_ONCE]))
                waiting = waiting[_AT_ONCE:]
        if waiting:
            calibrator.collect_data(Feeds(waiting))
        if samples < len(chosen.samples) / 2:
            raise InputError(
                f"{len(chosen.samples) - samples} of {len(chosen.samples)} calibration samples for "
                f"{chosen.role} gave its model nothing to do",
                "they are too short or empty: give other training material with --data",
            )
        found = calibrator.compute_data()
    tensors = {}
    for name, data in found.items():
        least, greatest = data.range_value
        tensors[name] = (np.asarray(least).item(), np.asarray(greatest).item())
    return ActivationRanges(tensors, method, samples, steps)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """ONNX Runtime's calibrators print their progress on stdout, where only results belong."""
    with Path(os.devnull).open("w") as nowhere, contextlib.redirect_stdout(nowhere):
        yield
