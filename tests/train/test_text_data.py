"""The text corpora as they are laid out in ``text.zip``, and what training does to sentences."""

from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mera_edge.errors import InputError
from mera_edge.features.text import normalise
from mera_train import checkpoint
from mera_train.text.config import Config
from mera_train.text.data import Sentence, sentences
from mera_train.text.dialogue import PATHS
from mera_train.text.disturb import Disturbance, disturb
from mera_train.text.train import measured, train

Write = Callable[..., Path]


def only(rows: list[Sentence], corpus: str, split: str) -> Sentence:
    (row,) = [row for row in rows if (row.corpus, row.split) == (corpus, split)]
    return row


def test_every_corpus_is_read_into_the_seven_emotions(tmp_path: Path, write: Write) -> None:
    rows = sentences(write(tmp_path))
    assert only(rows, "carer", "dev").emotions == ("happy",)
    assert only(rows, "carer", "dev").text == "i feel adored; really"
    assert only(rows, "smp_usual", "test").emotions == ("happy",)
    assert only(rows, "meld", "test").emotions == ("surprise",)
    assert only(rows, "meld", "test").valence < 0
    goemotions = [row for row in rows if row.corpus == "goemotions" and row.split == "dev"]
    assert [row.emotions for row in goemotions] == [("happy",), ("angry", "happy")]
    assert all(row.text == normalise(row.text) for row in rows)
    rated = [row for row in rows if row.corpus == "chsims"]
    assert [(row.split, row.emotions, row.valence) for row in rated] == [("dev", (), -0.4)] * 2


def test_long_training_sentences_that_are_held_out_elsewhere_are_dropped(
    tmp_path: Path, write: Write
) -> None:
    rows = sentences(write(tmp_path, "THIS is the train sentence,joy,positive\nOh!,joy,positive\n"))
    texts = [row.text for row in rows if row.split == "train" and row.corpus != "carer"]
    assert "this is the train sentence" not in texts
    assert "oh!" in texts


def test_an_unknown_label_and_a_missing_archive_are_named(tmp_path: Path, write: Write) -> None:
    with pytest.raises(InputError, match=r"text\.zip does not exist"):
        sentences(tmp_path)
    with pytest.raises(InputError, match="'bored' is not an emotion label"):
        sentences(write(tmp_path, "Oh!,bored,neutral\n"))


@given(st.text(max_size=80), st.integers())
def test_a_disturbed_sentence_is_still_a_normalised_sentence(text: str, seed: int) -> None:
    clean = normalise(text)
    rates = Disturbance(deletion_prob=0.3, substitution_prob=0.3, misspelling_prob=0.3)
    heard = disturb(clean, rates, ["one", "two"], Random(seed))
    assert bool(heard) == bool(clean)
    assert heard == disturb(clean, rates, ["one", "two"], Random(seed))


def test_without_errors_only_the_punctuation_goes() -> None:
    none = Disturbance(deletion_prob=0, substitution_prob=0, misspelling_prob=0)
    heard = disturb("well, i can't believe it... 我很开心!", none, ["x"], Random(0))
    assert heard == "well i can't believe it 我很开心"


def test_dialogue_is_read_into_what_the_seven_can_say(tmp_path: Path, write: Write) -> None:
    data = write(tmp_path, sims="a,test,0,-0.4,闭嘴。,x\nb,test,0,0.6,我很开心,x\n")
    with pytest.raises(InputError, match=r"valid_split\.csv does not exist"):
        sentences(data, ["cped"])
    told = {
        "cped": "TV_ID,Utterance,Emotion\n32,你疯了,anger\n40,真的吗,astonished\n32,好,relaxed\n"
        "32,滚,negative-other\n",
        "emorynlp": "Season,Utterance,Emotion\n1,Oh yes!,Joyful\n4,Go away.,Mad\n1,Hm.,Peaceful\n",
    }
    for corpus, path in PATHS.items():
        (data / path).parent.mkdir(parents=True)
        (data / path).write_text(told[corpus], encoding="utf-8-sig")
    rows = [row for row in sentences(data, ["cped", "emorynlp"]) if row.corpus in told]
    assert [(row.split, row.emotions) for row in rows] == [
        *[("train", ("angry",)), ("dev", ("surprise",)), ("train", ("happy",)), ("train", ())],
        *[("train", ("happy",)), ("dev", ("angry",)), ("train", ())],
    ]
    assert [row.valence > 0 for row in rows if not row.emotions] == [False, True]
    shape = {"vocab_size": 100, "width": 16, "embedding_dim": 8, "hash_buckets": 101}
    best = {"metric_for_best_model": "score", "greater_is_better": True}
    loop = {"epochs": 1, "precision": "fp32", **best}
    more = {"batch_size": 4, "dialogue_corpora": ["cped", "emorynlp"]}
    settings = {"model": shape, "loop": loop, **more}
    run = tmp_path / "run"
    found = train(Config.model_validate(settings), data, run)
    card = (run / "card.md").read_text()
    assert "EmoryNLP" in card and "| emorynlp | 1 | 1 |" in card
    # It is measured again even if the checkpoint that it began from is gone.
    config = (run / "config.yaml").read_text()
    assert "init_checkpoint: null" in config
    (run / "config.yaml").write_text(
        config.replace("init_checkpoint: null", "init_checkpoint: gone")
    )
    again = measured(checkpoint.load(run), data)
    assert (again["test"], again["dialogue"]) == (found["test"], found["dialogue"])
