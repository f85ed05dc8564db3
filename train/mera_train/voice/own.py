"""Training of the voice encoder on the user's own recordings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from mera_edge.bundle import Bundle, RoleName
from mera_edge.errors import InputError
from mera_edge.features.fbank import log_mel
from mera_edge.labels import EMOTIONS
from mera_edge.stages.vad import VoiceActivity
from mera_train import audio
from mera_train.checkpoint import Checkpoint
from mera_train.fingerprint import Digests
from mera_train.own.examples import Example, Kind
from mera_train.own.train import train as learn
from mera_train.voice.config import Config
from mera_train.voice.data import LABELS, Copy, Frames, Utterance, prepare
from mera_train.voice.ensemble import blank, network
from mera_train.voice.measure import compute_logits
from mera_train.voice.model import Voice
from mera_train.voice.task import Plan, Split, VoiceTask
from mera_train.voice.train import cmvn, copies

CALM = LABELS.index("calm")


class OwnVoices:
    """See `mera_train.own.encoder.Encoder`."""

    role: RoleName = "voice"
    title, labels = "Voice encoder", EMOTIONS
    kind: Kind = "file"

    def __init__(self, config: Config) -> None:
        self.config = config
        self._utterances: list[Utterance] = []

    @cached_property
    def _activity(self) -> VoiceActivity:
        return VoiceActivity(Bundle.open())

    def read(self, example: Example) -> None:
        """Detect speech as the device does."""
        samples = audio.read(example.folder, example.given)
        if self._activity.span(log_mel(samples)) is None:
            raise InputError(f"no speech was found in {example.path}", "leave it out")
        # An absolute directory works as a corpus, independent of the data directory.
        folder = str(example.folder.absolute())
        self._utterances.append(Utterance(folder, example.given, example.label, example.person))

    def begin(self, examples: Sequence[Example], out: Path, digests: Digests) -> None:
        """Compute the log-mel frames of all recordings, and of augmented copies of training
        recordings, in ``out/frames``.
        """
        learnt = {u for u, e in zip(self._utterances, examples, strict=True) if e.split == "train"}
        self.frames: Frames = prepare(
            Path(),
            list(dict.fromkeys(self._utterances)),
            lambda u: copies(u, self.config.augment) if u in learnt else [Copy()],
            out / "frames",
            digests,
        )

    def network(self, start: Checkpoint | None, learnt: Sequence[int]) -> Voice:
        """Return the checkpoint's network, or a new one with the CMVN of ``learnt``."""
        if start is None:
            normal = cmvn(self.frames, [self._utterances[i] for i in learnt])
            self._network = network(self.config.model, *normal)
        else:
            self._network = start.fill(blank(start.settings(Config).model))
        return self._network

    def batch(self, rows: Sequence[int], seed: tuple[int, ...]) -> Any:
        """Return a batch as in `mera_train.voice.task`: augmented crops, some with mixup."""
        return self._emotion(self._network).load(Plan(tuple(rows), seed), 0)

    def loss(self, model: Voice, batch: Any, device: torch.device) -> Tensor:
        """Return cross-entropy in nats plus the weighted squared error of valence."""
        return self._emotion(model).loss(batch, device)

    def _emotion(self, model: Voice) -> VoiceTask:
        # Recordings serve as noise for each other.
        split = Split(self._utterances, [], [])
        return VoiceTask(self.config, model, self.frames, split, self._utterances)

    def scores(self, model: Voice, rows: Sequence[int]) -> Tensor:
        """Return log-probabilities ``[n, 7]`` over `EMOTIONS` at the end of each recording."""
        device = model.temperature.device
        heard = compute_logits(
            model.eval(), self.frames, [self._utterances[i] for i in rows], device
        )
        log = heard.log_softmax(1)
        # Calm counts as neutral, except in RAVDESS.
        seven = log[:, : len(EMOTIONS)].clone()
        seven[:, 0] = torch.logaddexp(seven[:, 0], log[:, CALM])
        return seven

    def configuration(self, model: Voice) -> Config:
        """Return the settings with the actual layer sizes of the network."""
        return self.config.model_copy(update={"model": model.config, "corpora": {}})

    def files(self) -> Mapping[str, str]:
        """Return nothing: a voice encoder consists of its weights only."""
        return {}


def train(config: Config, data: Path, out: Path, resume: bool | Path) -> dict[str, Any]:
    """Train on ``config.own``: see `mera_train.own.train.train`."""
    return learn(OwnVoices(config), config, out, resume)
