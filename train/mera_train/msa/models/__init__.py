"""Sentiment networks with a common interface: a batch in, predictions by name out."""

from mera_train.msa.models.almt import Almt
from mera_train.msa.models.encode import ModelConfig, Network
from mera_train.msa.models.inputs import Shapes
from mera_train.msa.models.lf_dnn import LateFusion
from mera_train.msa.models.lmf import LowRankFusion
from mera_train.msa.models.mag_bert import MagBert
from mera_train.msa.models.misa import Misa
from mera_train.msa.models.mult import CrossModal
from mera_train.msa.models.multitask import MultiTaskLowRankFusion, MultiTaskTensorFusion
from mera_train.msa.models.self_mm import SelfMM
from mera_train.msa.models.tfn import TensorFusion
from mera_train.msa.models.tfr_net import TfrNet

MODELS: dict[str, type[Network]] = {
    "mtme": SelfMM,
    "mtme_human": SelfMM,
    "self_mm": SelfMM,
    "lf_dnn": LateFusion,
    "tfn": TensorFusion,
    "lmf": LowRankFusion,
    "mtfn": MultiTaskTensorFusion,
    "mlmf": MultiTaskLowRankFusion,
    "mult": CrossModal,
    "misa": Misa,
    "mag_bert": MagBert,
    "tfr_net": TfrNet,
    "almt": Almt,
}
"""Networks by name. ``mtme``, ``mtme_human`` (with human unimodal labels where available) and
``self_mm`` are the same network, trained differently.
"""

__all__ = ["MODELS", "ModelConfig", "Network", "Shapes"]
