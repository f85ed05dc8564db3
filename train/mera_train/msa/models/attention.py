"""Attention block of `mag_bert`, `tfr_net` and `almt`."""

from __future__ import annotations

from torch import Tensor, nn


class Attention(nn.Module):
    """One layer of attention to another sequence, or to itself, followed by an MLP.

    Pre-norm (Xiong et al., ICML 2020): ``x + attention(x, source)``, then ``x + mlp(x)``.
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
            x: queries.
            source: keys and values.
            there: bool ``[B, S]``, false for padding. A row without any key attends to all
                positions, which must be zero.
        """
        unseen = ~there
        unseen = unseen & ~unseen.all(dim=1, keepdim=True)
        source = self.seen(source)
        found, _ = self.attention(self.looks(x), source, source, unseen, need_weights=False)
        x = x + self.dropout(found)
        thought: Tensor = x + self.dropout(self.thinks(x))
        return thought
