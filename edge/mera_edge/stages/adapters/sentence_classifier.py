"""Multi-label sentence classifiers with a byte-level BPE tokenizer like RoBERTa's.

``labels`` in the catalogue: the emotion that each output stands for, in order; ``preprocess``:
``longest``, the maximum number of tokens.
"""

from __future__ import annotations

import functools
import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np
import regex
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from mera_edge.bundle.catalogue import Published
from mera_edge.engine.onnx import open_session
from mera_edge.errors import EngineError
from mera_edge.evidence import Evidence
from mera_edge.labels import expected_valence, project

_WORDS = regex.compile(r"'(?:s|t|re|ve|m|ll|d)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+")
_START, _END, _UNKNOWN = "<s>", "</s>", "<unk>"


class Preprocess(BaseModel):
    """Preprocessing parameters; see the module's docstring."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    longest: int


def open_model(directory: Path, model: Published) -> SentenceClassifier:
    """Open the network and the ``tokenizer.json`` of ``model``."""
    file = next(name for name in model.files if name.endswith(".onnx"))
    tokenizer = ByteLevelTokenizer(directory / "tokenizer.json")
    how = Preprocess.model_validate(model.preprocess)
    return SentenceClassifier(directory / file, tokenizer, model.labels, how.longest)


class ByteLevelTokenizer:
    """A byte-level BPE that gives the same ids as the library ``tokenizers`` without needing it.

    Raises:
        EngineError: the file is a different kind of tokenizer.
    """

    def __init__(self, path: Path) -> None:
        try:
            facts = json.loads(path.read_text(encoding="utf-8"))
            model, split = facts["model"], facts["pre_tokenizer"]
            if (model["type"], split["type"]) != ("BPE", "ByteLevel") or facts.get("normalizer"):
                raise ValueError("it is not a byte-level BPE")
            self._vocabulary: dict[str, int] = model["vocab"]
            pairs = [m.split(" ") if isinstance(m, str) else m for m in model["merges"]]
            self._ranks = {(left, right): rank for rank, (left, right) in enumerate(pairs)}
            self.start, self.end = self._vocabulary[_START], self._vocabulary[_END]
            self._unknown = self._vocabulary[_UNKNOWN]
            self._space = " " if split.get("add_prefix_space") else ""
        except (ValueError, KeyError, TypeError) as error:
            raise EngineError(f"{path} is not this kind of tokenizer ({error})") from error
        shown = [*range(33, 127), *range(161, 173), *range(174, 256)]
        hidden = [byte for byte in range(256) if byte not in shown]
        self._letters = {byte: chr(byte) for byte in shown}
        self._letters |= {byte: chr(256 + number) for number, byte in enumerate(hidden)}
        self._word = functools.lru_cache(10_000)(self._merged)

    def encode(self, text: str) -> list[int]:
        """Return the token ids of a text, without start and end tokens."""
        text = text if text.startswith(" ") else self._space + text
        return [token for word in _WORDS.findall(text) for token in self._word(word)]

    def _merged(self, word: str) -> tuple[int, ...]:
        parts = [self._letters[byte] for byte in word.encode()]
        while len(parts) > 1:
            ranks = [self._ranks.get(pair) for pair in itertools.pairwise(parts)]
            known = [rank for rank in ranks if rank is not None]
            if not known:
                break
            at = ranks.index(min(known))
            parts[at : at + 2] = [parts[at] + parts[at + 1]]
        return tuple(self._vocabulary.get(part, self._unknown) for part in parts)


class SentenceClassifier:
    """Classifies one sentence at a time.

    Raises:
        EngineError: the model cannot be loaded, or has other inputs or outputs.
    """

    def __init__(
        self, path: Path, tokenizer: ByteLevelTokenizer, labels: tuple[str, ...], longest: int
    ) -> None:
        self._tokenizer, self._labels, self._longest = tokenizer, labels, longest
        self._session = open_session(path)
        names = [node.name for node in self._session.get_inputs()]
        (answer, *_) = self._session.get_outputs()
        if names != ["input_ids", "attention_mask"] or answer.shape[-1] != len(labels):
            raise EngineError(f"{path.name} expects {names} and returns {answer.shape}")

    def accept(self, text: str, captured_s: float) -> Evidence | None:
        """Classify a sentence, truncated to its last tokens; ``None`` if it is empty."""
        tokens = (
            self._tokenizer.encode(text.strip())[-(self._longest - 2) :] if text.strip() else []
        )
        if not tokens:
            return None
        ids = np.array([[self._tokenizer.start, *tokens, self._tokenizer.end]])
        feeds: dict[str, Any] = {"input_ids": ids, "attention_mask": np.ones_like(ids)}
        logits = np.asarray(self._session.run(None, feeds)[0], np.float64)[0]
        seven: NDArray[np.float32] = project(1 / (1 + np.exp(-logits)), self._labels)
        valence = expected_valence(seven)
        return Evidence("text", captured_s, seven, valence, np.zeros(0, np.float32))
