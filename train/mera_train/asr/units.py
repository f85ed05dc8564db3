"""Subword units: what the recognizer writes."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Literal

import sentencepiece

BLANK = "<blk>"
_MOST = 20_000
"""Characters; Chinese corpora have four to six thousand."""
WORD_START = "▁"


class Units:
    """A SentencePiece model whose class 0 is the CTC blank."""

    def __init__(self, model: bytes) -> None:
        self._pieces = sentencepiece.SentencePieceProcessor(model_proto=model)
        self.symbols: list[str] = [
            self._pieces.id_to_piece(i) for i in range(self._pieces.get_piece_size())
        ]

    @classmethod
    def learn(cls, texts: Sequence[str], size: int | Literal["characters"]) -> Units:
        """Find ``size`` units (byte-pair encoding) in training texts, or take the characters. The
        same texts give the same units."""
        model = io.BytesIO()
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(texts),
            model_writer=model,
            **(
                {"model_type": "char", "vocab_size": _MOST, "hard_vocab_limit": False}
                if size == "characters"
                else {"model_type": "bpe", "vocab_size": size}
            ),
            character_coverage=1.0,
            # The blank takes the place of "unknown", which these texts do not have.
            unk_id=0,
            unk_piece=BLANK,
            bos_id=-1,
            eos_id=-1,
            minloglevel=2,
        )
        return cls(model.getvalue())

    def encode(self, text: str) -> list[int]:
        return list(self._pieces.encode(text))

    def decode(self, classes: Sequence[int]) -> str:
        return "".join(self.symbols[c] for c in classes).replace(WORD_START, " ").strip()
