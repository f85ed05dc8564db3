"""Configuration of `mera-edge train asr`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from mera_train import configuration
from mera_train.asr.augment import AugmentConfig
from mera_train.asr.data import TRAINING
from mera_train.asr.encoder import ModelConfig
from mera_train.asr.pretrained import PretrainedConfig
from mera_train.checkpoint import UNKNOWN
from mera_train.own.config import OwnConfig
from mera_train.provenance import Licence
from mera_train.task import LoopConfig


def _from_file(value: Any) -> Any:
    """Read an augmentation given as the path of a YAML file."""
    return configuration.read(Path(value), AugmentConfig) if isinstance(value, str) else value


class Config(BaseModel):
    """Configuration of ``train asr``."""

    model_config = ConfigDict(extra="forbid")

    model: ModelConfig = ModelConfig()
    augment: Annotated[AugmentConfig | None, BeforeValidator(_from_file)] = Field(
        AugmentConfig(), description="inline, or the path of a YAML; null: none"
    )
    loop: LoopConfig = LoopConfig(metric_for_best_model="wer")
    corpora: tuple[str, ...] = Field(
        TRAINING, min_length=1, description="names of archives in --data, manifests, or folders"
    )
    duration_s: tuple[float, float] = Field(
        (0.3, 25.0), description="shortest and longest training utterance"
    )
    init_checkpoint: Path | None = Field(
        None, description="checkpoint to begin with, of the same shape"
    )
    pretrained: PretrainedConfig | None = Field(
        None, description="an encoder to begin with; for `kind: whisper`"
    )
    synthetic_corpus: str | None = Field(
        None, description="corpus in --data of speech that engines read: `asr.synthesize`"
    )
    synthetic_share: float = Field(
        0.3, gt=0, le=1, description="of the synthetic corpus, drawn anew for every epoch"
    )
    units: Annotated[int, Field(ge=30)] | Literal["characters"] | Path = Field(
        192,
        description="how many subwords, blank included; or `characters`, as for Chinese; or the "
        "checkpoint whose units to take. Those of `init_checkpoint` where it is given",
    )
    batch_frames: int = Field(3000, ge=2000, description="frames of 10 ms to a batch, with padding")
    chunk_sizes: tuple[int, ...] = Field(
        (8, 8, 8, 4, 2), description="chunk sizes in encoder frames; one is drawn for a batch"
    )
    frame_ce_epochs: float = Field(
        1, ge=0, description="before CTC, in which every frame learns its aligned subword"
    )
    phone_loss_weight: float = Field(0.3, ge=0, lt=1, description="weight of the phone loss")
    licence: Licence = UNKNOWN
    skip_bad: int = Field(
        0, ge=0, description="rows of manifests that may be left out because they cannot be used"
    )
    own: OwnConfig | None = Field(None, description="one's own recordings, in place of `corpora`")
    symbols: list[str] = Field([], description="the classes; written by training")

    def learning_from(self, own: OwnConfig) -> Config:
        """Return a copy that trains on the user's own recordings instead of the corpora."""
        return self.model_copy(update={"own": own})

    @model_validator(mode="after")
    def _begins_once(self) -> Config:
        if self.pretrained and (self.init_checkpoint or self.model.kind != "whisper"):
            raise ValueError("pretrained: for `kind: whisper`, and without `init_checkpoint`")
        return self
