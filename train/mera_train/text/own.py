"""Training of the text encoder on the user's own sentences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from random import Random
from typing import Any

import torch
from torch import Tensor, nn

from mera_edge.bundle import RoleName
from mera_edge.errors import InputError
from mera_edge.features.text import normalise
from mera_edge.features.tokens import Tokenizer
from mera_edge.labels import EMOTIONS, VALENCE
from mera_train.checkpoint import Checkpoint
from mera_train.fingerprint import Digests
from mera_train.own.examples import Example, Kind
from mera_train.own.train import train as learn_own
from mera_train.text.config import Config
from mera_train.text.disturb import disturb
from mera_train.text.model import TextEncoder
from mera_train.text.ngrams import fit_ngrams
from mera_train.text.tokenizer import TOKENIZER, learn, tokenize

VALENCES = torch.tensor([VALENCE[emotion] for emotion in EMOTIONS])


class OwnSentences:
    """See `mera_train.own.encoder.Encoder`."""

    role: RoleName = "text"
    title, labels = "Text encoder", EMOTIONS
    kind: Kind = "text"

    def __init__(self, config: Config) -> None:
        self.config = config
        self._texts: list[str] = []

    def read(self, example: Example) -> None:
        """Normalise the text as on the device."""
        text = normalise(example.given)
        if not text:
            raise InputError("no words are left in the text", "leave it out")
        self._texts.append(text)

    def begin(self, examples: Sequence[Example], out: Path, digests: Digests) -> None:
        """Encode the labels as integers, and collect the words of the training sentences as
        candidates for substitutions.
        """
        self.truth = torch.tensor([EMOTIONS.index(e.label) for e in examples])
        words = (w for t, e in zip(self._texts, examples, strict=True) if e.split == "train"
                 for w in t.split())  # fmt: skip
        self._words = sorted(set(words))

    def network(self, start: Checkpoint | None, learnt: Sequence[int]) -> TextEncoder:
        """Return the checkpoint's network and tokenizer, or new ones with tokenizer and n-grams
        fitted to the training sentences ``learnt``.
        """
        if start is not None:
            # The checkpoint's own tokenizer, so that token ids are unchanged.
            self._learnt = (start.directory / TOKENIZER).read_text(encoding="utf-8")
            self._tokenizer = Tokenizer.parse(self._learnt)
            return start.fill(TextEncoder(start.settings(Config).model))
        texts = sorted({self._texts[i] for i in learnt})
        self._learnt = learn(texts, self.config.model.vocab_size)
        self._tokenizer = Tokenizer.parse(self._learnt)
        size = len(self._tokenizer)
        model = TextEncoder(self.config.model.model_copy(update={"vocab_size": size}))
        target = nn.functional.one_hot(self.truth[list(learnt)], len(EMOTIONS)).float()
        example = (self._tokens([self._texts[i] for i in learnt]), target, torch.zeros_like(target))
        fit_ngrams(model.ngrams, [example], self.config.ngram_l2, self.config.ngram_max_iter)
        return model

    def _tokens(self, texts: list[str]) -> Tensor:
        return tokenize(self._tokenizer, texts, self.config.max_length)

    def batch(self, rows: Sequence[int], seed: tuple[int, ...]) -> tuple[Tensor, Tensor]:
        """Return tokens ``[n, L]``, ``L`` at most ``max_length``, and labels ``[n]``. Simulated
        recognition errors are added to a share ``sentence_prob`` of the sentences, never to
        non-ASCII (Chinese) ones.
        """
        generator, rates = Random(str(seed)), self.config.augment
        texts = [
            disturb(self._texts[i], rates, self._words, generator)
            if generator.random() < rates.sentence_prob and self._texts[i].isascii()
            else self._texts[i]
            for i in rows
        ]
        return self._tokens(texts), self.truth[list(rows)]

    def loss(self, model: TextEncoder, batch: Any, device: torch.device) -> Tensor:
        """Return cross-entropy in nats plus the weighted smooth L1 error of valence; its target is
        the label's valence, as valence is not annotated.
        """
        tokens, truth = (tensor.to(device) for tensor in batch)
        logits, valence, _ = model(tokens)
        cross_entropy = nn.functional.cross_entropy(
            logits.float(), truth, label_smoothing=self.config.label_smoothing
        )
        error = nn.functional.smooth_l1_loss(valence.float(), VALENCES.to(device)[truth], beta=0.3)
        return cross_entropy + self.config.valence_loss_weight * error

    def scores(self, model: TextEncoder, rows: Sequence[int]) -> Tensor:
        """Return logits ``[n, 7]`` over `EMOTIONS`, divided by the temperature, on the CPU."""
        device = model.temperature.device
        model.eval()
        parts = []
        with torch.inference_mode():
            for start in range(0, len(rows), 256):
                texts = [self._texts[i] for i in rows[start : start + 256]]
                parts.append(model(self._tokens(texts).to(device))[0].float())
            scores: Tensor = (torch.cat(parts) / model.temperature).cpu()
            return scores

    def configuration(self, model: TextEncoder) -> Config:
        """Return the settings with the actual layer sizes of the network."""
        return self.config.model_copy(update={"model": model.config})

    def files(self) -> Mapping[str, str]:
        """Return the tokenizer, which belongs to the weights."""
        return {TOKENIZER: self._learnt}


def train(config: Config, data: Path, out: Path, resume: bool | Path) -> dict[str, Any]:
    """Train on ``config.own``: see `mera_train.own.train.train`."""
    return learn_own(OwnSentences(config), config, out, resume)
