"""Benefit of 8-bit weights (`--cpu arm64`, `x86-vnni`) over 7-bit weights (`--cpu x86`).

    mera-edge export --out full
    python benchmarks/weight_bits.py full DATA [EXAMPLES [ROLE...]]

Quantizes the models of a bundle in full precision with the ranges that are kept in the project and
compares both on dev examples. Prints a Markdown table. Needs a processor that adds products of
eight bits exactly (VNNI, AMX, 64-bit Arm): others would saturate with 8 bits.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import numpy as np
import onnx

from mera_calibration.activation_ranges import recorded_feeds
from mera_calibration.calibration import load
from mera_calibration.instrumented_bundle import InstrumentedBundle
from mera_calibration.precision_trial import sample
from mera_calibration.qdq import WEIGHT_BITS, InstructionSet, preset_for, quantize, write
from mera_calibration.quality_gate import agreement, predictions
from mera_calibration.sensitivity import divergence
from mera_edge.bundle import Bundle, RoleName
from mera_edge.bundle.processor import is_exact
from mera_edge.engine.onnx import OnnxEngine
from mera_edge.evaluation.role_evaluators import ROLE_EVALUATORS
from mera_export.datasets import Corpora

RANGES = Path("calibration/ranges")
SETS: tuple[InstructionSet, ...] = ("x86", "arm64")


def main() -> None:
    data, count = Path(sys.argv[2]), int(sys.argv[3]) if len(sys.argv) > 3 else 40
    if not is_exact():
        sys.exit("this processor saturates with 8 bits: use one with VNNI, or 64-bit Arm")
    bundle = Bundle.open(Path(sys.argv[1]))
    print("| role | bits | divergence from FP32, nats | equal predictions | n |")
    print("| --- | --- | --- | --- | --- |")
    for role in [role for role in ROLE_EVALUATORS if role in (sys.argv[4:] or ROLE_EVALUATORS)]:
        compare(bundle, role, data, count)


def compare(bundle: Bundle, role: RoleName, data: Path, count: int) -> None:
    """Print a line for every number of bits."""
    evaluator = ROLE_EVALUATORS[role]
    dev = sample(Corpora(data)(role, bundle).dev, count, 0)
    full = bundle.role(role).engine()
    feeds = [fed for stream in recorded_feeds(evaluator, bundle, role, dev) for fed in stream]
    wanted = [full.run(fed) for fed in feeds]
    spoken = predictions(evaluator, bundle, dev)
    model, ranges = onnx.load(bundle.role(role).path()), load(RANGES, role, bundle).ranges
    with tempfile.TemporaryDirectory() as scratch:
        for instruction_set in SETS:
            path = Path(scratch) / f"{role}.onnx"
            write(quantize(model, ranges, preset_for(role), (), "cpu", instruction_set), path)
            engine = OnnxEngine(path)
            pairs = zip(wanted, map(engine.run, feeds), strict=True)
            apart = float(np.mean([divergence(one, other) for one, other in pairs]))
            found = predictions(evaluator, InstrumentedBundle(bundle, role, engine), dev)
            share = agreement(spoken, found)
            bits = WEIGHT_BITS[instruction_set]
            print(f"| {role} | {bits} | {apart:.2g} | {share:.1%} | {len(dev)} |", flush=True)


if __name__ == "__main__":
    main()
