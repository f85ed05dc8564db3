"""Small data in the layout of the corpora."""

import hashlib
import json
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from numpy.typing import NDArray

from mera_edge.features.fbank import BINS

if TYPE_CHECKING:
    from mera_train.asr.pretrained import PretrainedConfig

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


def _model_bin(path: Path) -> tuple["PretrainedConfig", dict[str, NDArray[np.float16]]]:
    """Write random weights as CTranslate2 does, among others that are not the encoder's."""
    from mera_train.asr.pretrained import PretrainedConfig

    width = 32
    generator = np.random.default_rng(0)
    shapes: dict[str, tuple[int, ...]] = {
        "decoder/embeddings/weight": (3, width),
        "encoder/conv1/weight": (width, BINS, 3), "encoder/conv1/bias": (width,),
        "encoder/conv2/weight": (width, width, 3), "encoder/conv2/bias": (width,),
        "encoder/layer_norm/gamma": (width,), "encoder/layer_norm/beta": (width,),
    }  # fmt: skip
    for number in range(4):
        for name, shape in (
            ("self_attention/layer_norm/gamma", (width,)),
            ("self_attention/layer_norm/beta", (width,)),
            ("self_attention/linear_0/weight", (3 * width, width)),
            ("self_attention/linear_0/bias", (3 * width,)),
            ("self_attention/linear_1/weight", (width, width)),
            ("self_attention/linear_1/bias", (width,)),
            ("ffn/layer_norm/gamma", (width,)),
            ("ffn/layer_norm/beta", (width,)),
            ("ffn/linear_0/weight", (3 * width, width)),
            ("ffn/linear_0/bias", (3 * width,)),
            ("ffn/linear_1/weight", (width, 3 * width)),
            ("ffn/linear_1/bias", (width,)),
        ):
            shapes[f"encoder/layer_{number}/{name}"] = shape
    values = {
        name: (generator.normal(size=shape) / np.sqrt(np.prod(shape[1:]))).astype(np.float16)
        for name, shape in shapes.items()
    }

    def text(value: str) -> bytes:
        return struct.pack("<H", len(value) + 1) + value.encode() + b"\0"

    parts = [struct.pack("<I", 6), text("WhisperSpec"), struct.pack("<II", 3, len(values) + 1)]
    heads = np.array(2, np.int16)
    for name, value, dtype in [
        ("encoder/num_heads", heads, 2),
        *((name, value, 4) for name, value in values.items()),
    ]:
        dimensions = struct.pack(f"<B{value.ndim}I", value.ndim, *value.shape)
        parts += [text(name), dimensions, struct.pack("<BI", dtype, value.nbytes), value.tobytes()]
    path.write_bytes(b"".join([*parts, struct.pack("<I", 0)]))
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return PretrainedConfig(file=path, sha256=digest), values


@pytest.fixture(scope="session")
def model_bin() -> Callable[[Path], tuple["PretrainedConfig", dict[str, NDArray[np.float16]]]]:
    """A function that writes a small Whisper file and returns its digest and weights."""
    return _model_bin
