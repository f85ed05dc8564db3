"""Any Hugging Face encoder trains as ours does, and teaches the small one."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers

from mera_edge.errors import InputError
from mera_train import configuration
from mera_train.distillation import disagreement
from mera_train.text.config import Config
from mera_train.text.task import TextTask
from mera_train.text.teacher import Teacher
from mera_train.text.train import train

SENTENCE = "this is the train sentence"
RATED = "a,test,0,-0.4,闭嘴。,x\nb,test,0,0.6,我很开心,x\n"
WORDS = ["[PAD]", "[UNK]", *SENTENCE.split(), "i", "feel", "adored", *"我很开心"]


@pytest.fixture
def bert(tmp_path: Path) -> Path:
    """A BERT with random weights, as a directory."""
    from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

    words = Tokenizer(models.WordLevel({w: i for i, w in enumerate(WORDS)}, unk_token="[UNK]"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=words, pad_token="[PAD]", unk_token="[UNK]"
    )
    torch.manual_seed(0)
    shape = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
    config = BertConfig(vocab_size=len(WORDS), intermediate_size=64, **shape)
    BertModel(config, add_pooling_layer=False).save_pretrained(tmp_path / "bert")
    tokenizer.save_pretrained(tmp_path / "bert")
    return tmp_path / "bert"


def config(**settings: Any) -> Config:
    small = {"vocab_size": 100, "width": 16, "embedding_dim": 8, "hash_buckets": 101}
    loop = {
        "epochs": 1,
        "precision": "fp32",
        "metric_for_best_model": "score",
        "greater_is_better": True,
    }
    return Config.model_validate({"model": small, "loop": loop, "batch_size": 4, **settings})


def test_an_encoder_is_trained_kept_and_teaches(
    bert: Path, tmp_path: Path, write: Callable[..., Path]
) -> None:
    data, run, small = write(tmp_path, sims=RATED), tmp_path / "teacher", tmp_path / "small"
    metrics = train(config(encoder=str(bert)), data, run)
    assert metrics["test"]["meld"]["n"] == 1
    assert "bert with heads" in (run / "card.md").read_text()
    bert.rename(tmp_path / "elsewhere")  # a checkpoint needs it no longer

    settings = {"teacher": str(run), "weight": 1.0}
    train(config(distillation=settings), data, small)
    assert json.loads((small / "metrics.json").read_text())["share"] > 0
    said = np.load(small / "opinions.npy")
    task = TextTask(config(distillation=settings), data)
    assert said.shape == (len(task.train), 7)
    teacher = Teacher.load(run)
    with torch.inference_mode():
        for row, opinion in zip(task.train, said, strict=True):
            alone = teacher(teacher.read([row.text], 32))[0][0]
            assert opinion == pytest.approx(alone.numpy(), abs=0.01)
    assert configuration.read(small / "config.yaml", Config).distillation is not None


def test_padding_does_not_change_the_teachers_output(bert: Path) -> None:
    teacher = Teacher.of(bert).eval()
    alone = teacher(teacher.read(["i feel"], 8))
    beside = teacher(teacher.read(["i feel", SENTENCE], 8))
    for one, other in zip(alone, beside, strict=True):
        assert torch.allclose(other[0], one[0], atol=1e-5)


def test_distillation_loss_is_zero_for_equal_answers() -> None:
    logits = torch.randn(5, 7)
    assert disagreement(logits, logits + 3, 2.0).numpy() == pytest.approx(0, abs=1e-6)
    assert disagreement(logits, -logits, 2.0).mean() > 0.1
    unknown = torch.full((5, 7), torch.nan)
    assert torch.isfinite(disagreement(logits, unknown, 2.0)).all()


def test_a_teacher_has_no_opinion_on_corpora_that_it_did_not_learn_from(
    bert: Path, tmp_path: Path, write: Callable[..., Path]
) -> None:
    data, run, small = write(tmp_path, sims=RATED), tmp_path / "teacher", tmp_path / "small"
    train(config(encoder=str(bert), corpus_repeats={"smp_usual": 0}), data, run)
    settings = {"teacher": str(run), "weight": 1.0}
    train(config(distillation=settings), data, small)
    unknown = np.isnan(np.load(small / "opinions.npy")).all(axis=1)
    task = TextTask(config(distillation=settings), data)
    assert [row.corpus == "smp_usual" for row in task.train] == unknown.tolist()
    assert 0 < unknown.sum() < len(unknown)


def test_a_directory_that_is_no_encoder_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"not a Hugging Face encoder: it has no config\.json"):
        Teacher.of(tmp_path)
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(InputError, match="not a Hugging Face encoder"):
        Teacher.of(tmp_path)
