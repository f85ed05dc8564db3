"""Training of the face encoder on the user's own pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from mera_edge.bundle import Bundle, RoleName
from mera_edge.errors import InputError
from mera_edge.features.face import decode
from mera_edge.stages.face import FaceStage
from mera_train.checkpoint import Checkpoint
from mera_train.face.augment import disturb, mix
from mera_train.face.data import LABELS, VALENCES
from mera_train.face.model import FaceNet
from mera_train.face.train import Config
from mera_train.fingerprint import Digests
from mera_train.own.examples import Example, Kind
from mera_train.own.train import train as learn


class OwnFaces:
    """See `mera_train.own.encoder.Encoder`."""

    role: RoleName = "face"
    title, labels = "Face encoder", LABELS
    kind: Kind = "file"

    def __init__(self, config: Config) -> None:
        self.config = config
        self._stage = FaceStage(Bundle.open())
        self._pictures: list[NDArray[np.uint8]] = []

    def read(self, example: Example) -> None:
        """Crop the face as the device does."""
        try:
            data = example.path.read_bytes()
        except OSError as error:
            why = f"{example.path} cannot be read ({error.strerror})"
            raise InputError(why, "copy it again") from error
        face = self._stage.cut_out(decode(data, str(example.path)))
        if face is None:
            raise InputError(
                f"no face was found in {example.path}",
                "leave it out, or give the face from brow to chin, less than 128 pixels high",
            )
        self._pictures.append(face.astype(np.uint8))

    def begin(self, examples: Sequence[Example], out: Path, digests: Digests) -> None:
        """Stack the crops that were read, ``[n, 1, H, W]``, and encode their labels as integers."""
        self.pictures = torch.from_numpy(np.stack(self._pictures))[:, None]
        self.truth = torch.tensor([LABELS.index(e.label) for e in examples])

    def network(self, start: Checkpoint | None, learnt: Sequence[int]) -> FaceNet:
        """Return the checkpoint's network, or a new one as configured. Ignores ``learnt``."""
        if start is None:
            return FaceNet(self.config.model)
        return start.fill(FaceNet(start.settings(Config).model))

    def batch(self, rows: Sequence[int], seed: tuple[int, ...]) -> tuple[Tensor, ...]:
        """Return augmented crops ``[n, 1, S, S]``, 0 to 255, and their label distributions ``[n,
        8]`` (two labels with mixup).
        """
        generator = torch.Generator().manual_seed(int(np.random.default_rng(seed).integers(2**31)))
        size = self.config.model.crop_size
        crops = disturb(self.pictures[rows].float(), size, self.config.augment, generator)
        shares = nn.functional.one_hot(self.truth[rows], len(LABELS)).float()
        return tuple(mix([crops, shares], self.config.augment, generator))

    def loss(self, model: FaceNet, batch: Any, device: torch.device) -> Tensor:
        """Return cross-entropy in nats plus the weighted squared error of valence. Valence is not
        annotated; the target is the labels' mean valence.
        """
        crops, shares = (tensor.to(device) for tensor in batch)
        logits, _, valence, _ = model(crops)
        target = shares @ torch.from_numpy(VALENCES).to(device)
        error = nn.functional.mse_loss(valence.float()[:, 0], target)
        cross_entropy = nn.functional.cross_entropy(
            logits.float(), shares, label_smoothing=self.config.label_smoothing
        )
        return cross_entropy + self.config.valence_loss_weight * error

    def scores(self, model: FaceNet, rows: Sequence[int]) -> Tensor:
        """Return logits ``[n, 8]`` over `LABELS`, divided by the temperature, on the CPU."""
        device = model.temperature.device
        model.eval()
        with torch.inference_mode():
            parts = [model(p.float().to(device))[0] for p in self.pictures[rows].split(256)]
            scores: Tensor = (torch.cat(parts).float() / model.temperature).cpu()
            return scores

    def configuration(self, model: FaceNet) -> Config:
        """Return the settings with the actual layer sizes of the network."""
        return self.config.model_copy(update={"model": model.config})

    def files(self) -> Mapping[str, str]:
        """Return nothing: a face encoder consists of its weights only."""
        return {}


def train(config: Config, data: Path, out: Path, resume: bool | Path) -> dict[str, Any]:
    """Train on ``config.own``: see `mera_train.own.train.train`."""
    return learn(OwnFaces(config), config, out, resume)
