"""Feature files: what reads each, and what no run can learn from."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from mera_edge.errors import ConfigError, InputError
from mera_train.msa import mmsa, mosi_bclstm, own
from mera_train.msa.config import Config
from mera_train.msa.data import MODALITIES, Corpus


def _read_mmsa(path: Path, config: Config) -> Corpus:
    return mmsa.read(path, config.dataset, config.network.text_encoder is not None)


def _read_mosi_bclstm(path: Path, config: Config) -> Corpus:
    return mosi_bclstm.read(path, config.transcripts, config.treebank)


def _read_own(path: Path, config: Config) -> Corpus:
    return own.read(path)


READERS: dict[str, Callable[[Path, Config], Corpus]] = {
    **dict.fromkeys(mmsa.LARGEST, _read_mmsa),
    "mosi_bclstm": _read_mosi_bclstm,
    "own": _read_own,
}
"""By data set: what reads its feature file. Another format is another line here."""


def read(config: Config) -> Corpus:
    """Read the feature file of a configuration.

    Raises:
        ConfigError: it names none.
        InputError: it cannot be used.
    """
    if config.feature_path is None:
        raise ConfigError("featurePath is empty", "set config['featurePath'] to the feature file")
    corpus = READERS[config.dataset](config.feature_path, config)
    for split in ("train", "valid", "test"):
        if not len(getattr(corpus, split)):
            raise InputError(f"{config.feature_path}: {split} is empty", "give labelled utterances")
    if np.ptp(corpus.train.labels) == 0:
        raise InputError(
            f"{config.feature_path}: every training utterance has the label "
            f"{corpus.train.labels[0] * corpus.largest:g}",
            "give utterances that differ: nothing can be learnt from one label",
        )
    corpus = corpus.only(config.modalities)
    require_labels(config, corpus)
    return corpus


def require_labels(config: Config, corpus: Corpus) -> None:
    if config.generate_unimodal_labels or not config.human_labels:
        return
    rated = {name for name, labels in corpus.train.unimodal.items() if np.isfinite(labels).any()}
    if missing := sorted({*MODALITIES} - rated):
        raise InputError(
            f"{config.feature_path}: no unimodal labels for {', '.join(missing)}, which "
            f"{config.model} needs",
            "give regression_labels_T, _A and _V; or use mtme or self_mm, which generate their own",
        )
