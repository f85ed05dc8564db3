"""Speech is aligned to its words, and what cannot be aligned is said to be unknown."""

import io
import zipfile

import numpy as np
import pytest
import soundfile

from mera_edge.features.fbank import SAMPLE_RATE
from mera_edge.sample import CLIP
from mera_edge.sources.media import MediaFile
from mera_train.asr.alignment import PHONES, UNKNOWN, Alignment, prepare
from mera_train.asr.corpora import Utterance
from mera_train.fingerprint import Digests

TEXT = "i miss her so much i feel so alone and so unhappy"
SPOKEN = Utterance("corpus", "a.wav", TEXT, "s", "train")
STRANGE = Utterance("corpus", "b.wav", "xyzzy", "s", "train")
BEGINS_S, ENDS_S, SILENCE_S = 14.5, 18.5, 0.5
"""Where the bundled clip says `SPOKEN`, and what is put around it."""


@pytest.fixture(scope="module")
def alignment(tmp_path_factory: pytest.TempPathFactory) -> Alignment:
    data = tmp_path_factory.mktemp("data")
    clip = MediaFile(CLIP)
    clip.open()
    samples = np.concatenate([sound.samples for sound in clip.poll(float("inf")).audio])
    said = samples[int(BEGINS_S * SAMPLE_RATE) : int(ENDS_S * SAMPLE_RATE)]
    said = np.pad(said, int(SILENCE_S * SAMPLE_RATE))
    with zipfile.ZipFile(data / "corpus.zip", "w") as corpus:
        for utterance in (SPOKEN, STRANGE):
            file = io.BytesIO()
            soundfile.write(file, said, SAMPLE_RATE, format="WAV")
            corpus.writestr(utterance.file, file.getvalue())
    return prepare(data, [SPOKEN, STRANGE], data / "alignment.npz", Digests())


AT = np.arange(0, ENDS_S - BEGINS_S + 2 * SILENCE_S, 0.01)


def test_words_come_in_order_with_silence_around_them(alignment: Alignment) -> None:
    words = [[2 * number + 1, 2 * number + 2] for number in range(len(TEXT.split()))]
    found = alignment.classes(SPOKEN, words, AT)
    heard = found[found > 0]
    assert heard.tolist() == sorted(heard) and set(heard) == set(range(1, 25))
    assert found[0] == 0
    assert (found == UNKNOWN).mean() < 0.02


def test_phones_are_those_of_the_words(alignment: Alignment) -> None:
    numbers = alignment.phones(SPOKEN, AT)
    changes = numbers[np.flatnonzero(np.diff(numbers, prepend=-9))]
    heard = [PHONES[number] for number in changes if number > 0]
    assert heard[:4] == ["AY", "M", "IH", "S"]
    assert heard[-6:] == ["AH", "N", "HH", "AE", "P", "IY"]


def test_a_word_that_no_dictionary_has_leaves_its_recording_unknown(alignment: Alignment) -> None:
    assert (alignment.phones(STRANGE, AT) == UNKNOWN).all()
    assert (alignment.classes(STRANGE, [[1]], AT) == UNKNOWN).all()
