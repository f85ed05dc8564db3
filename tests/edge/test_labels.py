"""Labels of every corpus end up among the seven."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from mera_edge.errors import InputError
from mera_edge.labels import EMOTIONS, VALENCE, project, to_emotion

RAVDESS = ["neutral", "calm", "happy", "sad", "angry", "fearful", "disgust", "surprised"]
FERPLUS = [*EMOTIONS, "contempt"]


def test_corpus_words_mean_one_of_the_seven() -> None:
    assert [to_emotion(name) for name in ("Happiness", "calm", " ANGER ", "joy", "fearful")] == [
        "happy", "neutral", "angry", "happy", "fear",
    ]  # fmt: skip
    assert set(VALENCE) == set(EMOTIONS)


def test_an_unknown_label_names_the_nearest() -> None:
    with pytest.raises(InputError, match="did you mean 'happy'"):
        to_emotion("hapy")


@given(arrays(np.float32, 8, elements=st.floats(0, 1, width=32)))
def test_projection_is_a_distribution_over_the_seven(shares: np.ndarray) -> None:
    for names in (RAVDESS, FERPLUS):
        seven = project(shares, names)
        assert seven.shape == (7,)
        assert seven.sum() == pytest.approx(1, abs=1e-5)
        assert (seven >= 0).all()


def test_calm_is_neutral_and_contempt_is_left_out() -> None:
    assert project(np.eye(8, dtype=np.float32)[1], RAVDESS)[0] == 1
    half = np.zeros(8, np.float32)
    half[[1, 7]] = 0.5
    assert project(half, FERPLUS)[1] == 1
