"""Export of torch modules to ONNX, with a comparison of the outputs."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from torch import nn

from mera_edge.bundle.manifest import FileEntry, RoleEntry, Tensor
from mera_edge.engine.onnx import OnnxEngine
from mera_edge.errors import CheckFailed
from mera_train.checkpoint import Checkpoint

OPSET = 18
"""The oldest with all operators of our models; supported by TensorRT 10.3 (JetPack 6) and newer."""

TOLERANCE = 1e-4
"""Largest difference allowed between torch and ONNX Runtime, on any output."""

_DTYPES = {torch.float32: "float32", torch.int64: "int64", torch.bool: "bool"}


@dataclass(frozen=True)
class Prepared:
    """A trained network, prepared for export."""

    network: nn.Module
    """The network of the checkpoint."""
    module: nn.Module
    """Wrapper: ``forward`` takes ``inputs`` in order and returns ``outputs``."""
    inputs: Mapping[str, torch.Tensor]
    """Realistic examples."""
    outputs: tuple[str, ...]


@dataclass(frozen=True)
class Exported:
    """The result of an export: the interface for the manifest, and the difference from torch."""

    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    difference: float
    """Largest absolute difference between torch and ONNX Runtime."""


def to_onnx(
    prepared: Prepared,
    path: Path,
    metadata: Mapping[str, str] | None = None,
    units: Mapping[str, str] | None = None,
) -> Exported:
    """Export a network with static shapes, and compare torch with ONNX Runtime.

    Args:
        prepared: the network.
        path: the file to write. The export is deterministic.
        metadata: ``metadata_props`` for other runtimes.
        units: units of inputs and outputs, for the manifest.

    Raises:
        CheckFailed: the difference is above `TOLERANCE`; no file is written.
    """
    module, inputs, outputs = prepared.module.eval(), prepared.inputs, prepared.outputs
    examples = tuple(inputs.values())
    with _quiet(), torch.no_grad():
        expected = module(*examples)
        program = torch.onnx.export(
            module,
            examples,
            input_names=list(inputs),
            output_names=list(outputs),
            opset_version=OPSET,
            # The other exporter is unmaintained and drops inputs that a model does not read,
            # which the streaming recognizer's interface has.
            dynamo=True,
            verbose=False,
        )
    if program is None:
        raise CheckFailed(f"torch could not export {path.name}", "see the log above")
    model = program.model_proto
    _forget_the_machine(model)
    onnx.helper.set_model_props(model, dict(sorted((metadata or {}).items())))
    onnx.checker.check_model(model)
    path.write_bytes(model.SerializeToString(deterministic=True))

    feeds = {name: tensor.numpy() for name, tensor in inputs.items()}
    answers = OnnxEngine(path).run(feeds)
    expected = (expected,) if isinstance(expected, torch.Tensor) else expected
    given = dict(zip(outputs, expected, strict=True))
    difference = max(
        float(np.abs(answers[name] - tensor.numpy()).max()) for name, tensor in given.items()
    )
    # Written so that NaN fails too.
    if not difference <= TOLERANCE:
        path.unlink()
        raise CheckFailed(
            f"{path.name}: torch and ONNX Runtime differ by {difference:.2g}",
            f"at most {TOLERANCE} is allowed: look for an operator that exports differently",
        )
    return Exported(_described(inputs, units or {}), _described(given, units or {}), difference)


@contextmanager
def _quiet() -> Iterator[None]:
    """Hide the exporter's warnings about torchvision operators, which no model here uses."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)


def export_model(
    loaded: Checkpoint,
    prepared: Prepared,
    path: Path,
    *,
    metadata: Mapping[str, str] | None = None,
    units: Mapping[str, str] | None = None,
    files: Mapping[str, Path] | None = None,
    **facts: Any,
) -> RoleEntry:
    """Export the network of a checkpoint with `to_onnx`, and describe it for the manifest.

    Args:
        loaded: the checkpoint.
        prepared: its network.
        path: the file to write.
        metadata: see `to_onnx`.
        units: see `to_onnx`.
        files: additional files of the model, already written.
        facts: other fields of `RoleEntry`.

    Raises:
        CheckFailed: outputs of torch and ONNX Runtime differ.
    """
    exported = to_onnx(prepared, path, metadata, units)
    return RoleEntry(
        files={name: FileEntry.of(p) for name, p in {"model": path, **(files or {})}.items()},
        precision="fp32",
        inputs=exported.inputs,
        outputs=exported.outputs,
        metrics=loaded.figures,
        licence=loaded.licence,
        card=loaded.card,
        **facts,
    )


def _described(tensors: Mapping[str, torch.Tensor], units: Mapping[str, str]) -> tuple[Tensor, ...]:
    return tuple(
        Tensor(
            name=name,
            shape=tuple(tensor.shape),
            dtype=_DTYPES[tensor.dtype],
            unit=units.get(name, ""),
        )
        for name, tensor in tensors.items()
    )


def _forget_the_machine(model: onnx.ModelProto) -> None:
    """Drop stack traces and file paths that the exporter leaves in the graph."""
    model.doc_string = ""
    model.graph.doc_string = ""
    del model.graph.metadata_props[:]
    for node in model.graph.node:
        node.doc_string = ""
        del node.metadata_props[:]
    for value in [*model.graph.input, *model.graph.output, *model.graph.value_info]:
        value.doc_string = ""
        del value.metadata_props[:]
    for tensor in model.graph.initializer:
        tensor.doc_string = ""
        del tensor.metadata_props[:]
