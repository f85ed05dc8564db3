"""`mera-edge export verify BUNDLE`: compare a bundle with its checkpoints."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

import onnx

from mera_calibration import quality_gate
from mera_calibration.calibration_set import Sample
from mera_calibration.precision_trial import sample
from mera_calibration.quality_gate import AcceptanceLimits, Comparison, Measurement
from mera_calibration.request import Datasets
from mera_edge.bundle import Bundle, Role, RoleName
from mera_edge.engine.onnx import OnnxEngine
from mera_edge.evaluation.role_evaluators import ROLE_EVALUATORS
from mera_export.bundle import ROLES, export_bundle
from mera_export.datasets import Corpora
from mera_export.legality import violations
from mera_export.onnx import TOLERANCE
from mera_export.tensorrt_rtx import installed, try_build

EXAMPLES = 1500
"""Most dev examples per role, as in the gate."""


@dataclass(frozen=True)
class Check:
    """The result of one comparison."""

    role: str
    what: str
    found: str
    passed: bool


def verify(
    path: Path,
    checkpoints: Path,
    data: Path | None = None,
    limits: AcceptanceLimits | None = None,
    progress: Callable[[str], None] = lambda message: None,
    datasets: Datasets | None = None,
    only: Collection[RoleName] | None = None,
) -> list[Check]:
    """Compare torch, ONNX in full precision and the bundle, and streaming with offline.

    Args:
        path: the bundle.
        checkpoints: directory of its checkpoints.
        data: directory of the corpora, or examples of one role. Without these, and without examples
            in the checkpoint, only torch is compared with ONNX, and TensorRT files are checked.
        limits: accepted losses of the bundle's precisions.
        progress: receives progress messages.
        datasets: source of examples; ``None``: ``data``.
        only: the roles to verify; ``None``: all.

    Raises:
        BundleError: the bundle is altered or incomplete.
        InputError: a checkpoint or a corpus is missing.
        CheckFailed: outputs of torch and ONNX differ.
    """
    bundle = Bundle.open(path)
    files = sum(len(entry.files) for entry in bundle.manifest.roles.values())
    checks = [Check("bundle", "hashes", f"{files} files as described", True)]
    roles = [r for r in bundle.manifest.roles if r in ROLES and (only is None or r in only)]
    own = Corpora(data, checkpoints)
    if datasets is None:
        own.for_roles(roles)
    with tempfile.TemporaryDirectory(prefix="mera-verify-") as scratch:
        # The export compares torch with ONNX, and raises if they differ.
        asr = bundle.manifest.roles.get("asr")
        full = export_bundle(
            checkpoints,
            Path(scratch) / "full",
            roles,
            progress=lambda r: progress(f"{r}: torch"),
            chunk=None if asr is None else asr.settings["chunk_size"],
        )
        for role in roles:
            checks.append(Check(role, "torch = ONNX", f"within {TOLERANCE:g}", True))
            checks += _tensorrt(bundle.role(role))
            if role not in ROLE_EVALUATORS:
                same = bundle.role(role).path().read_bytes() == full.role(role).path().read_bytes()
                words = "the same bytes" if same else "other bytes"
                checks.append(Check(role, "checkpoint = bundle", words, same))
            elif datasets is not None or own.has(role):
                progress(f"{role}: {EXAMPLES} examples")
                given = (datasets or own)(role, full)
                dev = sample(given.dev, EXAMPLES, 0)
                checks += _compared(role, full, bundle, dev, limits or AcceptanceLimits())
    return checks


def _compared(
    role: RoleName,
    full: Bundle,
    bundle: Bundle,
    dev: list[Sample],
    limits: AcceptanceLimits,
) -> Iterator[Check]:
    asked = ROLE_EVALUATORS[role]
    one, other = (
        quality_gate.predictions(asked, full, dev),
        quality_gate.predictions(asked, bundle, dev),
    )
    precision = bundle.role(role).entry.precision
    name = f"FP32 = {precision.upper()}"
    if precision == "fp32":
        apart = max(map(quality_gate.difference, one, other))
        yield Check(role, name, f"apart by {apart:.2g}", apart <= TOLERANCE)
    else:
        truth, labels = [sample.example.label for sample in dev], asked.labels(full)
        before, after = (quality_gate.score(asked, truth, found, labels) for found in (one, other))
        share = quality_gate.agreement(one, other)
        whole, small = (Measurement(0, measured, None) for measured in (before, after))
        compared = Comparison(whole, small, len(dev), share, None)
        words = f"{asked.metric} drops {compared.drop:.2f} points, {share:.1%} equal answers"
        failures = quality_gate.quality_failures(compared, limits)
        yield Check(role, name, "; ".join([words, *failures]), not failures)
    apart_in_pieces = quality_gate.stream_difference(asked, bundle, dev)
    if apart_in_pieces is not None:
        words = f"apart by {apart_in_pieces:.2g}"
        passed = apart_in_pieces <= quality_gate.STREAMING_TOLERANCE
        yield Check(role, "stream = offline", words, passed)


def _tensorrt(role: Role) -> Iterator[Check]:
    if role.entry.tensorrt is None:
        return
    path = role.path("tensorrt")
    found = violations(onnx.load(path))
    words = "nothing that TensorRT refuses" if not found else f"{found[0].node}: {found[0].what}"
    yield Check(role.name, f"TensorRT {role.entry.tensorrt.upper()}", words, not found)
    if installed():
        (verdict,) = try_build([path])
        words = verdict.complaint or "builds"
        yield Check(role.name, "NVIDIA's parser and builder", words, verdict.accepted)
    same = OnnxEngine(path).inputs == role.engine().inputs
    yield Check(role.name, "inputs of both files", "equal" if same else "not equal", same)
