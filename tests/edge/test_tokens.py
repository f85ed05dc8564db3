"""The tokens are those that the library gives with which the tokenizer was learnt."""

from __future__ import annotations

import json
import random
import time
import unicodedata
from pathlib import Path

import pytest
import tokenizers
from hypothesis import given, settings
from hypothesis import strategies as st

from mera_edge.bundle.load import DEFAULT
from mera_edge.errors import InputError
from mera_edge.features.text import normalise
from mera_edge.features.tokens import Tokenizer

SHIPPED = DEFAULT / "text-tokenizer.json"


@pytest.fixture(scope="module")
def library() -> tokenizers.Tokenizer:
    return tokenizers.Tokenizer.from_file(str(SHIPPED))


@pytest.fixture(scope="module")
def ours() -> Tokenizer:
    return Tokenizer.read(SHIPPED)


def same(ours: Tokenizer, library: tokenizers.Tokenizer, texts: list[str]) -> None:
    theirs = library.encode_batch(texts, add_special_tokens=False)
    for text, expected in zip(texts, theirs, strict=True):
        assert ours.encode(text) == expected.ids, text


@settings(max_examples=300)
@given(st.lists(st.text(), max_size=10))
def test_tokens_of_any_text_equal_those_of_the_library(
    ours: Tokenizer, library: tokenizers.Tokenizer, texts: list[str]
) -> None:
    same(ours, library, [normalise(text) for text in texts])


def test_sentences_of_two_languages_and_what_people_type(
    ours: Tokenizer, library: tokenizers.Tokenizer
) -> None:
    choose = random.Random(0)
    known = [
        token.removeprefix("##") for token in json.loads(SHIPPED.read_text())["model"]["vocab"]
    ]
    blocks = [
        (0x20, 0x7F),
        (0x4E00, 0xA000),
        (0x1F300, 0x1FB00),
        (0xA0, 0x3000),
        (0x20000, 0x2A6D0),
    ]
    odd = [chr(code) for first, end in blocks for code in range(first, end)]
    texts = []
    for _ in range(10_000):
        parts = [choose.choice(odd if choose.random() < 0.2 else known) for _ in range(20)]
        texts.append(
            normalise("".join(part + choose.choice(("", " ", "!", "'")) for part in parts))
        )
    same(ours, library, texts)


def test_every_character_that_is_assigned(ours: Tokenizer, library: tokenizers.Tokenizer) -> None:
    every = map(chr, range(0x30000))
    texts = [f"a{c}b" for c in every if not unicodedata.category(c).startswith("C")]
    same(ours, library, texts)


def test_a_text_without_spaces_takes_no_longer(ours: Tokenizer) -> None:
    began = time.process_time()
    ours.encode("".join(random.Random(0).choices("etaoinshr", k=20_000)))
    assert time.process_time() - began < 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda facts: facts.update(normalizer={"type": "Lowercase"}), "normalizer"),
        (lambda facts: facts["model"].update(type="WordPiece"), "type"),
        (lambda facts: facts["model"].update(byte_fallback=True), "byte_fallback"),
        (lambda facts: facts["pre_tokenizer"].update(behavior="Isolated"), "pre_tokenizer"),
        (lambda facts: facts["model"].pop("vocab"), "vocab"),
        (lambda facts: facts["model"].update(vocab=[]), "items"),
        (lambda facts: facts["model"].update(merges=["a b"]), "unpack"),
        (lambda facts: facts.clear(), "model"),
    ],
)
def test_another_kind_of_tokenizer_is_refused(tmp_path: Path, change: object, message: str) -> None:
    facts = json.loads(SHIPPED.read_text())
    change(facts)  # type: ignore[operator]
    path = tmp_path / "tokenizer.json"
    path.write_text(json.dumps(facts))
    with pytest.raises(InputError, match=message):
        Tokenizer.read(path)


@pytest.mark.parametrize("text", [b"", b"\xff", b"[" * 100_000, b"[]", b"null"])
def test_invalid_tokenizer_is_refused(tmp_path: Path, text: bytes) -> None:
    path = tmp_path / "tokenizer.json"
    path.write_bytes(text)
    with pytest.raises(InputError, match="not a valid tokenizer"):
        Tokenizer.read(path)
