"""The fusion network as ONNX: the trunk and the fusion head, without the training heads."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from mera_edge.bundle import RoleEntry
from mera_edge.labels import EMOTIONS, MODALITIES
from mera_export.onnx import Prepared, export_model
from mera_train import checkpoint
from mera_train.fusion.config import Config
from mera_train.fusion.model import Mtme

OUTPUTS = ("probabilities", "valence", "weights")
UNITS = {
    "unimodal_probabilities": "probability",
    "probabilities": "probability",
    "present": "1 or 0",
    "age_s": "seconds",
    "valence": "-1 to 1",
    "weights": "share",
}


class FusionOutputs(nn.Module):
    """The network in the shapes of the bundle."""

    def __init__(self, network: Mtme) -> None:
        super().__init__()
        self.network = network

    def forward(
        self,
        voice: Tensor,
        face: Tensor,
        text: Tensor,
        unimodal_probabilities: Tensor,
        present: Tensor,
        age_s: Tensor,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Compute the outputs of the exported model from its inputs."""
        embeddings = dict(zip(MODALITIES, (voice, face, text), strict=True))
        fused = self.network(embeddings, unimodal_probabilities, present, age_s)
        valence = fused.valence.clamp(-1, 1).unsqueeze(1)
        return torch.softmax(fused.logits, dim=1), valence, fused.weights


def export(checkpoint_directory: Path, out: Path) -> RoleEntry:
    """Export a checkpoint to ``fusion.onnx`` in ``out``.

    Raises:
        InputError, ConfigError: the checkpoint cannot be read.
        CheckFailed: torch and ONNX Runtime do not agree.
    """
    loaded = checkpoint.load(checkpoint_directory)
    config = loaded.settings(Config)
    widths: dict[str, int] = {name: len(loaded.weights[f"{name}_mean"]) for name in MODALITIES}
    network = loaded.fill(Mtme(config.model, widths))
    generator = torch.Generator().manual_seed(0)
    inputs: dict[str, Tensor] = {
        name: torch.randn(1, widths[name], generator=generator) for name in MODALITIES
    }
    scores = torch.randn(1, len(MODALITIES), len(EMOTIONS), generator=generator)
    inputs["unimodal_probabilities"] = torch.softmax(scores, dim=2)
    inputs["present"] = torch.ones(1, len(MODALITIES))
    inputs["age_s"] = torch.tensor([[0.2, 0.1, 1.5]])
    return export_model(
        loaded,
        Prepared(network, FusionOutputs(network), inputs, OUTPUTS),
        out / "fusion.onnx",
        metadata={"labels": ",".join(EMOTIONS)},
        units=UNITS,
        labels=EMOTIONS,
        settings={"modalities": list(MODALITIES)},
        calibration={"temperature": float(network.get_buffer("temperature"))},
    )
