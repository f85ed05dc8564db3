"""Fine-tuning of a trained fusion on the user's own clips, from a feature file.

Valence is learnt from clips with a sentiment, with Self-MM's generated unimodal labels or with
human ones if the data set has them. Emotions are learnt from clips with an emotion. For all others
the initial fusion is the teacher, so that a sentiment corpus does not make the network forget the
emotions.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from mera_edge.bundle import Bundle
from mera_edge.errors import InputError
from mera_edge.labels import EMOTIONS, MODALITIES
from mera_edge.metrics.classification import classification
from mera_edge.metrics.confusion import drawn_rates
from mera_train import checkpoint, fingerprint, state
from mera_train.features.store import Features, load
from mera_train.fusion.clips import Clips, clips
from mera_train.fusion.config import Config
from mera_train.fusion.left_out import LeftOut, errors, left_out
from mera_train.fusion.model import Mtme
from mera_train.fusion.supervision import Batch, MultiTask, Supervised
from mera_train.loop import fit
from mera_train.own.comparison import Comparison, by_errors
from mera_train.own.train import tell
from mera_train.provenance import licence_text, origin_text


class OwnTask(MultiTask):
    """Training task for the user's own clips."""

    def __init__(self, config: Config, start: Mtme, train: Clips, dev: Clips) -> None:
        self.clips, self.dev = train, dev
        network = Mtme(start.config, start.widths)
        network.load_state_dict(start.state_dict())
        model = Supervised(network, train.valence, train.unimodal)
        super().__init__(config, model, train.present)
        with torch.no_grad():
            everything = torch.ones_like(train.present)
            self.taught = torch.softmax(train.through(start, everything).logits, dim=1)
        known = train.emotions >= 0
        self.taught[known] = nn.functional.one_hot(train.emotions[known], len(EMOTIONS)).float()

    def loss(self, batch: Batch, device: torch.device) -> Tensor:
        """Return the loss of fused emotion and valence, plus the weighted unimodal valences."""
        data = self.clips.at(batch.rows)
        fused = data.through(self.model.network, batch.kept)
        shares = torch.log_softmax(fused.logits, dim=1)
        emotion = -(self.taught[batch.rows] * shares).sum(dim=1).mean()
        return self.total(emotion, fused, data.valence, batch)

    def evaluate(self, model: Supervised, device: torch.device) -> dict[str, float]:
        """Return metrics on the valid clips."""
        found = measure(model.network, self.dev)
        return {"valence_error": found["valence"]["mean_absolute_error"]}


def measure(network: Mtme, data: Clips) -> dict[str, Any]:
    """Compare the fused predictions with the labels; the intervals take clips as independent."""
    with torch.inference_mode():
        fused = data.through(network, torch.ones_like(data.present))
    found, wanted = fused.valence.clamp(-1, 1).numpy(), data.valence.numpy()
    varied = len(wanted) > 1 and found.std() > 0 and wanted.std() > 0
    missed = np.abs(found - wanted)
    drawn = drawn_rates(np.stack([missed, np.ones_like(missed)], 1))
    metrics: dict[str, Any] = {
        "valence": {
            "n": len(wanted),
            "mean_absolute_error": float(missed.mean()),
            "interval_95": np.percentile(drawn, (2.5, 97.5)).tolist(),
            "correlation": float(np.corrcoef(found, wanted)[0, 1]) if varied else None,
        }
    }
    known = data.emotions >= 0
    if known.any():
        truth = [EMOTIONS[number] for number in data.emotions[known]]
        shares = torch.softmax(fused.logits, dim=1)[known].numpy()
        metrics["emotion"] = classification(truth, shares, EMOTIONS)
    return metrics


def train(config: Config, data: Path, out: Path, resume: bool | Path = True) -> dict[str, Any]:
    """Fine-tune ``config.init_checkpoint`` on the clips of a feature file.

    Without one, for one's own clips, training starts from a new network, which is the product of
    the encoders' probabilities.

    Args:
        config: with ``encoders``: the bundle of the features.
        data: the feature file.
        out: directory for the checkpoint and the state of the run.
        resume: resume an earlier run.

    Returns:
        The metrics, as in the checkpoint; on the test clips if there are any.

    Raises:
        InputError: the features are of other encoders, or a split is empty.
    """
    if config.init_checkpoint is None and (config.own is None or config.own.data is None):
        raise InputError(
            f"{data} is a feature file, but no checkpoint to start from is given",
            "set `init_checkpoint` in the configuration to a checkpoint of the fusion",
        )
    made = fingerprint.of(config, {"the features": data})
    state.claim(out, made, resume)
    features = load(data)
    features.require(Bundle.open(config.encoders))
    parts = {split: clips(features, features.rows(split)) for split in ("train", "valid", "test")}
    for split in ("train", "valid"):
        if not len(parts[split]):
            raise InputError(f"{data} has no {split} clips", "name the split of every clip")
    learnt = parts["train"]
    if len(set(zip(learnt.valence.tolist(), learnt.emotions.tolist(), strict=True))) == 1:
        raise InputError(
            f"{data}: every training clip has the same label",
            "give clips that differ: nothing can be learnt from one label",
        )
    start, begun = _start(config, learnt)
    task = OwnTask(config, start, parts["train"], parts["valid"])
    chosen = fit(task, config.loop, out, made, resume)
    network = task.model.network
    metrics: dict[str, Any] = {"dev": chosen, "temperature": float(network.temperature)}
    for name, of in (("before", start), ("after", network)):
        metrics[name] = {s: measure(of, parts[s]) for s in ("valid", "test") if len(parts[s])}
    kept = "what was learnt, better or not, as was asked for"
    if not (config.own and config.own.keep_learnt):
        found = _helped(config, start, network, features, parts["valid"])
        kept = found.sentence()
        tell(kept + ("" if found.kept else "; --keep-learnt keeps what was learnt"))
        metrics["left_out" if isinstance(found, LeftOut) else "comparison"] = found.as_metrics()
        network = network if found.kept else start
    final = config.model_copy(update={"model": start.config})
    card = _card(config, data, parts, _figures(kept, metrics), begun)
    checkpoint.save(out, network, final, metrics, card)
    return metrics


def _start(config: Config, learnt: Clips) -> tuple[Mtme, str]:
    """Return the initial network and the card of its checkpoint."""
    if config.init_checkpoint is not None:
        loaded = checkpoint.load(config.init_checkpoint)
        widths: dict[str, int] = {name: len(loaded.weights[f"{name}_mean"]) for name in MODALITIES}
        return loaded.fill(Mtme(loaded.settings(Config).model, widths)), loaded.card
    torch.manual_seed(config.loop.seed)
    network = Mtme(config.model, {name: v.shape[1] for name, v in learnt.embeddings.items()})
    present = dict(zip(MODALITIES, (learnt.present > 0.5).unbind(1), strict=True))
    seen = {str(name): learnt.embeddings[name][here].float() for name, here in present.items()}
    # A deviation needs two.
    network.normalise_by({name: values for name, values in seen.items() if len(values) > 1})
    return network.eval(), ""


def _helped(
    config: Config, start: Mtme, network: Mtme, features: Features, valid: Clips
) -> LeftOut | Comparison:
    """Compare on left-out people, or on the valid clips if there are too few people."""
    found = left_out(
        lambda origin_text, learnt, chooses: OwnTask(config, origin_text, learnt, chooses),
        *(config, start, clips(features, np.arange(len(features))), features.people()),
    )
    if found is not None:
        return found
    tell("fewer than three people are named (column `person`): comparing on the valid clips only")
    named = valid.emotions >= 0
    asked = valid.at(named.nonzero()[:, 0]) if named.any() else valid
    learnt, begun = (errors(of, asked, not named.any()) for of in (network, start))
    figures = (
        (float(learnt.mean()), learnt.tolist()),
        (float(begun.mean()), begun.tolist()),
    )
    return by_errors(
        "share wrong" if named.any() else "sentiment error", "clips", *figures, len(asked)
    )


def _card(config: Config, data: Path, parts: dict[str, Clips], found: str, before: str) -> str:
    counts = ", ".join(f"{len(clips)} {split}" for split, clips in parts.items())
    named = int((parts["train"].emotions >= 0).sum())
    given = (config.own.data if config.own else None) or data
    how = f"Command: `mera-edge train fusion --data {given.name}`, settings: `config.yaml`."
    title, teacher = "gone on with one's own clips", "the fusion below had learnt"
    if not before:
        title, teacher = "from one's own clips alone", "the encoders say, multiplied"
    return (
        f"# Fusion, {title}\n\n"
        f"From `{given.name}`: {counts} clips. {named} of the training clips have "
        "an emotion, the others a sentiment only; for those the emotions are still what "
        f"{teacher}.\n\n{found}\n{how}\n\n"
        f"Licence of the weights: {licence_text(config.licence)}; "
        f"{origin_text(config.init_checkpoint)}. "
        "The clips' licence is not recorded.\n" + (f"\n---\n\n{before}" if before else "")
    )


def _figures(kept: str, metrics: dict[str, Any]) -> str:
    rows = "".join(
        f"| {split}, {what} | {of[split]['valence']['n']} | {_error(of[split]['valence'])} "
        f"| {_accuracy(of[split])} |\n"
        for split in metrics["after"]
        for what, of in (("what it began from", metrics["before"]), ("learnt", metrics["after"]))
    )
    head = f"| clips | n | error of the sentiment | accuracy |\n|{' --- |' * 4}"
    sure = "In brackets: 95 % intervals, which take clips as independent, also those of one person."
    return f"**Kept**: {kept}.\n\n{head}\n{rows}\n{sure}\n"


def _error(found: dict[str, Any]) -> str:
    low, high = found["interval_95"]
    return f"{found['mean_absolute_error']:.3f} ({low:.3f} to {high:.3f})"


def _accuracy(found: dict[str, Any]) -> str:
    if "emotion" not in found:
        return "-"
    low, high = found["emotion"]["interval_95"]["accuracy"]
    return f"{found['emotion']['accuracy']:.3f} ({low:.3f} to {high:.3f})"
