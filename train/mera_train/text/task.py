"""The training task of the text encoder: batches, loss, metrics."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from mera_edge.features.tokens import Tokenizer
from mera_edge.labels import EMOTIONS
from mera_edge.metrics.classification import classification, mistakes
from mera_train import checkpoint, disk, fingerprint
from mera_train.distillation import disagreement
from mera_train.temperature import fit_temperature
from mera_train.text.batch import Batch, priors, weights
from mera_train.text.config import Config
from mera_train.text.data import ENGLISH, SPOKEN, Sentence, sentences
from mera_train.text.disturb import disturb
from mera_train.text.model import TextEncoder
from mera_train.text.ngrams import fit_ngrams
from mera_train.text.teacher import Distillation, Teacher, teacher_logits
from mera_train.text.tokenizer import TOKENIZER, learn, tokenize

CHOSEN_ON = ("goemotions", "meld", "smp_usual")
"""Selection corpora besides dialogue: their dev splits select the weights, with equal votes."""

TESTED = ("goemotions", "meld", "carer", "smp_usual", "smp_virus")
"""The corpora with an official test split and emotion labels."""


class TextTask:
    """Training task of the text encoder."""

    def __init__(self, config: Config, data: Path) -> None:
        rows = sentences(data, config.dialogue_corpora)
        self.config = config
        self.train = [
            row
            for row in rows
            if row.split == "train"
            for _ in range(config.corpus_repeats.get(row.corpus, 1))
        ]
        self.chosen_on = (*CHOSEN_ON, *config.dialogue_corpora)
        self.held_out = [row for row in rows if row.split != "train"]
        texts = sorted({row.text for row in self.train})
        self.taught: Tensor | None = None
        self.model: TextEncoder | Teacher
        if config.encoder is not None:
            self.model = Teacher.of(config.encoder)
        else:
            if config.init_checkpoint is None:
                self.learnt = learn(texts, config.model.vocab_size)
            else:
                self.learnt = (config.init_checkpoint / TOKENIZER).read_text(encoding="utf-8")
            self.tokenizer = Tokenizer.parse(self.learnt)
            size = len(self.tokenizer)
            self.model = TextEncoder(config.model.model_copy(update={"vocab_size": size}))
            if config.init_checkpoint is not None:
                begin(self.model, checkpoint.load(config.init_checkpoint))
        counts = Counter(w for t in texts for w in re.findall(r"[a-z']{2,}", t))
        self.words = [word for word, _ in counts.most_common(5000)]
        self.priors = priors(self.train, config.logit_adjustment)
        self.weights = weights(self.train, config.ngram_class_balance)

    def plan(self, epoch: int) -> Sequence[list[int]]:
        """Return the batches of an epoch."""
        return self.grouped(epoch)[: self.config.batches_per_epoch]

    def grouped(self, epoch: int) -> list[list[int]]:
        """Group all sentences into batches of similar length, in random order."""
        random = Random(f"{self.config.loop.seed} {epoch}")
        order = sorted(
            range(len(self.train)), key=lambda i: len(self.train[i].text) * random.uniform(0.8, 1.2)
        )
        batches = [
            order[start : start + self.config.batch_size]
            for start in range(0, len(order), self.config.batch_size)
        ]
        random.shuffle(batches)
        return batches

    def load(self, plan: list[int], epoch: int) -> Batch:
        """Augment and tokenize the sentences of a batch."""
        random = Random(f"{self.config.loop.seed} {epoch} {plan[0]}")
        rows = [self.train[index] for index in plan]
        rates = self.config.augment
        texts = [
            disturb(row.text, rates, self.words, random)
            if row.corpus in ENGLISH and random.random() < rates.sentence_prob
            else row.text
            for row in rows
        ]
        opinion = None if self.taught is None else self.taught[plan]
        return Batch(rows, self.read(texts), self.priors, opinion)

    def read(self, texts: list[str]) -> Tensor:
        """Return the tokens ``[B, L]`` of normalised texts."""
        if isinstance(self.model, Teacher):
            return self.model.read(texts, self.config.max_length)
        return tokenize(self.tokenizer, texts, self.config.max_length)

    def distill_from(self, settings: Distillation, cache: Path, made: str) -> None:
        """Compute a teacher's logits for the training sentences.

        They are NaN for corpora that it was not trained on, such as those in another language.
        """
        if fingerprint.stale(cache, made):
            seen = checkpoint.load(settings.teacher).settings(Config).corpus_repeats
            known = [i for i, row in enumerate(self.train) if seen.get(row.corpus, 1)]
            texts = [self.train[i].text for i in known]
            said = np.full((len(self.train), len(EMOTIONS)), np.nan, np.float16)
            said[known] = teacher_logits(
                Teacher.load(settings.teacher), texts, self.config.max_length
            )
            with disk.whole(cache) as file:
                np.save(file, said)
            fingerprint.stamp(cache, made)
        self.taught = torch.from_numpy(np.load(cache))

    def loss(self, batch: Batch, device: torch.device) -> Tensor:
        """Return cross-entropy over the labels of the corpus, plus weighted valence error."""
        model = self.model
        network = model.network if isinstance(model, TextEncoder) else model
        logits, valence, _ = network(batch.tokens.to(device))
        target, offset = batch.target.to(device), batch.offset.to(device)
        known = target.sum(dim=1, keepdim=True)
        sayable = torch.isfinite(offset).float()
        uniform = sayable / sayable.sum(dim=1, keepdim=True).clamp(min=1)
        target = (
            1 - self.config.label_smoothing
        ) * target + self.config.label_smoothing * uniform * known
        adjusted = logits.float() + offset.clamp(min=-1e4)
        cross_entropy = -(target * torch.log_softmax(adjusted, dim=1)).sum(dim=1)
        error = nn.functional.smooth_l1_loss(valence.float(), batch.valence.to(device), beta=0.3)
        if self.config.distillation is not None and batch.opinion is not None:
            weight, warmth = self.config.distillation.weight, self.config.distillation.temperature
            opinion = batch.opinion.to(device)
            taught = disagreement(logits, opinion, warmth)
            mixed = (1 - weight) * cross_entropy + weight * taught
            cross_entropy = torch.where(opinion.isnan().any(dim=1), cross_entropy, mixed)
        cross_entropy = cross_entropy.sum() / known.sum().clamp(min=1)
        return cross_entropy + self.config.valence_loss_weight * error

    def fit_ngrams(self, model: TextEncoder) -> None:
        """Fit the n-gram classifier to one augmented version of the training sentences."""
        examples = []
        for plan in self.grouped(0):
            batch = self.load(plan, 0)
            named = batch.target.sum(dim=1) > 0
            weights = torch.stack([self.weights[self.train[index].corpus] for index in plan])
            unsaid = batch.offset.masked_fill(torch.isfinite(batch.offset), 0)
            examples.append((batch.tokens[named], (batch.target * weights)[named], unsaid[named]))
        fit_ngrams(model.ngrams, examples, self.config.ngram_l2, self.config.ngram_max_iter)

    def evaluate(self, model: TextEncoder | Teacher, device: torch.device) -> dict[str, float]:
        """Return metrics on the dev splits; ``score`` is the mean over the selection corpora."""
        metrics: dict[str, float] = {}
        for corpus in self.chosen_on:
            found = self.measure(model, corpus, "dev")
            metrics |= {f"{corpus}_{name}": found[name] for name in ("macro_f1", "weighted_f1")}
        votes = [
            metrics[f"{corpus}_{'weighted' if corpus == 'meld' else 'macro'}_f1"]
            for corpus in self.chosen_on
        ]
        metrics["score"] = sum(votes) / len(votes)
        return metrics

    def measure(
        self, model: TextEncoder | Teacher, corpus: str, split: str, disturbed: bool = False
    ) -> dict[str, Any]:
        """Evaluate on the sentences of a split that have exactly one label."""
        rows = [r for r in self.of(corpus, split) if len(r.emotions) == 1]
        if disturbed:
            random = Random(0)
            rates = self.config.augment
            rows = [replace(r, text=disturb(r.text, rates, self.words, random)) for r in rows]
        logits, _ = self.predict(model, rows)
        probabilities = torch.softmax(logits / model.temperature, dim=1).numpy()
        return classification([row.emotions[0] for row in rows], probabilities, EMOTIONS)

    def mistakes(self, corpus: str) -> list[dict[str, Any]]:
        """Return the most confident errors in a test split; a row is the index of a sentence."""
        rows = self.of(corpus, "test")
        single = [number for number, row in enumerate(rows) if len(row.emotions) == 1]
        logits, _ = self.predict(self.model, [rows[number] for number in single])
        probabilities = torch.softmax(logits / self.model.temperature, dim=1).numpy()
        truth = [rows[number].emotions[0] for number in single]
        return mistakes([str(number + 1) for number in single], truth, probabilities, EMOTIONS)

    def finish(self) -> dict[str, Any]:
        """Tune share and temperature on dev, then measure on test."""
        model = self.model
        if isinstance(model, TextEncoder) and self.config.init_checkpoint is None:
            self.choose_share(model)
        model.temperature.fill_(self.temperature())
        return {
            "dev": self.evaluate(model, next(model.parameters()).device),
            **({"share": float(model.share)} if isinstance(model, TextEncoder) else {}),
            "temperature": float(model.temperature),
            "parameters": sum(value.numel() for value in model.state_dict().values()),
            **self.tests(),
        }

    def tests(self) -> dict[str, Any]:
        """Return all metrics on the test splits, and on the dialogue that is held out for dev."""
        model = self.model
        return {
            "dialogue": {
                corpus: self.measure(model, corpus, "dev")
                for corpus in self.config.dialogue_corpora
            },
            "test": {corpus: self.measure(model, corpus, "test") for corpus in TESTED},
            "test_disturbed": {
                corpus: self.measure(model, corpus, "test", disturbed=True)
                for corpus in TESTED
                if corpus in ENGLISH
            },
            "mistakes": {corpus: self.mistakes(corpus) for corpus in TESTED},
            "valence": {"chsims": self.valence("test")},
        }

    def choose_share(self, model: TextEncoder) -> None:
        """Tune the weight of the network against the n-grams on dev."""
        shares = [0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8]
        scores = []
        for share in shares:
            model.share.fill_(share)
            scores.append(self.evaluate(model, next(model.parameters()).device)["score"])
        model.share.fill_(shares[int(np.argmax(scores))])

    def temperature(self) -> float:
        """Fit one temperature on the dev splits of all selection corpora."""
        logits, truth = [], []
        for corpus in self.chosen_on:
            rows = [r for r in self.of(corpus, "dev") if len(r.emotions) == 1]
            unsaid = torch.tensor([emotion not in SPOKEN[corpus] for emotion in EMOTIONS])
            logits.append(self.predict(self.model, rows)[0].masked_fill(unsaid, -1e4))
            truth.append(torch.tensor([EMOTIONS.index(row.emotions[0]) for row in rows]))
        return fit_temperature(torch.cat(logits), torch.cat(truth))

    def valence(self, split: str) -> dict[str, float]:
        """Return error and correlation of valence where it is annotated."""
        rows = self.of("chsims", split)
        found = self.predict(self.model, rows)[1].numpy()
        rated = np.array([row.valence for row in rows])
        return {
            "mean_absolute_error": float(np.abs(found - rated).mean()),
            "correlation": float(np.corrcoef(found, rated)[0, 1]),
        }

    def of(self, corpus: str, split: str) -> list[Sentence]:
        """Return the held-out sentences of a corpus."""
        return [row for row in self.held_out if (row.corpus, row.split) == (corpus, split)]

    def predict(
        self, model: TextEncoder | Teacher, rows: Sequence[Sentence]
    ) -> tuple[Tensor, Tensor]:
        """Return logits ``[n, 7]`` and valence ``[n]`` of sentences, in order."""
        order = sorted(range(len(rows)), key=lambda i: len(rows[i].text))
        logits, valence = torch.zeros(len(rows), len(EMOTIONS)), torch.zeros(len(rows))
        device = next(model.parameters()).device
        with torch.inference_mode():
            for start in range(0, len(order), 256):
                chosen = order[start : start + 256]
                texts = [rows[i].text for i in chosen]
                found, pleasure, _ = model(self.read(texts).to(device))
                logits[chosen], valence[chosen] = found.float().cpu(), pleasure.float().cpu()
        return logits, valence


def begin(model: TextEncoder, first: checkpoint.Checkpoint) -> None:
    """Load the network of a trained encoder, without its n-grams.

    Raises:
        InputError: the shapes do not match.
    """
    empty = {name: value.clone() for name, value in model.ngrams.state_dict().items()}
    first.fill(model).train()
    model.ngrams.load_state_dict(empty)
    model.temperature.fill_(1)
