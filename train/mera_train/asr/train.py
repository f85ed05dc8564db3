"""Training of the recognizer."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mera_edge.errors import InputError
from mera_edge.features.fbank import BINS
from mera_train import audio, checkpoint
from mera_train.asr import alignment, pretrained, report
from mera_train.asr.card import card
from mera_train.asr.config import Config
from mera_train.asr.corpora import Utterance, location
from mera_train.asr.data import Frames
from mera_train.asr.material import gather, trainable
from mera_train.asr.networks import Network, build
from mera_train.asr.pretrained import PretrainedConfig
from mera_train.asr.task import RecognitionTask, rates
from mera_train.asr.units import Units
from mera_train.asr.whisper import Whisper
from mera_train.loop import fit
from mera_train.provenance import origin_text
from mera_train.run import device

_FITTED = 200
"""Number of recordings for fitting the feature map of a pretrained encoder."""


def cmvn(frames: Frames, utterances: Sequence[Utterance]) -> tuple[Tensor, Tensor]:
    """Return mean and inverse standard deviation of every bin."""
    total, squares, count = np.zeros(BINS), np.zeros(BINS), 0
    for utterance in utterances:
        part = frames.get(utterance).astype(np.float64)
        total, squares, count = total + part.sum(0), squares + (part**2).sum(0), count + len(part)
    mean = total / count
    deviation = np.sqrt(squares / count - mean**2)
    return torch.from_numpy(mean).float(), torch.from_numpy(1 / deviation).float()


def _units(config: Config, texts: Sequence[str]) -> Units:
    """Load the units of another checkpoint, or learn new ones."""
    source = config.init_checkpoint or config.units
    if not isinstance(source, Path):
        return Units.learn(texts, source)
    units = Units(checkpoint.load(source).settings(Config).symbols)
    if missing := units.unwritable("".join(texts)):
        raise InputError(
            f"{source} has no units for {' '.join(sorted(missing)[:20])}",
            "rewrite or leave out these texts, or start without it",
        )
    return units


def _pretrained(
    model: Network, config: PretrainedConfig, data: Path, utterances: Sequence[Utterance]
) -> None:
    """Load the pretrained weights into a Whisper network."""
    if not isinstance(model, Whisper):
        raise InputError("pretrained weights are for `kind: whisper`", "leave them out")
    some = utterances[:: max(1, len(utterances) // _FITTED)]
    heard = (audio.read(location(data, u.corpus), u.file) for u in some)
    pretrained.fill(model, config, pretrained.fit(model, heard))


def train(config: Config, data: Path, out: Path, resume: bool | Path) -> dict[str, Any]:
    """Train a recognizer on the corpora in ``data`` and write its checkpoint to ``out``.

    Also writes ``report.md`` with curves and the worst dev utterances.

    Returns:
        Metrics on the dev speakers: ``loss`` (nats per unit), ``wer``, ``cer``; ``dev``: `rates`.

    Raises:
        InputError: a corpus is unusable, or the units of ``config.init_checkpoint`` do not cover
            its texts.
    """
    material = gather(config, data, out, resume)
    config, frames, read = material.config, material.frames, material.synthetic
    units = _units(config, [u.text for u in [*material.train, *read]])
    training = trainable(material, units)
    torch.manual_seed(config.loop.seed)
    model = build(config.model, *cmvn(frames, training), len(units.symbols))
    if config.init_checkpoint is not None:
        first = checkpoint.load(config.init_checkpoint)
        if first.settings(Config).model.phone_head_block != config.model.phone_head_block:
            # The phone head has another input: it is trained from scratch.
            first.weights.update(
                {f"phones.{name}": value for name, value in model.phones.state_dict().items()}
            )
        first.fill(model)
    if config.pretrained is not None:
        _pretrained(model, config.pretrained, data, training)
    named = config.frame_ce_epochs > 0 or config.phone_loss_weight > 0
    aligned = alignment.prepare(
        data, training if named else [], out / "alignment.npz", material.digests
    )
    used = [*training, *material.dev, *read]
    task = RecognitionTask(config, model, units, frames, aligned, used, material.noise)
    chosen = fit(task, config.loop, out, material.made, resume)
    # Eleven bits are as accurate, and the files compress to two thirds.
    for parameter in task.model.parameters():
        parameter.data = parameter.data.half().float()
    with torch.inference_mode():
        heard, _ = task.decode_dev(task.model, device())
    report.write(out, [u.text for u in heard], list(heard.values()))
    written = config.model_copy(update={"symbols": units.symbols})
    metrics = {
        **chosen,
        "dev": rates(heard),
        "begun": _begun(config),
        "hours": _hours(frames, training),
        "synthetic_hours": sum(_hours(frames, read).values()),
    }
    checkpoint.save(out, model, written, metrics, card_text(written, metrics))
    return metrics


def card_text(config: Config, metrics: dict[str, Any]) -> str:
    """Return the model card."""
    return card(config, metrics)


def _begun(config: Config) -> str:
    if config.pretrained is not None:
        file, digest = config.pretrained.file.name, config.pretrained.sha256
        return f"begun from the pretrained weights {file} (SHA-256 {digest})"
    return origin_text(config.init_checkpoint)


def _hours(frames: Frames, utterances: Sequence[Utterance]) -> dict[str, float]:
    """Return the hours of each corpus."""
    found: dict[str, float] = {}
    for utterance in utterances:
        before = found.get(utterance.corpus, 0.0)
        found[utterance.corpus] = before + frames.count(utterance) / 360_000
    return found
