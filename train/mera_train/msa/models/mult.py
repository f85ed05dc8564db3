"""``mult``: cross-modal attention."""

from __future__ import annotations

from itertools import permutations

import torch
from torch import Tensor, nn

from mera_train.fusion.model import Head
from mera_train.msa.data import MODALITIES, Batch
from mera_train.msa.models.encode import ModelConfig, Network, by_dialogue, by_utterance
from mera_train.msa.models.inputs import Shapes, frames_there


class CrossModal(Network):
    """One layer of cross-modal attention (MulT, Tsai et al., ACL 2019, arXiv 1906.00295).

    Each modality attends to the frames of each other one. In dialogues whose utterances are
    single vectors the utterances are the frames, as in MMMU-BA (Ghosal et al., EMNLP 2018).
    """

    def __init__(self, config: ModelConfig, shapes: Shapes) -> None:
        super().__init__(config, shapes)
        width = config.attention_dim
        self.dropout = nn.Dropout(config.dropout)
        self.project = nn.ModuleDict({n: nn.Linear(shapes[n][1], width) for n in MODALITIES})
        self.before = nn.ModuleDict(
            {n: nn.GRU(width, width // 2, batch_first=True, bidirectional=True) for n in MODALITIES}
        )
        self.pairs = list(permutations(MODALITIES, 2))
        self.attention = nn.ModuleDict(
            {
                "_".join(pair): nn.MultiheadAttention(
                    width, config.heads, dropout=config.dropout, batch_first=True
                )
                for pair in self.pairs
            }
        )
        self.norms = nn.ModuleDict({"_".join(pair): nn.LayerNorm(width) for pair in self.pairs})
        self.head = Head(width * len(self.pairs), config.fusion_dim)

    def answer(self, batch: Batch) -> dict[str, Tensor]:
        """Return ``sentiment [B]``."""
        values = self.inputs(batch)
        there = {name: frames_there(batch, name) for name in MODALITIES}
        if batch.dialogues:
            values = {n: by_dialogue(v[:, 0], batch.dialogues) for n, v in values.items()}
            there = {n: by_dialogue(t[:, 0], batch.dialogues) for n, t in there.items()}
        for name, value in values.items():
            states = self.before[name](torch.tanh(self.project[name](value)))[0]
            values[name] = self.dropout(states) * there[name].unsqueeze(-1)
        looked = [self._look(target, source, values, there) for target, source in self.pairs]
        if batch.dialogues:
            looked = [by_utterance(value, batch.dialogues) for value in looked]
        else:
            looked = [
                (value * there[target].unsqueeze(-1)).sum(1)
                / there[target].sum(1, keepdim=True).clamp(min=1)
                for value, (target, _) in zip(looked, self.pairs, strict=True)
            ]
        return {"sentiment": self.head(torch.cat(looked, dim=1))[1].squeeze(1)}

    def _look(
        self, target: str, source: str, values: dict[str, Tensor], there: dict[str, Tensor]
    ) -> Tensor:
        # Attention without any key is undefined: such rows attend to zeros.
        unseen = ~there[source]
        unseen = unseen & ~unseen.all(dim=1, keepdim=True)
        name = f"{target}_{source}"
        seen, _ = self.attention[name](
            values[target], values[source], values[source], unseen, need_weights=False
        )
        y: Tensor = self.norms[name](values[target] + self.dropout(seen))
        return y
