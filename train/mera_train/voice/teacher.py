"""A frozen Whisper encoder with a linear layer, as the teacher of the voice encoder.

Its labels for training recordings are cross-fitted by speaker: for each fold of speakers, the layer
is fitted to all others. Dev and test speakers are not used.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor

from mera_edge.errors import InputError
from mera_edge.features.fbank import SAMPLE_RATE
from mera_train import disk, fingerprint, parallel
from mera_train.asr.pretrained import PretrainedConfig, whisper_log_mel, whole
from mera_train.asr.whisper import Whisper
from mera_train.audio import read
from mera_train.distillation import DistillationConfig
from mera_train.voice.balance import choices, shares
from mera_train.voice.data import Frames, Utterance, contents, location
from mera_train.voice.measure import label_mask, masked_nll

PARTS = 5
"""Number of folds of the speakers of each corpus."""

SHORTEST = SAMPLE_RATE // 2
"""Minimum number of samples; shorter recordings are padded with silence."""


class Distillation(DistillationConfig):
    """The teacher of the voice encoder."""

    encoder: PretrainedConfig = Field(description="whose layers hear, from the second on")
    penalty: float = Field(0.1, gt=0, description="on the squared weights of the linear layer")


def states(
    config: PretrainedConfig,
    data: Path,
    utterances: Sequence[Utterance],
    frames: Frames,
    cache: Path,
    digests: fingerprint.Digests,
) -> NDArray[np.float16]:
    """Return the encoder's features of recordings, ``[n, D]``, cached in ``cache``."""
    heard = contents(data, utterances, digests)
    made = fingerprint.combined([config.sha256, *sorted(heard.items())])
    with parallel.first():
        if fingerprint.stale(cache, made):
            encoder = whole(config)
            found = [
                encode_blocks(encoder, _speech(data, utterance, frames)) for utterance in utterances
            ]
            with disk.whole(cache) as file:
                np.save(file, np.stack(found))
            fingerprint.stamp(cache, made)
    kept: NDArray[np.float16] = np.load(cache)
    return kept


def _speech(data: Path, utterance: Utterance, frames: Frames) -> NDArray[np.float32]:
    """Return the samples from the start to the end of speech."""
    samples = read(location(data, utterance.corpus), utterance.file)
    first, last = (frame * SAMPLE_RATE // 100 for frame in frames.speech(utterance))
    spoken = samples[first:last]
    return np.pad(spoken, (0, max(0, SHORTEST - len(spoken))))


def encode_blocks(encoder: Whisper, samples: NDArray[np.float32]) -> NDArray[np.float16]:
    """Return mean and deviation over time of all blocks' outputs but the first, ``[D]``."""
    found: list[Tensor] = []
    with torch.inference_mode():
        x = encoder.stem(torch.from_numpy(whisper_log_mel(samples)).float()[None])
        x = x + encoder.positions(torch.arange(x.shape[1]))
        for block in encoder.blocks:
            x, _ = block(x, x.shape[1], 0)
            found += [x[0].mean(0), x[0].std(0)]
    return torch.cat(found[2:]).half().numpy()


def soft_labels(
    heard: NDArray[np.float16],
    utterances: Sequence[Utterance],
    corpora: dict[str, float],
    penalty: float,
) -> Tensor:
    """Return cross-fitted class logits ``[n, C]``.

    Args:
        heard: features from `states`, ``[n, D]``.
        utterances: training utterances.
        corpora: sampling weight of each corpus.
        penalty: L2 penalty.

    Raises:
        InputError: there is only one speaker.
    """
    part = _parts(utterances)
    found = torch.empty(len(utterances), label_mask(utterances[:1]).shape[1])
    for number in range(PARTS):
        here = part == number
        if not here.any():
            continue
        others = [u for u, asked in zip(utterances, here, strict=True) if not asked]
        if not others:
            raise InputError(
                "all recordings are of one speaker", "the teacher needs several: add speakers"
            )
        learnt = torch.from_numpy(heard[~here].astype(np.float32))
        mean, deviation = learnt.mean(0), learnt.std(0) + 1e-4
        weight, bias = _fit((learnt - mean) / deviation, others, corpora, penalty)
        asked = (torch.from_numpy(heard[here].astype(np.float32)) - mean) / deviation
        found[torch.from_numpy(here)] = asked @ weight + bias
    return found


def _parts(utterances: Sequence[Utterance]) -> NDArray[np.int64]:
    """Return the fold of each recording's speaker."""
    people = sorted({(u.corpus, u.speaker) for u in utterances})
    part, count = {}, dict.fromkeys((corpus for corpus, _ in people), 0)
    for corpus, speaker in people:
        part[corpus, speaker] = count[corpus] % PARTS
        count[corpus] += 1
    return np.array([part[u.corpus, u.speaker] for u in utterances])


def _fit(
    heard: Tensor, utterances: Sequence[Utterance], corpora: dict[str, float], penalty: float
) -> tuple[Tensor, Tensor]:
    """Fit weights ``[D, C]`` and bias ``[C]`` of a linear layer, with balanced emotions."""
    classes, by_corpus = label_mask(utterances), choices(utterances)
    choice = torch.stack([by_corpus[u.corpus] for u in utterances])
    share = torch.from_numpy(shares(utterances, corpora)).float()
    weight = torch.zeros(heard.shape[1], classes.shape[1], requires_grad=True)
    bias = torch.zeros(classes.shape[1], requires_grad=True)
    optimizer = torch.optim.LBFGS([weight, bias], max_iter=100, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        optimizer.zero_grad()
        scores = (heard @ weight + bias).unsqueeze(1)
        nats = masked_nll(scores, classes, 0.0, choice).squeeze(1)
        total = (share * nats).sum() + penalty * weight.square().sum()
        total.backward()
        return total

    optimizer.step(loss)
    return weight.detach(), bias.detach()
