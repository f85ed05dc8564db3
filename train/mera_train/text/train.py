"""Training of the text encoder: `mera-edge train text`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mera_edge.features.tokens import Tokenizer
from mera_train import checkpoint, fingerprint, state
from mera_train.loop import fit
from mera_train.text.card import card
from mera_train.text.config import Config
from mera_train.text.data import ARCHIVE
from mera_train.text.dialogue import PATHS
from mera_train.text.model import TextEncoder
from mera_train.text.task import TextTask
from mera_train.text.teacher import Teacher
from mera_train.text.tokenizer import TOKENIZER


def train(config: Config, data: Path, out: Path, resume: bool | Path = True) -> dict[str, Any]:
    """Train, select and calibrate on the dev splits, then measure once on the test splits.

    Args:
        config: see ``train/configs/text/*.yaml``.
        data: directory with ``text.zip``.
        out: directory for the checkpoint (with tokenizer) and the state of the run.
        resume: resume an earlier run.

    Returns:
        The metrics, as in the checkpoint.
    """
    used = (ARCHIVE, *(PATHS[corpus] for corpus in config.dialogue_corpora))
    made = fingerprint.of(config, {name: data / name for name in used})
    state.claim(out, made, resume)
    task = TextTask(config, data)
    if config.distillation is not None:
        # They depend on the sentences, the teacher and the maximum length.
        of = fingerprint.combined([made[ARCHIVE], made["distillation.teacher"], config.max_length])
        task.distill_from(config.distillation, out / "opinions.npy", of)
    goes_on = isinstance(resume, Path) or (resume and state.exists(out))
    if isinstance(task.model, TextEncoder) and not goes_on:
        task.fit_ngrams(task.model)
    fit(task, config.loop, out, made, resume)
    metrics = task.finish()
    if isinstance(task.model, Teacher):
        checkpoint.save(out, task.model, config, metrics, card_text(config, metrics))
        task.model.save(out)
    else:
        final = config.model_copy(update={"model": task.model.config})
        checkpoint.save(out, task.model, final, metrics, card_text(final, metrics))
        (out / TOKENIZER).write_text(task.learnt, encoding="utf-8")
    return metrics


def card_text(config: Config, metrics: dict[str, Any]) -> str:
    """Return the model card."""
    return card(metrics, config.licence, config.encoder, config.dialogue_corpora)


def measured(loaded: checkpoint.Checkpoint, data: Path) -> dict[str, Any]:
    """Return all metrics of a trained model on the test splits."""
    # The checkpoint that it began from may be gone.
    config = loaded.settings(Config).model_copy(update={"init_checkpoint": loaded.directory})
    task = TextTask(config, data)
    task.tokenizer = Tokenizer.parse((loaded.directory / TOKENIZER).read_text(encoding="utf-8"))
    task.model = loaded.fill(TextEncoder(task.config.model))
    return task.tests()
