"""The configuration of the text encoder's training."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from mera_train.checkpoint import UNKNOWN
from mera_train.own.config import OwnConfig
from mera_train.provenance import Licence
from mera_train.task import LoopConfig
from mera_train.text.dialogue import DialogueName
from mera_train.text.disturb import Disturbance
from mera_train.text.model import ModelConfig
from mera_train.text.teacher import Distillation


class Config(BaseModel):
    """Configuration of ``train text``, as in ``train/configs/text/*.yaml``."""

    model_config = ConfigDict(extra="forbid")

    model: ModelConfig = ModelConfig()
    encoder: Path | None = Field(
        None, description="directory of a Hugging Face encoder, to train in place of `model`"
    )
    init_checkpoint: Path | None = Field(
        None, description="checkpoint whose tokenizer, network and share are kept; n-grams are new"
    )
    distillation: Distillation | None = None
    loop: LoopConfig = LoopConfig()
    augment: Disturbance = Disturbance()
    licence: Licence = UNKNOWN
    own: OwnConfig | None = Field(None, description="one's own examples, in place of text.zip")
    batch_size: int = Field(128, ge=1, description="sentences")
    batches_per_epoch: int | None = Field(
        None, ge=1, description="of an epoch, drawn anew; else all"
    )
    max_length: int = Field(128, ge=8, description="tokens; of longer texts the last ones count")
    logit_adjustment: float = Field(
        0.0, ge=0, le=1, description="of logit adjustment (Menon et al., 2021): 0 none, 1 full"
    )
    ngram_class_balance: float = Field(
        0.0, ge=0, le=1, description="what rare emotions weigh for the n-grams: 1 as much as others"
    )
    ngram_l2: float = Field(0.3, gt=0, description="of the n-grams' squared weights")
    ngram_max_iter: int = Field(150, ge=1, description="of L-BFGS, for the n-grams")
    label_smoothing: float = Field(0.05, ge=0, lt=1, description="of the labels")
    valence_loss_weight: float = Field(0.5, ge=0, description="of the valence loss")
    dialogue_corpora: list[DialogueName] = Field(
        [], description="dialogue that is learnt beside text.zip"
    )
    corpus_repeats: dict[str, int] = Field(
        {}, description="times a corpus is seen in an epoch, 0: never"
    )

    def learning_from(self, own: OwnConfig) -> Config:
        """Return a copy that trains on the user's own examples instead of ``text.zip``."""
        return self.model_copy(update={"own": own})
