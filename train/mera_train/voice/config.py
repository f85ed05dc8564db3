"""Configuration of the voice encoder's training."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from mera_edge.errors import ConfigError
from mera_train.checkpoint import UNKNOWN
from mera_train.own.config import OwnConfig
from mera_train.provenance import Licence
from mera_train.task import LoopConfig
from mera_train.voice.augment import AugmentConfig
from mera_train.voice.data import RAVDESS
from mera_train.voice.model import ModelConfig
from mera_train.voice.teacher import Distillation


class Config(BaseModel):
    """Configuration of ``train voice``."""

    model_config = ConfigDict(extra="forbid")

    model: ModelConfig = ModelConfig()
    augment: AugmentConfig = AugmentConfig()
    loop: LoopConfig = LoopConfig()
    protocol: Literal["ship", "folds"] = Field(
        "ship", description="one model for the bundle, or six to measure by RAVDESS actor"
    )
    corpora: dict[str, float] = Field(
        {RAVDESS: 1.0, "nemo": 1.0},
        description="how often an example of an emotion is drawn from each that has it",
    )
    examples_per_epoch: int = Field(
        4096, ge=2, description="that an epoch draws, of all emotions alike"
    )
    corpus_fraction: dict[str, float] = Field(
        {}, description="share of a corpus that is used; else all of it"
    )
    test_corpora: list[str] = Field(
        ["emodb_4class", "urdu"], description="corpora that only measure, after training"
    )
    init_checkpoint: Path | None = Field(
        None, description="checkpoint to begin with, of the same shape"
    )
    ensemble: list[Path] = Field(
        [], description="checkpoints of one shape that answer together; nothing is trained"
    )
    distillation: Distillation | None = Field(
        None, description="a teacher's answers are learnt beside the labels"
    )
    crop_frames: int = Field(192, ge=32, description="frames of a training example")
    batch_size: int = Field(64, ge=2)
    licence: Licence = UNKNOWN
    own: OwnConfig | None = Field(None, description="one's own examples, in place of the corpora")
    label_smoothing: float = Field(0.1, ge=0, lt=1, description="of the labels")
    valence_loss_weight: float = Field(
        0.3, ge=0, description="weight of the valence error in the loss"
    )

    def learning_from(self, own: OwnConfig) -> Config:
        """Return a copy that trains on the user's own examples instead of the corpora.

        Raises:
            ConfigError: a teacher is configured.
        """
        if self.distillation is not None:
            raise ConfigError(
                "`distillation` is for the corpora, not for your own examples", "leave it out"
            )
        return self.model_copy(update={"own": own})
