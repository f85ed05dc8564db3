"""``mag_bert``: audio and vision shift the word vectors."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from mera_train.msa.data import Batch
from mera_train.msa.models.attention import Attention
from mera_train.msa.models.encode import InDialogue, ModelConfig, Network
from mera_train.msa.models.inputs import Shapes, frames_there

BESIDE = ("audio", "vision")


class MagBert(Network):
    """MAG-BERT (Rahman et al., ACL 2020, arXiv 1908.05787).

    The gate is that of the paper. It shifts the word vectors of the feature file, not those inside
    BERT, and a few attention layers replace BERT's later ones: no BERT is trained. Audio and vision
    are averaged over the frames of each word, assuming words of equal duration.
    """

    def __init__(self, config: ModelConfig, shapes: Shapes) -> None:
        super().__init__(config, shapes)
        words, width = shapes["text"][1], config.attention_dim
        self.gate = Gate(
            words, {n: shapes[n][1] for n in BESIDE}, config.beta_shift, config.dropout
        )
        self.project = nn.Linear(words, width)
        self.layers = nn.ModuleList(
            Attention(width, config.heads, config.dropout) for _ in range(config.layers)
        )
        self.ending = InDialogue(width, config)

    def answer(self, batch: Batch) -> dict[str, Tensor]:
        """Return ``sentiment [B]``."""
        values = self.inputs(batch)
        words, there = batch.lengths["text"], frames_there(batch, "text")
        beside = {
            name: by_word(values[name], batch.lengths[name], words, there.shape[1])
            for name in BESIDE
        }
        x = self.project(self.gate(values["text"], beside)) * there.unsqueeze(-1)
        for layer in self.layers:
            x = layer(x, x, there)
        return {"sentiment": self.ending(x[:, 0], batch)}


class Gate(nn.Module):
    """The multimodal adaptation gate.

    For a word z with frames m of each other modality M, ``g_M = relu(W_gM [z; m] + b_gM)``,
    ``h = sum_M g_M * (W_M m + b_M)``, ``alpha = min(beta |z| / |h|, 1)``; the word becomes
    ``norm(z + alpha h)``.

    Args:
        words: width of a word vector.
        widths: widths of the other modalities.
        shift: beta, the largest shift in units of the norm of the word vector.
        dropout: dropout rate of the shifted word vector.
    """

    def __init__(self, words: int, widths: dict[str, int], shift: float, dropout: float) -> None:
        super().__init__()
        self.gates = nn.ModuleDict({n: nn.Linear(words + w, words) for n, w in widths.items()})
        self.project = nn.ModuleDict({n: nn.Linear(w, words) for n, w in widths.items()})
        self.shift = shift
        self.norm = nn.LayerNorm(words)
        self.dropout = nn.Dropout(dropout)

    def forward(self, words: Tensor, beside: dict[str, Tensor]) -> Tensor:
        """Return ``words [B, T, D]``, shifted by ``beside [B, T, D_M]``."""
        gated = [
            torch.relu(self.gates[name](torch.cat([words, value], dim=2)))
            * self.project[name](value)
            for name, value in beside.items()
        ]
        moved = torch.stack(gated).sum(dim=0)
        lengths = torch.linalg.vector_norm(words, dim=2, keepdim=True)
        shifts = torch.linalg.vector_norm(moved, dim=2, keepdim=True).clamp(min=1e-6)
        alpha = (self.shift * lengths / shifts).clamp(max=1)
        shifted: Tensor = self.dropout(self.norm(words + alpha * moved))
        return shifted


def by_word(x: Tensor, lengths: Tensor, words: Tensor, longest: int) -> Tensor:
    """Average the frames ``[B, T, D]`` of each word, ``[B, longest, D]``.

    Word i of n has the frames from ``floor(i m / n)`` to ``ceil((i + 1) m / n)`` of m, so at least
    one; positions after the last word are zero.

    Args:
        x: frames ``[B, T, D]``.
        lengths: ``[B]``, number of frames.
        words: ``[B]``, number of words.
        longest: number of word positions to return.
    """
    word = torch.arange(longest, device=x.device).unsqueeze(0)
    count, frames = words.clamp(min=1).unsqueeze(1), lengths.unsqueeze(1)
    begin = torch.div(word * frames, count, rounding_mode="floor")
    end = torch.div((word + 1) * frames + count - 1, count, rounding_mode="floor")
    frame = torch.arange(x.shape[1], device=x.device)
    inside = (frame >= begin.unsqueeze(2)) & (frame < end.unsqueeze(2))
    inside = inside & (word < words.unsqueeze(1)).unsqueeze(2)
    share = inside / inside.sum(dim=2, keepdim=True).clamp(min=1)
    return share @ x
