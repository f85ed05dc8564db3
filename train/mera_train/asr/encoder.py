"""Common parts of the recognizer networks: configuration, stem, output heads."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator
from torch import Tensor, nn
from torch.nn import functional as F

from mera_train.asr.alignment import PHONES


class ModelConfig(BaseModel):
    """Layer sizes of the network."""

    model_config = ConfigDict(extra="forbid")

    kind: Literal["conformer", "deepspeech2", "whisper"] = Field(
        "conformer",
        description="deepspeech2: LSTMs for blocks; with heads: 1 and kernel_size: 3. whisper: "
        "with subsampling_factor: 4, kernel_size: 2 and an even number of left chunks",
    )
    subsampling_factor: Literal[4, 8] = Field(8, description="frames of 10 ms to an encoder frame")
    blocks: int = Field(8, ge=1)
    width: int = Field(192, ge=8, description="of every block")
    heads: int = Field(4, ge=1)
    ff_expansion: int = Field(3, ge=1, description="inner width of a feed-forward module / width")
    kernel_size: int = Field(9, ge=2, description="of the causal convolution, in encoder frames")
    stem_channels: int = Field(32, ge=1, description="channels of the subsampling convolutions")
    dropout: float = Field(0.1, ge=0, lt=1)
    chunk_size: int = Field(8, ge=1, description="encoder frames to a chunk")
    left_chunks: int = Field(4, ge=1, description="earlier chunks that a chunk sees")

    phone_head_block: int | None = Field(
        None,
        ge=0,
        description="whose keys and values name the phones, so that the device can name them from "
        "its cache; if unset, the output of the middle block names them, in training only",
    )

    @model_validator(mode="after")
    def _names_phones(self) -> ModelConfig:
        if self.phone_head_block is not None and (
            self.kind == "deepspeech2" or self.phone_head_block >= self.blocks
        ):
            raise ValueError(f"phone_head_block: no attention in block {self.phone_head_block}")
        return self

    @model_validator(mode="after")
    def _keeps_lstm_states(self) -> ModelConfig:
        if self.kind == "deepspeech2" and (self.heads, self.kernel_size) != (1, 3):
            raise ValueError(
                "deepspeech2 needs heads: 1 and kernel_size: 3 (mera_train.asr.deepspeech2)"
            )
        return self

    @model_validator(mode="after")
    def _joins_pairs(self) -> ModelConfig:
        shape = (self.subsampling_factor, self.kernel_size, self.left_chunks % 2)
        if self.kind == "whisper" and shape != (4, 2, 0):
            raise ValueError(
                "whisper needs subsampling_factor: 4, kernel_size: 2, and an even number of "
                "left chunks (mera_train.asr.whisper)"
            )
        return self

    @property
    def left(self) -> int:
        """Left context of a chunk, in encoder frames."""
        return self.chunk_size * self.left_chunks

    @property
    def window(self) -> int:
        """Input frames of one chunk.

        The next window starts ``chunk_size * subsampling_factor`` later.
        """
        return (self.chunk_size - 1) * self.subsampling_factor + self.right_context + 1

    @property
    def joined(self) -> int:
        """Frames in the cache of `phone_head_block` per encoder frame."""
        return 2 if self.kind == "whisper" else 1

    @property
    def phones_per_frame(self) -> int:
        """Phones per encoder frame, 40 ms each."""
        return self.subsampling_factor // 4

    @property
    def right_context(self) -> int:
        """Input frames of an encoder frame after its first."""
        return 2 * self.subsampling_factor - 2


class Stem(nn.Module):
    """Normalised frames ``[B, T, 80]`` to encoder frames ``[B, ~T / subsampling, width]``.

    It has few channels: the frame rate is highest here, and a wide stem would cost more than all
    blocks together.
    """

    def __init__(self, config: ModelConfig, bins: int) -> None:
        super().__init__()
        halvings = config.subsampling_factor.bit_length() - 1
        inputs = [1] + [config.stem_channels] * (halvings - 1)
        self.convolutions = nn.ModuleList(
            nn.Conv2d(channels, config.stem_channels, 3, stride=2) for channels in inputs
        )
        for _ in range(halvings):
            bins = (bins - 1) // 2
        self.out = nn.Linear(config.stem_channels * bins, config.width)

    def forward(self, frames: Tensor) -> Tensor:
        """Return encoder frames ``[B, U, width]`` of log-mel frames ``[B, T, 80]`` after CMVN.

        Without padding: ``U = (T - right_context - 1) // subsampling_factor + 1``, and encoder
        frame ``u`` reads the frames from ``u * subsampling_factor`` on.
        """
        maps = frames.unsqueeze(1)
        for convolution in self.convolutions:
            maps = F.silu(convolution(maps))
        x: Tensor = self.out(maps.transpose(1, 2).flatten(2))
        return x


class Dropout(nn.Module):
    """Drops whole channels of an utterance: one random draw per channel, not per frame and channel.

    On CPUs, the random numbers of ordinary dropout take a fifth of the training time.
    """

    def __init__(self, probability: float) -> None:
        super().__init__()
        self.probability = probability

    def forward(self, x: Tensor) -> Tensor:
        """``x`` [B, T, d]."""
        if not self.training or not self.probability:
            return x
        return x * F.dropout(x.new_ones(x.shape[0], 1, x.shape[2]), self.probability)


class Encoder(nn.Module):
    """Base class of the recognizer networks: CMVN, stem and output heads.

    Args:
        config: layer sizes.
        stem: maps normalised frames to the input of the first block.
        mean, inverse_std: global CMVN, ``[80]`` each; saved with the weights.
        symbols: number of output classes, including blank (0).
    """

    def __init__(
        self,
        config: ModelConfig,
        stem: nn.Module,
        mean: Tensor,
        inverse_std: Tensor,
        symbols: int,
    ) -> None:
        super().__init__()
        self.config = config
        self.mean: Tensor
        self.inverse_std: Tensor
        self.register_buffer("mean", mean)
        self.register_buffer("inverse_std", inverse_std)
        self.stem = stem
        self.head = nn.Linear(config.width, symbols)
        heard = (
            config.width if config.phone_head_block is None else 2 * config.width * config.joined
        )
        self.phones = nn.Linear(heard, len(PHONES) * config.phones_per_frame)

    def normalise(self, frames: Tensor) -> Tensor:
        """Apply the global CMVN."""
        return (frames - self.mean) * self.inverse_std

    def scores(self, last: Tensor, inner: Tensor) -> tuple[Tensor, Tensor]:
        """Return symbol scores from the last block and phone scores from an inner one."""
        phones = self.phones(inner).unflatten(-1, (self.config.phones_per_frame, -1))
        return self.head(last), phones
