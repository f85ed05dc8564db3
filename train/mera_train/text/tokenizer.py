"""The tokenizer: subwords for alphabets, single characters for Chinese."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import torch
from tokenizers import Regex, Tokenizer, models, pre_tokenizers, trainers
from torch import Tensor

from mera_edge.errors import InputError

TOKENIZER = "tokenizer.json"
"""Its name in a checkpoint."""

PAD, UNKNOWN = "[PAD]", "[UNK]"

# Chinese characters and digits one by one, words with their apostrophes, runs of anything else.
_PIECES = r"\p{Han}|\p{N}|[\p{L}\p{M}']+|[^\s\p{Han}\p{N}\p{L}\p{M}']+"
_MERGE = "##"


def learn(texts: Iterable[str], vocabulary: int) -> Tokenizer:
    """Learn a byte-pair encoding (Sennrich et al., 2016) of normalised training texts.

    Args:
        texts: normalised sentences.
        vocabulary: number of tokens; ``[PAD]`` is 0, ``[UNK]`` is 1.
    """
    tokenizer = Tokenizer(models.BPE(unk_token=UNKNOWN, continuing_subword_prefix=_MERGE))
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(_PIECES), "removed", invert=True)
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        min_frequency=3,
        special_tokens=[PAD, UNKNOWN],
        continuing_subword_prefix=_MERGE,
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer


def read(directory: Path) -> Tokenizer:
    """Read the tokenizer of a checkpoint.

    Raises:
        InputError: there is none.
    """
    path = directory / TOKENIZER
    if not path.is_file():
        raise InputError(
            f"{directory} has no {TOKENIZER}",
            "give the directory that `mera-edge train text` wrote",
        )
    return Tokenizer.from_file(str(path))


def tokenize(tokenizer: Tokenizer, texts: Sequence[str], longest: int) -> Tensor:
    """Return token numbers, int64 ``[B, L]``, padded with 0.

    Args:
        tokenizer: of `learn`.
        texts: normalised.
        longest: the largest ``L``; of a longer text the last tokens count.
    """
    encoded = tokenizer.encode_batch(list(texts), add_special_tokens=False)
    found = [sentence.ids[-longest:] for sentence in encoded]
    tokens = torch.zeros(len(found), max(1, *map(len, found)), dtype=torch.int64)
    for row, ids in zip(tokens, found, strict=True):
        row[: len(ids)] = torch.tensor(ids)
    return tokens
