"""Small data in the layout of the corpora."""

import json
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

SMP = ("usual_train.json", "usual_eval_labeled.txt", "usual_test_labeled.txt", "virus_train.txt",
       "virus_eval_labeled.txt", "virus_test_labeled.txt")  # fmt: skip
MELD = "Utterance,Emotion,Sentiment\n"
SIMS = "name,split,emo,val,chinese,english\n"


def _write(
    data: Path,
    meld: str = "Oh!,surprise,negative\n",
    sims: str = "a,valid,0,-0.4,闭嘴。,Shut up.\n",
) -> Path:
    """Make a corpus archive with a sentence or two in every file."""
    with zipfile.ZipFile(data / "text.zip", "w") as archive:
        archive.writestr("goemotions_ekman/labels.txt", "anger\njoy\nneutral\n")
        for split in ("train", "dev", "test"):
            archive.writestr(
                f"goemotions_ekman/{split}.tsv",
                f"THIS is the {split} sentence\t1\tid\nBoth of them\t0,1\tid\n",
            )
            archive.writestr(f"meld/{split}.csv", MELD + meld)
        for split in ("train", "val", "test"):
            archive.writestr(f"carer/{split}.txt", "i feel adored; really;love\r\n")
        for name in SMP:
            rows = [{"id": 1, "content": "我很开心", "label": "happy"}]
            archive.writestr(f"smp2020/{name}", json.dumps(rows, ensure_ascii=False))
        for name in ("sims", "simsv2"):
            archive.writestr(f"chsims/{name}_text_m_label.csv", SIMS + sims)
    return data


@pytest.fixture
def write() -> Callable[..., Path]:
    """Write a ``text.zip`` into a directory, and return that."""
    return _write
