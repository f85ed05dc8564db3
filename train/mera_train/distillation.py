"""Knowledge distillation (Hinton et al., 2015)."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor
from torch.nn import functional as F


class DistillationConfig(BaseModel):
    """Distillation weight and temperature."""

    model_config = ConfigDict(extra="forbid")

    weight: float = Field(0.5, ge=0, le=1, description="of its opinion, beside the labels")
    temperature: float = Field(2.0, gt=0, description="at which both are compared")


def disagreement(logits: Tensor, opinion: Tensor, temperature: float) -> Tensor:
    """Return the divergence ``[...]`` of softened logits ``[..., C]``, times the squared
    temperature. Missing teacher logits (NaN) count as a uniform distribution.
    """
    said = (logits.float() / temperature).log_softmax(-1)
    taught = (opinion.float().nan_to_num(0.0) / temperature).log_softmax(-1)
    return F.kl_div(said, taught, reduction="none", log_target=True).sum(-1) * temperature**2
