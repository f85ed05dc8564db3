"""The text encoder as ONNX, and its tokenizer."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn

from mera_calibration.calibration_set import Example
from mera_calibration.request import Dataset
from mera_edge.bundle import Bundle, RoleEntry
from mera_edge.features.text import SPEC, normalise
from mera_edge.labels import EMOTIONS
from mera_export.onnx import Prepared, export_model
from mera_train import checkpoint
from mera_train.checkpoint import Checkpoint
from mera_train.text import data as texts
from mera_train.text.config import Config
from mera_train.text.model import TextEncoder
from mera_train.text.tokenizer import TOKENIZER, read, tokenize

CORPORA = (texts.ARCHIVE,)
"""Corpora for calibration and the gate; see `mera_export.datasets`."""

OUTPUTS = ("probabilities", "valence", "embedding")
UNITS = {
    "tokens": "token number, 0 is padding",
    "probabilities": "probability",
    "valence": "-1 to 1",
}
EXAMPLE = "I'm so glad you came, this is the best day I have had in years!"


class TextOutputs(nn.Module):
    """The encoder with its temperature, in the shapes of the bundle."""

    def __init__(self, model: TextEncoder) -> None:
        super().__init__()
        self.model = model
        # Checkpoints store 16 bits, which TensorRT does not read.
        model.ngrams.keys = model.ngrams.get_buffer("keys").int()

    def forward(self, tokens: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Compute the outputs of the exported model from its inputs."""
        logits, valence, embedding = self.model(tokens)
        probabilities = torch.softmax(logits / self.model.temperature, dim=1)
        return probabilities, valence.unsqueeze(1), embedding


def prepare(loaded: Checkpoint) -> Prepared:
    """Build the encoder of a checkpoint.

    Raises:
        InputError, ConfigError: the checkpoint is inconsistent.
    """
    config = loaded.settings(Config)
    model = loaded.fill(TextEncoder(config.model))
    inputs = {"tokens": torch.zeros(1, config.max_length, dtype=torch.int64)}
    found = tokenize(read(loaded.directory), [normalise(EXAMPLE)], config.max_length)
    inputs["tokens"][:, : found.shape[1]] = found
    return Prepared(model, TextOutputs(model), inputs, OUTPUTS)


def export(checkpoint_directory: Path, out: Path) -> RoleEntry:
    """Export a checkpoint to ``text.onnx`` and ``text-tokenizer.json`` in ``out``.

    Raises:
        InputError, ConfigError: the checkpoint cannot be read.
        CheckFailed: torch and ONNX Runtime do not agree.
    """
    loaded = checkpoint.load(checkpoint_directory)
    config = loaded.settings(Config)
    prepared, tokenizer_path = prepare(loaded), out / "text-tokenizer.json"
    # Compact JSON, without the whitespace of the checkpoint's file.
    facts = json.loads((checkpoint_directory / TOKENIZER).read_text(encoding="utf-8"))
    compact = json.dumps(facts, ensure_ascii=False, separators=(",", ":"))
    tokenizer_path.write_text(compact, encoding="utf-8")
    return export_model(
        loaded,
        prepared,
        out / "text.onnx",
        metadata={"labels": ",".join(EMOTIONS)},
        units=UNITS,
        files={"tokenizer": tokenizer_path},
        labels=EMOTIONS,
        features=SPEC,
        settings={"longest": config.max_length},
        calibration={"temperature": float(loaded.weights["temperature"])},
    )


def dataset(data: Path, bundle: Bundle) -> Dataset:
    """List the examples of `CORPORA` in ``data``."""
    parts: dict[str, list[Example]] = {"train": [], "dev": [], "test": []}
    for number, row in enumerate(texts.sentences(data)):
        # As in the evaluation of training: only sentences with exactly one emotion.
        if len(row.emotions) == 1:
            name = f"{row.corpus}/{row.split}/{number}"
            parts[row.split].append(
                Example(name, row.emotions[0], row.corpus, partial(str, row.text))
            )
    return Dataset(parts["train"], parts["dev"])
