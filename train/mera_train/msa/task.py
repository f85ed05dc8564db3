"""The training task of sentiment regression."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from mera_train.fusion.supervision import SUBSETS
from mera_train.fusion.unimodal_labels import UnimodalLabels
from mera_train.msa import data
from mera_train.msa.config import Config
from mera_train.msa.data import MODALITIES, Batch, Corpus, Examples, Floats
from mera_train.msa.metrics import regression
from mera_train.msa.models import MODELS, Network, Shapes, bert


@dataclass
class Step:
    """A batch with its rows in the training split, dropped frames and dropped modalities."""

    batch: Batch
    whole: Batch
    """The batch before frames were dropped."""
    rows: Tensor
    present: Tensor
    """``[B, 3]`` in the order of `MODALITIES`."""
    epoch: int
    """From 1."""


class Supervised(nn.Module):
    """The network and the unimodal labels, as saved by a run."""

    def __init__(self, network: Network, labels: UnimodalLabels) -> None:
        super().__init__()
        self.network, self.labels = network, labels


class SentimentTask:
    """Training task of one network on one corpus."""

    def __init__(self, config: Config, corpus: Corpus) -> None:
        self.config, self.corpus = config, corpus
        torch.manual_seed(config.loop.seed)
        directory = config.network.text_encoder
        network = MODELS[config.model](config.network, shapes(corpus, directory))
        if network.inputs.bert is not None and directory is not None:
            network.inputs.bert.begin(directory)
        network.inputs.normalise_by(data.batch(corpus.train))
        whole = torch.from_numpy(corpus.train.labels)
        widths = {UnimodalLabels.WHOLE: config.network.fusion_dim}
        if config.unimodal_loss_weight:
            widths |= dict.fromkeys(MODALITIES, config.network.unimodal_dim)
        rated = corpus.train.unimodal if config.human_labels else {}
        human = {name: torch.from_numpy(values) for name, values in rated.items()}
        labels = UnimodalLabels(whole, widths, human)
        self.model = Supervised(network, labels)
        # Dev gets the same noise as training; otherwise selection would prefer networks that rely
        # on fitted features.
        self.dev = self._dropped(self._doubted(corpus.valid, np.random.default_rng(0)), 0)
        self.weights = {**network.LOSSES, **config.loss_weights}

    def plan(self, epoch: int) -> list[tuple[int, NDArray[np.int64]]]:
        """Return batches of shuffled rows, with whole dialogues, each with a seed."""
        random = np.random.default_rng([self.config.loop.seed, epoch])
        train = self.corpus.train
        units = np.arange(len(train)) if train.dialogues is None else train.dialogues
        order = random.permutation(np.unique(units))
        batches = np.array_split(order, max(1, len(order) // self.config.batch_size))
        rows = {unit: np.flatnonzero(units == unit) for unit in order}
        return [
            (int(random.integers(2**31)), np.concatenate([rows[unit] for unit in batch]))
            for batch in batches
        ]

    def load(self, plan: tuple[int, NDArray[np.int64]], epoch: int) -> Step:
        """Add noise to fitted features, drop frames, and drop modalities."""
        seed, rows = plan
        random = np.random.default_rng(seed)
        examples = self._doubted(self.corpus.train.at(rows), random)
        kept = np.array(SUBSETS)[random.integers(0, len(SUBSETS), len(rows))]
        kept[random.random(len(rows)) < self.config.full_modality_rate] = 1
        present = torch.from_numpy(kept).float()
        whole = data.batch(examples)
        batch = data.batch(self._dropped(examples, seed))
        return Step(batch, whole, torch.from_numpy(rows), present, epoch + 1)

    def loss(self, step: Step, device: torch.device) -> Tensor:
        """Return the absolute error, plus weighted unimodal (Self-MM) and auxiliary losses."""
        network, labels = self.model.network, self.model.labels
        rows, present = step.rows.to(device), step.present.to(device)
        seen = step.batch.to(device).keeping(present)
        predicted = network(seen)
        loss: Tensor = (
            (predicted["sentiment"] - labels.label(UnimodalLabels.WHOLE)[rows]).abs().mean()
        )
        for name, extra in network.losses(predicted, seen, step.whole.to(device)).items():
            loss = loss + self.weights[name] * extra
        if not self.config.unimodal_loss_weight:
            return loss
        here = {}
        for column, name in enumerate(MODALITIES):
            human = labels.get_buffer(f"fixed_{name}")[rows]
            here[name] = present[:, column] > 0.5
            weight = labels.weight(name, rows).clamp(min=self.config.min_unimodal_weight)
            weight = weight * self.config.generate_unimodal_labels
            weight = torch.where(human, torch.ones_like(weight), weight) * here[name]
            error = (predicted[f"sentiment_{name}"] - labels.label(name)[rows]).abs()
            loss = loss + self.config.unimodal_loss_weight * (weight * error).mean()
        if not self.config.generate_unimodal_labels:
            return loss
        names = (UnimodalLabels.WHOLE, *MODALITIES)
        features = {name: predicted[f"features_{name}"].detach() for name in names}
        labels.update(rows, features, here, step.epoch)
        return loss

    def evaluate(self, model: Supervised, device: torch.device) -> dict[str, float]:
        """Return metrics with all three modalities on the dev split."""
        return figures(model.network, self.dev, self.corpus)

    def _dropped(self, examples: Examples, seed: int) -> Examples:
        if not self.config.missing_rate:
            return examples
        inputs = self.model.network.inputs
        means = {name: inputs.get_buffer(f"{name}_mean").cpu().numpy() for name in MODALITIES}
        return data.dropped(examples, self.config.missing_rate, means, seed)

    def _doubted(self, examples: Examples, random: np.random.Generator) -> Examples:
        """Give some utterances the fitted features of another one with the opposite label."""
        train = self.corpus.train
        features = dict(examples.features)
        for name, share in self.config.feature_swap_rate.items():
            columns = self.corpus.fitted.get(name)
            if columns is None:
                continue
            features[name] = features[name].copy()
            swapped = random.random(len(examples)) < share
            for side in (False, True):
                rows = np.flatnonzero(swapped & ((examples.labels >= 0) == side))
                others = np.flatnonzero((train.labels >= 0) != side)
                if len(others):
                    drawn = random.choice(others, len(rows))
                    features[name][rows, :, columns] = train.features[name][drawn, :, columns]
        return replace(examples, features=features)


def shapes(corpus: Corpus, text_encoder: Path | None) -> Shapes:
    """Return the longest sequence and the number of features per frame, by modality.

    Args:
        corpus: the data.
        text_encoder: the BERT whose vectors are the text's features, if any.
    """
    found = {name: values.shape[1:] for name, values in corpus.train.features.items()}
    if text_encoder is not None:
        parts = (corpus.train, corpus.valid, corpus.test)
        largest = max(int(part.features["text"][..., 0].max()) for part in parts)
        found["text"] = (found["text"][0], bert.width(text_encoder, largest))
    return found


def predict(
    network: Network, examples: Examples, present: Tensor | None = None, rows: int = 512
) -> Floats:
    """Predict the sentiment ``[n]``, in units of the largest label.

    Args:
        network: one of `MODELS`, in eval mode.
        examples: utterances of any split.
        present: ``[n, 3]``, 1 or 0 in the order of `MODALITIES`; ``None``: all.
        rows: batch size for utterances without dialogues.
    """
    device = next(network.parameters()).device
    whole = len(examples) if examples.dialogues is not None else rows
    found = []
    with torch.inference_mode():
        for begin in range(0, len(examples), whole):
            part = np.arange(begin, min(begin + whole, len(examples)))
            batch = data.batch(examples.at(part)).to(device)
            if present is not None:
                batch = batch.keeping(present[part].to(device))
            found.append(network(batch)["sentiment"].float().cpu().numpy())
    return np.concatenate(found)


def figures(
    network: Network, examples: Examples, corpus: Corpus, present: Tensor | None = None
) -> dict[str, Any]:
    """Return `mera_train.msa.metrics.regression` of the predictions for ``examples``."""
    predicted = predict(network, examples, present)
    return regression(examples.labels * corpus.largest, predicted * corpus.largest, corpus.scale)
