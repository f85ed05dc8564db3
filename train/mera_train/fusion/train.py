"""Training of the fusion: `mera-edge train fusion`."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from mera_edge.bundle import Bundle
from mera_edge.labels import EMOTIONS, MODALITIES, VALENCE
from mera_edge.metrics.classification import classification
from mera_train import checkpoint, fingerprint, state
from mera_train.fusion import from_features
from mera_train.fusion.card import card
from mera_train.fusion.compose import CLEAN, Composed, Composition, compose
from mera_train.fusion.config import Config
from mera_train.fusion.evidence import Pool, collect, contents
from mera_train.fusion.model import Fused, Mtme
from mera_train.fusion.supervision import SUBSETS, Batch, MultiTask, Supervised
from mera_train.fusion.uncertainty import uncertainty
from mera_train.loop import fit
from mera_train.rows import select
from mera_train.temperature import fit_temperature

EXAMPLES = 4200
"""Number of composed dev examples, and of test examples; a multiple of seven."""


class FusionTask(MultiTask):
    """Training task for composed examples."""

    def __init__(self, config: Config, train: Composed, dev: Composed) -> None:
        self.dev, self.examples = dev, train
        self.tensors = Tensors.of(train)
        widths = {name: values.shape[1] for name, values in train.embeddings.items()}
        network = Mtme(config.model, widths)
        network.normalise_by(self.tensors.embeddings)
        there = torch.ones(len(train), len(MODALITIES))
        super().__init__(config, Supervised(network, self.tensors.valence), there)

    def loss(self, batch: Batch, device: torch.device) -> Tensor:
        """Return the loss of emotion and valence, plus Self-MM's weighted unimodal valences."""
        data = self.tensors.at(batch.rows)
        fused = data.through(self.model.network, batch.kept)
        emotion = nn.functional.cross_entropy(fused.logits, data.emotions)
        return self.total(emotion, fused, data.valence, batch)

    def evaluate(self, model: Supervised, device: torch.device) -> dict[str, float]:
        """Return metrics with all three modalities on the dev examples."""
        probabilities, valence, _ = answers(model.network, self.dev, SUBSETS[0])
        found = measure(self.dev, probabilities)
        error = float(np.abs(valence - self.dev.valence).mean())
        return {"macro_f1": found["macro_f1"], "ece": found["ece"], "valence_error": error}


@dataclass
class Tensors:
    """Composed examples as tensors."""

    embeddings: dict[str, Tensor]
    probabilities: Tensor
    age_s: Tensor
    emotions: Tensor
    valence: Tensor

    @classmethod
    def of(cls, examples: Composed) -> Tensors:
        """Convert."""
        return cls(
            {name: torch.from_numpy(values) for name, values in examples.embeddings.items()},
            torch.from_numpy(examples.probabilities),
            torch.from_numpy(examples.age_s),
            torch.from_numpy(examples.emotions),
            torch.from_numpy(examples.valence),
        )

    def at(self, rows: Tensor) -> Tensors:
        """Return some rows."""
        return select(self, rows)

    def through(self, network: Mtme, present: Tensor) -> Fused:
        """Run the network with the modalities in ``present [n, 3]``."""
        fused: Fused = network(self.embeddings, self.probabilities, present, self.age_s)
        return fused


def answers(
    network: Mtme, examples: Composed, subset: tuple[float, ...]
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
    """Fuse a subset: probabilities ``[n, 7]``, valence ``[n]``, weights ``[n, 3]``."""
    with torch.inference_mode():
        present = torch.tensor(subset).expand(len(examples), -1)
        fused = Tensors.of(examples).through(network, present)
        probabilities = torch.softmax(fused.logits, dim=1)
    return probabilities.numpy(), fused.valence.clamp(-1, 1).numpy(), fused.weights.numpy()


def measure(examples: Composed, probabilities: NDArray[np.floating]) -> dict[str, Any]:
    """Compare probabilities with the true emotions."""
    return classification([EMOTIONS[i] for i in examples.emotions], probabilities, EMOTIONS)


def compare(network: Mtme, examples: Composed) -> list[dict[str, Any]]:
    """Compare fusion, best single modality and mean for every subset of modalities."""
    table = []
    for subset in SUBSETS:
        columns = [i for i, kept in enumerate(subset) if kept]
        shares = answers(network, examples, subset)[0]
        fused = measure(examples, shares)
        sure = uncertainty(examples, shares, columns)
        singles = {
            MODALITIES[i]: measure(examples, examples.probabilities[:, i])["macro_f1"]
            for i in columns
        }
        mean = measure(examples, examples.probabilities[:, columns].mean(axis=1))
        table.append(
            {
                "modalities": [MODALITIES[i] for i in columns],
                "fused": round(fused["macro_f1"], 4),
                "fused_95": sure["interval_95"]["macro_f1"],
                "fused_ece": round(fused["ece"], 4),
                "best_single": round(max(singles.values()), 4),
                "mean_of_probabilities": round(mean["macro_f1"], 4),
            }
        )
    return table


def halves(pools: Mapping[str, Pool], seed: int) -> tuple[dict[str, Pool], dict[str, Pool]]:
    """Split every pool: four fifths for training, one fifth for selection and calibration.

    Clean and disturbed versions of an item, adjacent in a pool, get the same split.
    """
    random = np.random.default_rng(seed)
    train, dev = {}, {}
    for name, pool in pools.items():
        kept = random.random(pool.items.max() + 1)[pool.items] < 0.8
        train[name], dev[name] = pool.at(kept), pool.at(~kept)
    return train, dev


def train(config: Config, data: Path, out: Path, resume: bool | Path = True) -> dict[str, Any]:
    """Train, calibrate on composed dev examples, measure on composed test examples.

    Args:
        config: see ``train/configs/fusion/*.yaml``.
        data: directory of the corpora, or a feature file of the user's own clips
            (`mera_train.fusion.from_features`).
        out: directory for the checkpoint and the state of the run.
        resume: resume an earlier run.

    Returns:
        The metrics, as in the checkpoint.
    """
    if data.is_file():
        return from_features.train(config, data, out, resume)
    made = fingerprint.of(config, contents(data))
    state.claim(out, made, resume)
    bundle = Bundle.open(config.encoders)
    known = collect(bundle, data, "dev", out / "evidence_dev.safetensors")
    unseen = collect(bundle, data, "test", out / "evidence_test.safetensors")
    fitting, choosing = halves(known, config.loop.seed)
    few = config.composition.model_copy(update={"examples": EXAMPLES})
    task = FusionTask(
        config,
        compose(fitting, config.composition, config.loop.seed),
        compose(choosing, few, config.loop.seed + 1),
    )
    chosen = fit(task, config.loop, out, made, resume)
    network = task.model.network
    _calibrate(network, task.dev)
    metrics = {
        "dev": chosen,
        "temperature": float(network.temperature),
        **_tested(network, unseen, few),
        "generated_labels": _agreement(task),
    }
    checkpoint.save(out, network, config, metrics, card_text(config, metrics))
    return metrics


def card_text(config: Config, metrics: dict[str, Any]) -> str:
    """Return the model card."""
    return card(metrics, _disturbance(config.composition), config.licence)


def measured(loaded: checkpoint.Checkpoint, data: Path) -> dict[str, Any]:
    """Return all metrics of a trained fusion on composed test examples.

    The encoders are those of its training, or else the default bundle's.
    """
    config = loaded.settings(Config)
    bundle = Bundle.open(config.encoders if config.encoders.exists() else None)
    with tempfile.TemporaryDirectory() as scratch:
        unseen = collect(bundle, data, "test", Path(scratch) / "evidence.safetensors")
    network = loaded.fill(
        Mtme(config.model, {name: pool.embeddings.shape[1] for name, pool in unseen.items()})
    )
    few = config.composition.model_copy(update={"examples": EXAMPLES})
    return _tested(network, unseen, few)


def _tested(network: Mtme, unseen: Mapping[str, Pool], few: Composition) -> dict[str, Any]:
    clean = compose(unseen, CLEAN.model_copy(update={"examples": EXAMPLES}), 7)
    shares = answers(network, clean, SUBSETS[0])[0]
    sure = uncertainty(clean, shares, list(range(len(MODALITIES))))
    return {
        "clean": compare(network, clean),
        "disturbed": compare(network, compose(unseen, few, 7)),
        "test": {**measure(clean, shares), **sure},
    }


def _disturbance(how: Composition) -> str:
    """Describe the disturbances of composed examples."""
    ages = ", ".join(f"{name} {age:g} s" for name, age in how.mean_age_s.items())
    return (
        f"{how.degraded_rate:.0%} of the inputs noisy, blurred or misheard, "
        f"{how.conflict_rate:.0%} show another emotion, and more the older they are "
        f"(mean ages: {ages}; half of those who are very old are wrong)"
    )


def _calibrate(network: Mtme, dev: Composed) -> None:
    with torch.inference_mode():
        data = Tensors.of(dev)
        logits = data.through(network, torch.ones(len(dev), len(MODALITIES))).logits
    network.temperature.fill_(fit_temperature(logits, data.emotions))


def _agreement(task: FusionTask) -> dict[str, float]:
    """Return the correlation of the generated unimodal labels with the true unimodal valences."""
    shown = np.array(list(VALENCE.values()), np.float32)[task.examples.shown]
    labels = {name: task.model.labels.label(name).numpy() for name in MODALITIES}
    return {
        name: round(float(np.corrcoef(labels[name], shown[:, i])[0, 1]), 4)
        for i, name in enumerate(MODALITIES)
    }
