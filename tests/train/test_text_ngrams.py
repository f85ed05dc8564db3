"""The n-gram classifier: known n-grams are told apart from all others, and learnt."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mera_edge.labels import EMOTIONS
from mera_train.text.model import NgramClassifier
from mera_train.text.ngrams import fit_ngrams

VOCABULARY = 50
TOKENS = st.lists(st.integers(1, VOCABULARY - 1), min_size=1, max_size=6)


@given(TOKENS, TOKENS)
def test_every_ngram_has_a_number_and_comes_once(one: list[int], other: list[int]) -> None:
    classifier = NgramClassifier(101, 3, VOCABULARY)

    def ngrams(tokens: list[int]) -> set[tuple[int, ...]]:
        return {tuple(tokens[i : i + n]) for n in (1, 2, 3) for i in range(len(tokens) - n + 1)}

    def numbers(tokens: list[int]) -> list[int]:
        found = classifier.numbers(torch.tensor([[*tokens, 0, 0]])).flatten()
        return found[found > 0].tolist()

    assert len(numbers(one)) == len(set(numbers(one))) == len(ngrams(one))
    assert len({*numbers(one)} & {*numbers(other)}) == len(ngrams(one) & ngrams(other))


def fitted(offset: torch.Tensor | None = None, penalty: float = 0.01) -> NgramClassifier:
    """Sentences of two tokens; whether the second is a 5 or a 6 decides the emotion."""
    tokens = torch.tensor([[first, 5 + first % 2] for first in range(10, 30)])
    target = torch.eye(len(EMOTIONS))[tokens[:, 1] - 5]
    classifier = NgramClassifier(1009, 2, VOCABULARY)
    offset = torch.zeros(target.shape) if offset is None else offset.expand(target.shape)
    fit_ngrams(classifier, [(tokens[:7], target[:7], offset[:7]),
                            (tokens[7:], target[7:], offset[7:])], penalty, 50)  # fmt: skip
    return classifier


def test_the_classifier_learns_the_deciding_tokens() -> None:
    logits = fitted()(torch.tensor([[40, 5], [40, 6], [6, 0]]))
    assert logits.argmax(dim=1).tolist() == [0, 1, 1]


def test_unknown_ngrams_leave_only_the_bias() -> None:
    classifier = fitted()
    torch.testing.assert_close(
        classifier(torch.tensor([[45, 46], [0, 0]])), classifier.bias.expand(2, -1)
    )


def test_fit_ends_at_the_optimum() -> None:
    loose, tight = fitted(penalty=0.01), fitted(penalty=10.0)
    assert tight.weights[:, :-1].abs().max() < loose.weights[:, :-1].abs().max()
    # At the optimum the bias makes the mean of the answers the mean of the labels.
    tokens = torch.tensor([[first, 5 + first % 2] for first in range(10, 30)])
    for classifier in (loose, tight):
        shares = torch.softmax(classifier(tokens), dim=1).mean(dim=0)
        assert shares[:2].tolist() == pytest.approx([0.5, 0.5], abs=0.02)


def test_an_emotion_that_a_corpus_cannot_say_is_not_unlearnt() -> None:
    offset = torch.zeros(len(EMOTIONS))
    offset[-1] = -math.inf
    free, masked = fitted().bias, fitted(offset).bias
    assert free[-1] < free[0] - 0.5
    assert masked[-1] == pytest.approx(0, abs=1e-4)
