"""Texts become what is said, and are read by every engine in its share."""

from collections import Counter
from pathlib import Path

import pytest

from mera_edge.errors import InputError
from mera_train.asr.synthesize import draw
from mera_train.asr.texts import book_sentences, choose, spoken
from mera_train.asr.voices import SHARES, VOICES


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("Well -- it's “fine”, isn't it?", None),
        ("Well -- it's fine, isn't it?", "well it's fine isn't it"),
        ("The jury said `` no evidence '' .", "the jury said no evidence"),
        ("In 1816, he left.", None),
        ("Café au lait", None),
        (" ... ", None),
    ],
)
def test_only_texts_spoken_as_written_are_kept(written: str, said: str | None) -> None:
    assert spoken(written) == said


def test_prose_is_cut_into_sentences_and_none_is_taken_twice(tmp_path: Path) -> None:
    book = tmp_path / "book.txt"
    book.write_text("CHAPTER I\n\nShe was\nhandsome. He left; she stayed!\n\nHe left.\n")
    found = book_sentences([book])
    assert found == ["chapter i", "she was handsome", "he left", "she stayed", "he left"]
    assert choose(found, range(2, 3), {"she stayed"}) == ["chapter i", "he left"]
    with pytest.raises(InputError, match=r"absent\.txt cannot be read"):
        book_sentences([tmp_path / "absent.txt"])


def test_sources_take_turns_and_every_engine_reads_its_share() -> None:
    sources = [[f"first {n}" for n in range(2000)], [f"second {n}" for n in range(600)]]
    readings = draw(sources, 2000, seed=0)
    assert readings == draw(sources, 2000, seed=0)
    assert [r.text.split()[0] for r in readings[:4]] == ["first", "second"] * 2
    assert len({r.text for r in readings}) == len(readings) == 1600, "one source ends early"
    counts = Counter(r.engine for r in readings)
    assert all(
        counts[engine] / 1600 == pytest.approx(SHARES[engine], abs=0.05) for engine in SHARES
    )
    drawn = {(r.engine, r.voice) for r in readings}
    assert drawn <= {(engine, voice) for engine in VOICES for voice in VOICES[engine]}
    assert {("flite", voice) for voice in VOICES["flite"]} <= drawn
