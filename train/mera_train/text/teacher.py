"""A Hugging Face encoder with our heads: for full precision, and as a teacher."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor, nn

from mera_edge.errors import InputError, MissingExtra
from mera_edge.labels import EMOTIONS
from mera_train import checkpoint
from mera_train.distillation import DistillationConfig
from mera_train.temperature import Calibrated


class Distillation(DistillationConfig):
    """The teacher of the text encoder."""

    teacher: Path = Field(description="checkpoint that `train text` wrote for an `encoder`")


class Teacher(Calibrated):
    """A pretrained encoder with mean pooling and a linear layer per output.

    Args:
        encoder: a model from `transformers`.
        tokenizer: its tokenizer.
    """

    def __init__(self, encoder: Any, tokenizer: Any) -> None:
        super().__init__()
        self.encoder, self.tokenizer = encoder, tokenizer
        width = encoder.config.hidden_size
        self.dropout = nn.Dropout(0.1)
        self.emotion = nn.Linear(width, len(EMOTIONS))
        self.valence = nn.Linear(width, 1)

    @classmethod
    def of(cls, directory: Path) -> Teacher:
        """Open an encoder's directory, as written by `save_pretrained`. Nothing is downloaded.

        Raises:
            MissingExtra: transformers is not installed.
            InputError: the directory does not contain an encoder.
        """
        auto_model, _, tokenizer = _classes(directory)
        try:
            return cls(auto_model.from_pretrained(directory, local_files_only=True), tokenizer)
        except (OSError, ValueError) as error:
            raise InputError(f"{directory} has no weights ({error})", _REMEDY) from error

    @classmethod
    def load(cls, run: Path) -> Teacher:
        """Open a checkpoint of `train text` with an ``encoder``, without the original encoder."""
        auto_model, config, tokenizer = _classes(run)
        return checkpoint.load(run).fill(cls(auto_model.from_config(config), tokenizer))

    def save(self, run: Path) -> None:
        """Add the encoder's shape and tokenizer to a checkpoint."""
        self.encoder.config.save_pretrained(run)
        self.tokenizer.save_pretrained(run)

    def read(self, texts: list[str], longest: int) -> Tensor:
        """Return token ids, int64 ``[B, L]``; of longer texts the first tokens are kept."""
        found = self.tokenizer(
            texts, padding=True, truncation=True, max_length=longest, return_tensors="pt"
        )
        ids: Tensor = found["input_ids"]
        return ids

    def forward(self, tokens: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Encode ``tokens [B, L]``: logits ``[B, 7]``, valence ``[B]``, embedding ``[B, D]``."""
        present = tokens != self.tokenizer.pad_token_id
        states = self.encoder(input_ids=tokens, attention_mask=present.long()).last_hidden_state
        weights = present.unsqueeze(2).to(states.dtype)
        embedding = (states * weights).sum(1) / weights.sum(1).clamp_min(1)
        kept = self.dropout(embedding)
        return self.emotion(kept), torch.tanh(self.valence(kept)).squeeze(1), embedding


_REMEDY = "give a directory written by transformers' save_pretrained, including the tokenizer"


def _classes(directory: Path) -> tuple[Any, Any, Any]:
    """Return the model factory, and the configuration and tokenizer of a directory."""
    try:
        from transformers import AutoConfig, AutoModel, AutoTokenizer
    except ImportError as error:
        raise MissingExtra("transformers", "train") from error
    if not (directory / "config.json").is_file():
        raise InputError(
            f"{directory} is not a Hugging Face encoder: it has no config.json", _REMEDY
        )
    try:
        config = AutoConfig.from_pretrained(directory, local_files_only=True)
        tokenizer = AutoTokenizer.from_pretrained(directory, local_files_only=True)
    except (OSError, ValueError) as error:
        why = str(error).partition("\n")[0]
        raise InputError(f"{directory} is not a Hugging Face encoder ({why})", _REMEDY) from error
    return AutoModel, config, tokenizer


def teacher_logits(teacher: Teacher, texts: list[str], longest: int) -> NDArray[np.float16]:
    """Return the teacher's logits ``[n, 7]`` for texts, in order."""
    order = sorted(range(len(texts)), key=lambda i: len(texts[i]))
    found = np.zeros((len(texts), len(EMOTIONS)), np.float16)
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        for start in range(0, len(order), 64):
            chosen = order[start : start + 64]
            tokens = teacher.read([texts[i] for i in chosen], longest)
            found[chosen] = teacher(tokens)[0].float().numpy()
    return found
