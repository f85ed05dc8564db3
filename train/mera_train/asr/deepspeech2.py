"""Streaming DeepSpeech2 (Amodei et al., 2016): convolutions, then unidirectional LSTMs.

The LSTM states take the place of the conformer's convolution caches, so that the exported file has
the same interface: a kernel of three caches two frames, an LSTM has two states.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mera_train.asr.encoder import Dropout, Encoder, ModelConfig, Stem


class DeepSpeech2(Encoder):
    """DeepSpeech2 with the interface of `mera_train.asr.model.Conformer`."""

    def __init__(
        self, config: ModelConfig, mean: Tensor, inverse_std: Tensor, symbols: int
    ) -> None:
        super().__init__(config, Stem(config, len(mean)), mean, inverse_std, symbols)
        width = config.width
        self.lstms = nn.ModuleList(
            nn.LSTM(width, width, batch_first=True) for _ in range(config.blocks)
        )
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(config.blocks))
        self.dropout = Dropout(config.dropout)

    def forward(self, normalised: Tensor, chunk: int) -> tuple[Tensor, Tensor]:
        """Encode whole utterances ``[B, T, 80]``; the chunk size has no effect.

        Returns:
            Symbol scores ``[B, encoder frames, symbols]`` from the last layer, and phone scores
            ``[B, encoder frames, phones per frame, phones]`` from the middle one.
        """
        x = middle = self.stem(normalised)
        for index, (lstm, norm) in enumerate(zip(self.lstms, self.norms, strict=True)):
            x = norm(self.dropout(lstm(x)[0]))
            if index + 1 == len(self.lstms) // 2:
                middle = x
        return self.scores(x, middle)

    def stream(
        self, frames: Tensor, offset: Tensor, attention: Tensor, states: Tensor, visible: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Encode one window.

        Args:
            frames: ``[1, window, 80]``, before CMVN.
            offset, visible: ignored.
            attention: returned unchanged; there is no attention.
            states: ``[layers, 1, d, 2]``, zeros at the beginning.

        Returns:
            Log-probabilities ``[1, chunk, symbols]``, ``attention``, and the next states.
        """
        x = self.stem(self.normalise(frames))
        after = []
        for index, (lstm, norm) in enumerate(zip(self.lstms, self.norms, strict=True)):
            hidden, cell = states[index : index + 1].unbind(-1)
            x, (hidden, cell) = lstm(x, (hidden.contiguous(), cell.contiguous()))
            after.append(torch.stack([hidden, cell], dim=-1))
            x = norm(x)
        return F.log_softmax(self.head(x), dim=-1), attention + 0.0, torch.cat(after)
