"""The recognizer as one ONNX file that mera-edge and sherpa-onnx both load."""

from __future__ import annotations

import shutil
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn

from mera_calibration.calibration_set import Example
from mera_calibration.request import Dataset
from mera_edge.bundle import Bundle, RoleEntry
from mera_edge.errors import InputError
from mera_edge.features.fbank import BINS, SPEC
from mera_edge.metrics.word_error_rate import normalized
from mera_export.onnx import Prepared, export_model
from mera_train import audio, checkpoint
from mera_train.asr import data as speeches
from mera_train.asr.config import Config
from mera_train.asr.corpora import location
from mera_train.asr.encoder import ModelConfig
from mera_train.asr.language_model import FILE as LANGUAGE_MODEL
from mera_train.asr.lexicon import FILE as WORDS
from mera_train.asr.networks import Network, build
from mera_train.checkpoint import Checkpoint

CORPORA = speeches.TRAINING
"""Corpora for calibration and the gate; see `mera_export.datasets`."""

OUTPUTS = ("log_probs", "next_attn_cache", "next_conv_cache")


class Streaming(nn.Module):
    """One window at a time, with the inputs and outputs of WeNet's streaming CTC export.

    sherpa-onnx feeds them by position. ``required_cache_size`` is part of the interface, but not
    needed for caches of fixed size.
    """

    def __init__(self, model: Network) -> None:
        super().__init__()
        self.model = model

    def forward(
        self,
        x: Tensor,
        offset: Tensor,
        required_cache_size: Tensor,
        attn_cache: Tensor,
        conv_cache: Tensor,
        attn_mask: Tensor,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Compute the outputs of the exported model from its inputs."""
        return self.model.stream(x, offset, attn_cache, conv_cache, attn_mask)


def prepare(loaded: Checkpoint) -> Prepared:
    """Build the recognizer of a checkpoint.

    Raises:
        InputError, ConfigError: the checkpoint is inconsistent.
    """
    return _prepare(loaded, loaded.settings(Config))


def _prepare(loaded: Checkpoint, config: Config) -> Prepared:
    model = loaded.fill(
        build(config.model, torch.zeros(BINS), torch.ones(BINS), len(config.symbols))
    )
    return Prepared(model, Streaming(model), example(model), OUTPUTS)


def export(checkpoint_directory: Path, out: Path, chunk: int | None = None) -> RoleEntry:
    """Export a checkpoint to ``asr.onnx`` and ``asr-tokens.txt`` in ``out``, with language model
    and lexicon if it has them.

    Args:
        checkpoint_directory: checkpoint of the recognizer.
        out: directory of the bundle.
        chunk: chunk size in encoder frames, instead of the checkpoint's; the left context is
            unchanged.

    Raises:
        InputError, ConfigError: the checkpoint cannot be read, or its left context is not a
            multiple of the chunk size.
        CheckFailed: torch and ONNX Runtime do not agree.
    """
    loaded = checkpoint.load(checkpoint_directory)
    config = loaded.settings(Config)
    if chunk is not None:
        config = config.model_copy(update={"model": _with_chunk(config.model, chunk)})
    shape = config.model
    metadata = {
        "model_type": "wenet_ctc",
        "head": shape.heads,
        "num_blocks": shape.blocks,
        "output_size": shape.width,
        "cnn_module_kernel": shape.kernel_size,
        "right_context": shape.right_context,
        "subsampling_factor": shape.subsampling_factor,
        "vocab_size": len(config.symbols),
        "chunk_size": shape.chunk_size,
        "left_chunks": shape.left_chunks,
    }
    tokens_path = out / "asr-tokens.txt"
    files = {"tokens": tokens_path}
    for name, file in (("language_model", LANGUAGE_MODEL), ("words", WORDS)):
        if (checkpoint_directory / file).exists():
            files[name] = out / f"asr-{file}"
            shutil.copyfile(checkpoint_directory / file, files[name])
    if "words" in files and "language_model" not in files:
        raise InputError(
            f"{checkpoint_directory} has a lexicon, but no language model",
            "make it: mera-edge train language-model CHECKPOINT DATA",
        )
    lines = [f"{symbol} {index}\n" for index, symbol in enumerate(config.symbols)]
    tokens_path.write_text("".join(lines), encoding="utf-8")
    return export_model(
        loaded,
        _prepare(loaded, config),
        out / "asr.onnx",
        metadata={key: str(value) for key, value in metadata.items()},
        units={"x": "log-mel", "log_probs": "log-probability", "offset": "encoder frames"},
        files=files,
        features=SPEC,
        settings={"chunk_size": shape.chunk_size, "left_chunks": shape.left_chunks},
    )


def _with_chunk(shape: ModelConfig, chunk: int) -> ModelConfig:
    if chunk < 1 or shape.left % chunk:
        raise InputError(
            f"a past of {shape.left} encoder frames is not a whole number of chunks of {chunk}",
            f"choose one of {', '.join(str(n) for n in (2, 4, 8, 16) if shape.left % n == 0)}",
        )
    return shape.model_copy(update={"chunk_size": chunk, "left_chunks": shape.left // chunk})


def example(model: Network) -> dict[str, Tensor]:
    """Return the inputs of the third window of a stream, with partly filled caches."""
    config = model.config
    generator = torch.Generator().manual_seed(0)
    attention = torch.zeros(
        config.blocks, config.heads, config.left, 2 * config.width // config.heads
    )
    convolution = torch.zeros(config.blocks, 1, config.width, config.kernel_size - 1)
    visible = torch.zeros(1, 1, config.left + config.chunk_size, dtype=torch.bool)
    visible[..., config.left :] = True
    for number in range(3):
        noise = torch.randn(1, config.window, BINS, generator=generator)
        frames = model.mean + noise / model.inverse_std
        inputs = {
            "x": frames,
            "offset": torch.tensor([config.left + number * config.chunk_size]),
            "required_cache_size": torch.tensor([config.left]),
            "attn_cache": attention,
            "conv_cache": convolution,
            "attn_mask": visible,
        }
        with torch.no_grad():
            _, attention, convolution = model.stream(
                frames, inputs["offset"], attention, convolution, visible
            )
        visible = torch.cat(
            [visible[..., config.chunk_size :], visible[..., -config.chunk_size :]], dim=-1
        )
    return inputs


def dataset(data: Path, bundle: Bundle) -> Dataset:
    """List the examples of `CORPORA` in ``data``."""
    parts: dict[str, list[Example]] = {"train": [], "dev": [], "test": []}
    for row in speeches.speech(data):
        where = location(data, row.corpus)
        parts[row.split].append(
            Example(
                f"{row.corpus}/{row.file}",
                normalized(row.text),
                f"{row.corpus}/{row.speaker}",
                partial(audio.log_mel_of, where, row.file),
            )
        )
    return Dataset(parts["train"], parts["dev"])
