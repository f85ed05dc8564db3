"""Configuration of the fusion's training."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from mera_edge.bundle.load import DEFAULT
from mera_train.checkpoint import UNKNOWN
from mera_train.fusion.compose import Composition
from mera_train.fusion.model import ModelConfig
from mera_train.own.config import OwnConfig
from mera_train.provenance import Licence
from mera_train.task import LoopConfig


class Config(BaseModel):
    """Configuration of ``train fusion``, as in ``train/configs/fusion/*.yaml``."""

    model_config = ConfigDict(extra="forbid")

    encoders: Path = Field(
        DEFAULT, description="bundle with voice, face and text whose fusion this is"
    )
    init_checkpoint: Path | None = Field(
        None, description="checkpoint to go on from, with a file of features as the data"
    )
    model: ModelConfig = ModelConfig()
    loop: LoopConfig = LoopConfig(metric_for_best_model="macro_f1", greater_is_better=True)
    composition: Composition = Composition()
    licence: Licence = UNKNOWN
    batch_size: int = Field(256, ge=2)
    full_modality_rate: float = Field(
        0.5, ge=0, le=1, description="share of examples with all modalities; others lose some"
    )
    valence_loss_weight: float = Field(0.5, ge=0, description="of the valence of the whole")
    own: OwnConfig | None = Field(None, description="one's own clips, in place of the corpora")
    unimodal_loss_weight: float = Field(0.5, ge=0, description="of the generated unimodal valences")

    def learning_from(self, own: OwnConfig) -> Config:
        """Return a copy that trains on the user's own clips instead of the corpora."""
        return self.model_copy(update={"own": own, "init_checkpoint": own.init_checkpoint})
