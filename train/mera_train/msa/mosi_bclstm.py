"""CMU-MOSI features published by the authors of bc-LSTM: one vector per utterance, in dialogues."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mera_edge.bundle import Bundle
from mera_edge.bundle.load import DEFAULT, SPOILED
from mera_edge.errors import InputError
from mera_train.msa.data import MODALITIES, Corpus, Examples, clean
from mera_train.msa.words import cross_fitted

LARGEST = 3.0
VALID = 0.2
"""Share of the training videos used for selection."""

_KEYS = ("id", "transcript", "val", "text", "audio", "video")


def read(
    path: Path, transcripts: bool = True, treebank: Path | None = None, seed: int = 0
) -> Corpus:
    """Read an ``.npz`` with `_KEYS`, prefixed by ``train_`` and ``test_``; ids are VIDEO_NUMBER.

    The utterances of a video are sorted by number (in the file they are sorted as text: 1, 10, 2).
    ``valid`` is a fifth of the training videos.

    The text and video features were trained on the labels of the training videos and separate them
    with up to 98 % accuracy, but not those of other videos. No split of the training videos shows
    this, so the columns are listed in ``fitted``. With ``transcripts``, the last column of the text
    is the cross-fitted sentiment of the words (`cross_fitted`, with the ``treebank`` if given).

    Raises:
        InputError: the file is missing or has another layout.
    """
    parts = {name: _part(path, name) for name in ("train", "test")}
    train, test = parts["train"], parts["test"]
    videos, orders = {}, {}
    for name, part in parts.items():
        split = [str(i).rsplit("_", 1) for i in part["id"]]
        number = np.array([int(n) for _, n in split])
        video = np.unique([v for v, _ in split], return_inverse=True)[1]
        orders[name] = np.lexsort((number, video))
        videos[name] = video.astype(np.int64)
    texts = {name: part["text"] for name, part in parts.items()}
    if transcripts:
        words = cross_fitted(
            [str(t) for t in train["transcript"]],
            train["val"] / np.float32(LARGEST),
            videos["train"],
            [str(t) for t in test["transcript"]],
            Bundle.open(DEFAULT),
            treebank,
        )
        for name, column in zip(("train", "test"), words, strict=True):
            texts[name] = np.column_stack([texts[name], column])
    whole = {}
    for name, part in parts.items():
        features, lengths = clean(
            {"text": texts[name], "audio": part["audio"], "vision": part["video"]},
            dict.fromkeys(MODALITIES, np.ones(len(part["id"]))),
            f"{path}: {name}",
        )
        whole[name] = Examples(
            features,
            lengths,
            (part["val"] / LARGEST).astype(np.float32),
            [str(i) for i in part["id"]],
            dialogues=videos[name],
        ).at(orders[name])
    known = whole["train"]
    shuffled = np.random.default_rng(seed).permutation(videos["train"].max() + 1)
    dialogues = videos["train"][orders["train"]]
    chosen = np.isin(dialogues, shuffled[: round(VALID * len(shuffled))])
    return Corpus(
        known.at(np.flatnonzero(~chosen)),
        known.at(np.flatnonzero(chosen)),
        whole["test"],
        scale="mosi",
        largest=LARGEST,
        fitted={
            "text": slice(0, train["text"].shape[1]),
            "vision": slice(0, train["video"].shape[1]),
        },
    )


def _part(path: Path, name: str) -> dict[str, NDArray[Any]]:
    try:
        with np.load(path, allow_pickle=False) as file:
            return {key: file[f"{name}_{key}"] for key in _KEYS}
    except KeyError as error:
        raise InputError(f"{path}: {error.args[0]}", "give mosi_bclstm.npz") from error
    except SPOILED as error:
        raise InputError(f"{path} cannot be read ({error})", "give an .npz file") from error
