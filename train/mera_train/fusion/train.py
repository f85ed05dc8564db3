"""Training of the fusion: `mera-edge train fusion`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn

from mera_edge.bundle import Bundle
from mera_edge.evaluation import classification
from mera_edge.labels import EMOTIONS, MODALITIES, VALENCE
from mera_train import checkpoint, fingerprint, state
from mera_train.checkpoint import UNKNOWN
from mera_train.fusion.card import card
from mera_train.fusion.compose import CLEAN, Composed, Composition, compose
from mera_train.fusion.evidence import Pool, collect, contents
from mera_train.fusion.model import Fused, ModelConfig, Mtme
from mera_train.fusion.unimodal_labels import UnimodalLabels
from mera_train.loop import fit
from mera_train.provenance import Licence
from mera_train.task import LoopConfig
from mera_train.temperature import fit_temperature

SUBSETS = [row for row in product((1.0, 0.0), repeat=len(MODALITIES)) if any(row)]
"""Every way in which modalities can be there, all of them first."""


class Config(BaseModel):
    """All of ``train/configs/fusion/*.yaml``."""

    model_config = ConfigDict(extra="forbid")

    encoders: Path = Field(description="bundle with voice, face and text whose fusion this is")
    start: Path | None = Field(
        None, description="checkpoint to go on from, with a file of features as the data"
    )
    model: ModelConfig = ModelConfig()
    loop: LoopConfig = LoopConfig(select="macro_f1", higher_is_better=True)
    composition: Composition = Composition()
    licence: Licence = UNKNOWN
    batch: int = Field(256, ge=2)
    complete: float = Field(
        0.5, ge=0, le=1, description="share of examples with all modalities; others lose some"
    )
    valence_weight: float = Field(0.5, ge=0, description="of the valence of the whole")
    unimodal_weight: float = Field(0.5, ge=0, description="of the generated unimodal valences")


@dataclass
class Batch:
    """Rows of the composed examples, and which modalities they keep."""

    rows: Tensor
    present: Tensor
    epoch: int


class Supervised(nn.Module):
    """The network and the labels that are generated along with it: what a run saves."""

    def __init__(self, network: Mtme, labels: UnimodalLabels) -> None:
        super().__init__()
        self.network, self.labels = network, labels


class FusionTask:
    """What the training loop wants to know about fusion."""

    def __init__(self, config: Config, train: Composed, dev: Composed) -> None:
        self.config, self.dev = config, dev
        self.examples = train
        self.tensors = Tensors.of(train)
        widths = {name: values.shape[1] for name, values in train.embeddings.items()}
        network = Mtme(config.model, widths)
        network.normalise_by(self.tensors.embeddings)
        sizes = {UnimodalLabels.WHOLE: config.model.fused}
        sizes |= dict.fromkeys(MODALITIES, config.model.unimodal)
        self.model = Supervised(network, UnimodalLabels(self.tensors.valence, sizes))

    def plan(self, epoch: int) -> list[tuple[int, NDArray[np.int64]]]:
        """Rows in random order, cut into batches, each with the seed of its losses."""
        random = np.random.default_rng([self.config.loop.seed, epoch])
        order = random.permutation(len(self.examples))
        batches = np.array_split(order, max(1, len(order) // self.config.batch))
        return [(int(random.integers(2**31)), rows) for rows in batches]

    def load(self, plan: tuple[int, NDArray[np.int64]], epoch: int) -> Batch:
        """Take modalities away."""
        seed, rows = plan
        random = np.random.default_rng(seed)
        kept = np.array(SUBSETS)[random.integers(0, len(SUBSETS), len(rows))]
        kept[random.random(len(rows)) < self.config.complete] = 1
        return Batch(torch.from_numpy(rows), torch.from_numpy(kept).float(), epoch + 1)

    def loss(self, batch: Batch, device: torch.device) -> Tensor:
        """Emotion and valence of the whole, and Self-MM's weighted unimodal valences."""
        network, labels = self.model.network, self.model.labels
        data = self.tensors.at(batch.rows)
        fused = data.through(network, batch.present)
        loss = nn.functional.cross_entropy(fused.logits, data.emotions)
        error = (fused.valence - data.valence).abs().mean()
        loss = loss + self.config.valence_weight * error
        for column, name in enumerate(MODALITIES):
            weight = labels.weight(name, batch.rows) * batch.present[:, column]
            error = (fused.unimodal_valence[name] - labels.label(name)[batch.rows]).abs()
            loss = loss + self.config.unimodal_weight * (weight * error).mean()
        here = {name: batch.present[:, i] > 0.5 for i, name in enumerate(MODALITIES)}
        features = {name: value.detach() for name, value in fused.features.items()}
        labels.update(batch.rows, features, here, batch.epoch)
        return loss

    def evaluate(self, model: nn.Module, device: torch.device) -> dict[str, float]:
        """Metrics of all three modalities together on the dev examples."""
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
        return Tensors(
            {name: values[rows] for name, values in self.embeddings.items()},
            self.probabilities[rows],
            self.age_s[rows],
            self.emotions[rows],
            self.valence[rows],
        )

    def through(self, network: Mtme, present: Tensor) -> Fused:
        """Run the network with the modalities that are ``present [n, 3]``."""
        return network(self.embeddings, self.probabilities, present, self.age_s)


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
    """Compare probabilities with the emotion of the whole."""
    return classification([EMOTIONS[i] for i in examples.emotions], probabilities, EMOTIONS)


def compare(network: Mtme, examples: Composed) -> list[dict[str, Any]]:
    """Every subset of modalities: fused, the best single modality of it, the mean of them."""
    table = []
    for subset in SUBSETS:
        columns = [i for i, kept in enumerate(subset) if kept]
        fused = measure(examples, answers(network, examples, subset)[0])
        singles = {
            MODALITIES[i]: measure(examples, examples.probabilities[:, i])["macro_f1"]
            for i in columns
        }
        mean = measure(examples, examples.probabilities[:, columns].mean(axis=1))
        table.append(
            {
                "modalities": [MODALITIES[i] for i in columns],
                "fused": round(fused["macro_f1"], 4),
                "fused_ece": round(fused["ece"], 4),
                "best_single": round(max(singles.values()), 4),
                "mean_of_probabilities": round(mean["macro_f1"], 4),
            }
        )
    return table


def halves(pools: Mapping[str, Pool], seed: int) -> tuple[dict[str, Pool], dict[str, Pool]]:
    """Part every pool: four fifths to train on, one fifth to choose and calibrate with.

    A clean item and its disturbed twin are neighbours in a pool; they go the same way.
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
        config: of ``train/configs/fusion/*.yaml``.
        data: the folder of the corpora, or a file of features of one's own clips
            (`mera_train.fusion.own`).
        out: receives the checkpoint and the state of the run.
        resume: go on from the state of an earlier run.

    Returns:
        The metrics that are written into the checkpoint.
    """
    if data.is_file():
        from mera_train.fusion import own

        return own.train(config, data, out, resume)
    made = fingerprint.of(config, contents(data))
    state.claim(out, made, resume)
    bundle = Bundle.open(config.encoders)
    known = collect(bundle, data, "dev", out / "evidence_dev.safetensors")
    unseen = collect(bundle, data, "test", out / "evidence_test.safetensors")
    fitting, choosing = halves(known, config.loop.seed)
    few = config.composition.model_copy(update={"examples": 4200})
    task = FusionTask(
        config,
        compose(fitting, config.composition, config.loop.seed),
        compose(choosing, few, config.loop.seed + 1),
    )
    chosen = fit(task, config.loop, out, made, resume)
    network = task.model.network
    _calibrate(network, task.dev)
    clean = compose(unseen, CLEAN.model_copy(update={"examples": 4200}), 7)
    mixed = compose(unseen, few, 7)
    metrics = {
        "dev": chosen,
        "temperature": float(network.temperature),
        "clean": compare(network, clean),
        "disturbed": compare(network, mixed),
        "test": measure(clean, answers(network, clean, SUBSETS[0])[0]),
        "generated_labels": _agreement(task),
    }
    said = card(metrics, described(few), config.licence)
    checkpoint.save(out, network, config, metrics, said)
    return metrics


def described(how: Composition) -> str:
    """Return what is wrong with composed examples, in words."""
    ages = ", ".join(f"{name} {age:g} s" for name, age in how.age_s.items())
    return (
        f"{how.disturbed:.0%} of the inputs noisy, blurred or misheard, {how.contrary:.0%} show "
        f"another emotion, and more the older they are (mean ages: {ages}; half of those who are "
        "very old are wrong)"
    )


def _calibrate(network: Mtme, dev: Composed) -> None:
    with torch.inference_mode():
        data = Tensors.of(dev)
        logits = data.through(network, torch.ones(len(dev), len(MODALITIES))).logits
    network.temperature.fill_(fit_temperature(logits, data.emotions))


def _agreement(task: FusionTask) -> dict[str, float]:
    """Correlation of the generated unimodal labels with what each modality really shows."""
    shown = np.array(list(VALENCE.values()), np.float32)[task.examples.shown]
    labels = {name: task.model.labels.label(name).numpy() for name in MODALITIES}
    return {
        name: round(float(np.corrcoef(labels[name], shown[:, i])[0, 1]), 4)
        for i, name in enumerate(MODALITIES)
    }
