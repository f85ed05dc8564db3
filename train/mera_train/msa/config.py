"""Configuration of a run, and the defaults of every model and data set."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from mera_train.configuration import explain
from mera_train.msa.data import MODALITIES
from mera_train.msa.models import MODELS, ModelConfig
from mera_train.task import LoopConfig

ModelName = Literal[
    "mtme",
    "mtme_human",
    "self_mm",
    "lf_dnn",
    "tfn",
    "lmf",
    "mtfn",
    "mlmf",
    "mult",
    "misa",
    "mag_bert",
    "tfr_net",
    "almt",
]
DatasetName = Literal["sims", "simsv2", "mosi", "mosei", "mosi_bclstm", "own"]


class Config(BaseModel):
    """Configuration of ``MSA_run``."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)

    model: ModelName
    dataset: DatasetName
    feature_path: Path | None = Field(None, alias="featurePath", description="the feature file")
    modalities: list[Literal["text", "audio", "vision"]] = Field(
        ["text", "audio", "vision"], min_length=1, description="others are as if missing"
    )
    transcripts: bool = Field(
        True, description="mosi_bclstm: read the transcripts beside the published text features"
    )
    treebank: Path | None = Field(
        None,
        description="mosi_bclstm: trees/train.txt of the Stanford Sentiment Treebank, to read the "
        "transcripts with",
    )
    network: ModelConfig = ModelConfig()
    loop: LoopConfig = LoopConfig()
    batch_size: int = Field(32, ge=1, description="utterances, or dialogues where there are any")
    full_modality_rate: float = Field(
        1.0, ge=0, le=1, description="share of utterances with all modalities; others lose some"
    )
    unimodal_loss_weight: float = Field(
        0.0, ge=0, description="of the single modalities' sentiment (mtme, self_mm, mtfn, mlmf)"
    )
    generate_unimodal_labels: bool = Field(
        True, description="labels of single modalities where people gave none; else none is learnt"
    )
    loss_weights: dict[str, float] = Field(
        {}, description="of what a network learns besides sentiment, where not the usual ones"
    )
    missing_rate: float = Field(
        0.0, ge=0, lt=1, description="share of frames that say nothing, in training and validation"
    )
    human_labels: bool = Field(
        False, description="single modalities learn what people saw in them, where they did"
    )
    min_unimodal_weight: float = Field(
        0.0,
        ge=0,
        description="least weight of a generated label; Self-MM's is 0 where it is the whole's",
    )
    feature_swap_rate: dict[str, float] = Field(
        {},
        description="by modality, share of utterances whose fitted features become those of one "
        "with the opposite label: as often as such features are wrong on new material",
    )

    @model_validator(mode="after")
    def _text_can_be_corrected(self) -> Config:
        if self.network.corrects_text and not self.transcripts:
            raise ValueError("network.corrects_text needs transcripts")
        return self

    @model_validator(mode="after")
    def _tokens_can_be_read(self) -> Config:
        if self.network.text_encoder is None:
            return self
        if self.dataset in ("mosi_bclstm", "own"):
            raise ValueError(f"network.text_encoder reads text_bert, which {self.dataset} lacks")
        if self.missing_rate:
            raise ValueError("network.text_encoder reads whole sentences: set missing_rate to 0")
        return self

    @model_validator(mode="after")
    def _losses_are_known(self) -> Config:
        usual = MODELS[self.model].LOSSES
        for name in self.loss_weights.keys() - usual.keys():
            known = ", ".join(usual) or "nothing besides sentiment"
            raise ValueError(f"loss_weights: {self.model} learns {known}, not {name!r}")
        return self

    @model_validator(mode="after")
    def _heads_divide(self) -> Config:
        width = "fusion_dim" if self.model == "misa" else "attention_dim"
        if getattr(self.network, width) % self.network.heads:
            raise ValueError(f"network.heads must divide network.{width}")
        return self


_LOOP = {"precision": "fp32", "ema_decay": 0.9, "metric_for_best_model": "mae"}

_DATASETS: dict[str, dict[str, Any]] = {
    "mosei": {"batch_size": 64, "loop": {"epochs": 15}},
    "mosi_bclstm": {
        "batch_size": 6,
        "feature_swap_rate": {"text": 0.22, "vision": 0.45},
        "loop": {"epochs": 25, "learning_rate": 2e-3},
        "network": {
            "context_dim": 64,
            "corrects_text": True,
            "fusion_dim": 64,
            "encoder_dims": {"text": 64, "audio": 64, "vision": 64},
            "input_dropout": 0.1,
            "dropout": 0.5,
        },
    },
}

_MTME = {"full_modality_rate": 0.8, "unimodal_loss_weight": 0.5, "min_unimodal_weight": 0.5}

_MODELS: dict[str, dict[str, Any]] = {
    "mtme": _MTME,
    "mtme_human": {**_MTME, "human_labels": True},
    "self_mm": {"unimodal_loss_weight": 1.0},
    "mtfn": {"unimodal_loss_weight": 1.0, "human_labels": True, "generate_unimodal_labels": False},
    "mlmf": {"unimodal_loss_weight": 1.0, "human_labels": True, "generate_unimodal_labels": False},
    "misa": {"network": {"encoder_dims": dict.fromkeys(MODALITIES, 128), "heads": 2}},
    "tfr_net": {"missing_rate": 0.3},
    "almt": {"network": {"attention_dim": 128, "heads": 8}, "loop": {"learning_rate": 1e-4}},
}


def defaults(model: str, dataset: str) -> Config:
    """Return the default configuration of a model on a data set.

    Raises:
        ConfigError: the model or data set is unknown.
    """
    values: dict[str, Any] = {"model": model, "dataset": dataset, "loop": _LOOP}
    for more in (_DATASETS.get(dataset, {}), _MODELS.get(model, {})):
        for key, value in more.items():
            old = values.get(key)
            values[key] = {**old, **value} if isinstance(old, dict) else value
    return parse(values)


def parse(values: dict[str, Any]) -> Config:
    """Validate a configuration.

    Raises:
        ConfigError: an unknown key (the message suggests the nearest) or an invalid value.
    """
    try:
        return Config.model_validate(values)
    except ValidationError as error:
        raise explain(error, Config, "the configuration") from error
