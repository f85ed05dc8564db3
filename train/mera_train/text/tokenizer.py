"""Learning of a tokenizer; `mera_edge.features.tokens` applies it, also in training."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import torch
from torch import Tensor

from mera_edge.errors import InputError
from mera_edge.features.tokens import CONTINUATION, PIECES, UNKNOWN, Tokenizer

TOKENIZER = "tokenizer.json"
"""File name in a checkpoint."""

PAD = "[PAD]"


def learn(texts: Iterable[str], vocabulary: int) -> str:
    """Learn a byte-pair encoding (Sennrich et al., 2016) of normalised training texts.

    Args:
        texts: normalised sentences.
        vocabulary: number of tokens, including ``[PAD]`` (0) and ``[UNK]`` (1).

    Returns:
        The content of a `TOKENIZER` file.
    """
    from tokenizers import Regex, models, pre_tokenizers, trainers
    from tokenizers import Tokenizer as Learner

    learner = Learner(models.BPE(unk_token=UNKNOWN, continuing_subword_prefix=CONTINUATION))
    learner.pre_tokenizer = pre_tokenizers.Split(Regex(PIECES), "removed", invert=True)
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        min_frequency=3,
        special_tokens=[PAD, UNKNOWN],
        continuing_subword_prefix=CONTINUATION,
        show_progress=False,
    )
    learner.train_from_iterator(texts, trainer)
    text: str = learner.to_str(pretty=True)
    return text


def read(directory: Path) -> Tokenizer:
    """Read the tokenizer of a checkpoint.

    Raises:
        InputError: it is missing or of another type.
    """
    path = directory / TOKENIZER
    if not path.is_file():
        raise InputError(
            f"{directory} has no {TOKENIZER}",
            "give the directory that `mera-edge train text` wrote",
        )
    return Tokenizer.read(path)


def tokenize(tokenizer: Tokenizer, texts: Sequence[str], longest: int) -> Tensor:
    """Return token ids, int64 ``[B, L]``, padded with 0.

    Args:
        tokenizer: from `learn`.
        texts: normalised texts.
        longest: maximum ``L``; of longer texts the last tokens are kept.
    """
    found = [tokenizer.encode(text)[-longest:] for text in texts]
    tokens = torch.zeros(len(found), max(1, *map(len, found)), dtype=torch.int64)
    for row, ids in zip(tokens, found, strict=True):
        row[: len(ids)] = torch.tensor(ids)
    return tokens
