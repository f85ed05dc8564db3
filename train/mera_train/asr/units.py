"""Subword units: the output classes of the recognizer."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any, Literal

import sentencepiece
from sentencepiece import sentencepiece_model_pb2

BLANK = "<blk>"
_MOST = 20_000
"""Maximum number of characters; Chinese corpora have 4000 to 6000."""
WORD_START = "▁"


class Units:
    """The recognizer's classes (0 is the CTC blank), and the encoding of texts in them.

    Args:
        symbols: in the order of the byte-pair merges. Encoding needs nothing else: earlier merges
            have priority.
    """

    def __init__(self, symbols: Sequence[str]) -> None:
        self.symbols = list(symbols)
        # The module creates its classes at import.
        model: Any = sentencepiece_model_pb2.ModelProto()  # type: ignore[attr-defined]
        model.trainer_spec.model_type = model.trainer_spec.BPE
        model.normalizer_spec.name = "identity"
        for number, symbol in enumerate(self.symbols):
            # The blank replaces "unknown".
            kind = model.SentencePiece.NORMAL if number else model.SentencePiece.UNKNOWN
            model.pieces.add(piece=symbol, score=-number, type=kind)
        self._pieces = sentencepiece.SentencePieceProcessor(model_proto=model.SerializeToString())

    @classmethod
    def learn(cls, texts: Sequence[str], size: int | Literal["characters"]) -> Units:
        """Learn ``size`` byte-pair units from texts, or use the characters. Deterministic."""
        model = io.BytesIO()
        kind: dict[str, Any] = {"model_type": "bpe", "vocab_size": size}
        if size == "characters":
            kind = {"model_type": "char", "vocab_size": _MOST, "hard_vocab_limit": False}
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(texts),
            model_writer=model,
            **kind,
            character_coverage=1.0,
            normalization_rule_name="identity",
            unk_id=0,
            unk_piece=BLANK,
            bos_id=-1,
            eos_id=-1,
            minloglevel=2,
        )
        found = sentencepiece.SentencePieceProcessor(model_proto=model.getvalue())
        return cls([found.id_to_piece(number) for number in range(found.get_piece_size())])

    def unwritable(self, text: str) -> set[str]:
        """Return the characters of ``text`` that are in no unit."""
        return {c for c in text if not c.isspace()} - set("".join(self.symbols[1:]))

    def encode(self, text: str) -> list[int]:
        """Return the classes of a text; 0 (blank) for characters in no unit (`unwritable`)."""
        return list(self._pieces.encode(text))

    def decode(self, classes: Sequence[int]) -> str:
        """Invert `encode` (no blanks), up to leading and trailing spaces."""
        return "".join(self.symbols[c] for c in classes).replace(WORD_START, " ").strip()
