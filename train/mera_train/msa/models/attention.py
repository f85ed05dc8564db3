"""Attention as `mag_bert`, `tfr_net` and `almt` use it."""

from __future__ import annotations

from torch import Tensor, nn


class Attention(nn.Module):
    """One layer in which a sequence looks at another, or at itself, and thinks about it.

    Norms come first (Xiong et al., ICML 2020): ``x + attention(x, source)``, then ``x + mlp(x)``.
    """

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.looks = nn.LayerNorm(width)
        self.seen = nn.LayerNorm(width)
        self.attention = nn.MultiheadAttention(width, heads, dropout=dropout, batch_first=True)
        self.thinks = nn.Sequential(
            nn.LayerNorm(width), nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width)
        )
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, source: Tensor, there: Tensor) -> Tensor:
        """Return ``[B, T, width]`` of ``x [B, T, width]`` and ``source [B, S, width]``.

        Args:
            x: looks.
            source: is looked at.
            there: bool ``[B, S]``, what of it is there. With nothing to look at attention has
                nothing to share out: there, all is seen, which is to be zero.
        """
        unseen = ~there
        unseen = unseen & ~unseen.all(dim=1, keepdim=True)
        source = self.seen(source)
        found, _ = self.attention(self.looks(x), source, source, unseen, need_weights=False)
        x = x + self.dropout(found)
        thought: Tensor = x + self.dropout(self.thinks(x))
        return thought
