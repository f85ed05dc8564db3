"""The text encoder as the device runs it, from a checkpoint with small random weights."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mera_edge.bundle import SCHEMA, Bundle, Manifest
from mera_edge.errors import InputError
from mera_edge.features.tokens import Tokenizer
from mera_edge.labels import EMOTIONS
from mera_edge.stages.text import TextStage
from mera_export.text import export
from mera_train import checkpoint
from mera_train.text.config import Config
from mera_train.text.model import ModelConfig, TextEncoder
from mera_train.text.ngrams import fit_ngrams
from mera_train.text.tokenizer import TOKENIZER, learn, tokenize

SENTENCES = [
    "i am so happy for you",
    "this is terrible, i can't stand it!",
    "我好开心呀",
    "太难过了。",
]
LONGEST = 24


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    directory = tmp_path_factory.mktemp("text")
    learnt = learn(SENTENCES * 5, 200)
    tokenizer = Tokenizer.parse(learnt)
    shape = ModelConfig(
        vocab_size=max(len(tokenizer), 100), width=16, embedding_dim=12, hash_buckets=521
    )
    model = TextEncoder(shape)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    target = torch.eye(len(EMOTIONS))[: len(SENTENCES)]
    tokens = tokenize(tokenizer, SENTENCES, LONGEST)
    fit_ngrams(model.ngrams, [(tokens, target, torch.zeros(target.shape))], 0.1, 20)
    checkpoint.save(directory, model, Config(model=shape, max_length=LONGEST), {}, "# Text")
    (directory / TOKENIZER).write_text(learnt, encoding="utf-8")
    return directory


@pytest.fixture(scope="module")
def stage(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> TextStage:
    out = tmp_path_factory.mktemp("bundle")
    role = export(trained, out)
    manifest = Manifest(schema=SCHEMA, name="test", created_with={}, roles={"text": role})
    (out / "bundle.json").write_text(manifest.to_json())
    return TextStage(Bundle.open(out))


@settings(max_examples=100)
@given(st.text())
def test_any_text_gives_probabilities_or_nothing(stage: TextStage, text: str) -> None:
    evidence = stage.accept(text, 1.5)
    if evidence is not None:
        assert evidence.probabilities.shape == (len(EMOTIONS),)
        assert evidence.probabilities.sum() == pytest.approx(1, abs=1e-4)
        assert -1 <= evidence.valence <= 1
        assert np.isfinite(evidence.embedding).all()
        assert (evidence.modality, evidence.captured_s) == ("text", 1.5)


@pytest.mark.parametrize(
    "text", ["!?...", "😂😭", "x" * 100_000, "so happy " * 12_000, "我 am 太happy了 мир", "\ud83d"]
)
def test_unusual_texts_give_finite_features(stage: TextStage, text: str) -> None:
    stage.accept(text, 0.0)


@pytest.mark.parametrize("text", ["", " \n\t", "\u200b\x00", "https://example.org"])
def test_empty_text_is_no_evidence(stage: TextStage, text: str) -> None:
    assert stage.accept(text, 0.0) is None


def test_the_newest_words_of_a_long_text_count(stage: TextStage) -> None:
    last = "i am so happy for you " * 40
    one, other = stage.accept("这 " * 60 + last, 0.0), stage.accept("太 " * 90 + last, 0.0)
    assert one is not None and other is not None
    np.testing.assert_array_equal(one.embedding, other.embedding)


def test_padding_does_not_change_the_answer(trained: Path) -> None:
    loaded = checkpoint.load(trained)
    model = TextEncoder(loaded.settings(Config).model)
    model.load_state_dict(loaded.weights)
    model.eval()
    tokenizer = Tokenizer.parse(learn(SENTENCES * 5, 200))
    tokens = tokenize(tokenizer, SENTENCES, LONGEST)
    for row, text in zip(model(tokens)[0], SENTENCES, strict=True):
        alone = model(tokenize(tokenizer, [text], LONGEST))[0][0]
        torch.testing.assert_close(row, alone, rtol=1e-5, atol=1e-5)


def test_case_and_apostrophes_do_not_matter(stage: TextStage) -> None:
    one, other = stage.accept("I CAN’T stand it", 0.0), stage.accept("i can't stand it", 0.0)
    assert one is not None and other is not None
    np.testing.assert_array_equal(one.probabilities, other.probabilities)


def test_a_checkpoint_without_tokenizer_is_refused(trained: Path, tmp_path: Path) -> None:
    for name in checkpoint.FILES:
        (tmp_path / name).write_bytes((trained / name).read_bytes())
    with pytest.raises(InputError, match=r"tokenizer\.json"):
        export(tmp_path, tmp_path)
