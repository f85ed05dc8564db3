"""The recognizer's language model: n-grams of its units, from training text.

    mera-edge train language-model CHECKPOINT DATA [TEXT.txt ...] [--counts-of OTHER]

Writes ``language_model.npz`` next to the weights, from the transcripts of the training speech, the
English sentences of ``text.zip`` and the given texts. Weight and bonus in the beam search are tuned
on dev; sentences of dev and test speakers are excluded from the text. A recognizer with the units
of another one can reuse its counts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from mera_edge.asr.decoding.ctc import Decoder, Greedy
from mera_edge.asr.decoding.ngram_lm import LanguageModel
from mera_edge.asr.decoding.prefix_beam import PrefixBeam
from mera_edge.errors import InputError
from mera_edge.features.fbank import BINS, FLOOR, log_mel
from mera_edge.metrics.word_error_rate import word_error_rate
from mera_train import audio, checkpoint, workers
from mera_train.asr.config import Config
from mera_train.asr.corpora import Utterance, location
from mera_train.asr.data import speech
from mera_train.asr.networks import build
from mera_train.asr.ngrams import estimate
from mera_train.asr.texts import book_sentences, choose, everyday
from mera_train.asr.units import WORD_START, Units
from mera_train.checkpoint import Checkpoint

FILE = "language_model.npz"
"""File name in a checkpoint."""
OWN = 3
"""Weight of the transcripts of the training speech: they are in the target domain."""
WEIGHTS = (0.6, 0.7, 0.8, 0.9)
BONUSES = (2.0, 2.5, 3.0, 3.5)


def text(data: Path, corpora: Sequence[str], texts: Sequence[Path]) -> tuple[list[str], list[str]]:
    """Return the transcripts of the training speech, and written sentences in spoken form."""
    utterances = speech(data, corpora)
    held_out = {u.text for u in utterances if u.split != "train"}
    said = [u.text for u in utterances if u.split == "train" and u.text not in held_out]
    return said, choose([*everyday(data), *book_sentences(texts)], range(1, 41), held_out)


@dataclass(frozen=True)
class Posteriors:
    """A transcript, with log-probabilities of units ``[n, classes]`` and of phones ``[sounds,
    phones]`` as on the device.
    """

    text: str
    units: NDArray[np.float32]
    phones: NDArray[np.float32]


def dev(loaded: Checkpoint, data: Path) -> list[Utterance]:
    """Compute the posteriors of the dev utterances of a checkpoint's corpora."""
    return [u for u in speech(data, loaded.settings(Config).corpora) if u.split == "dev"]


def compute_posteriors(
    loaded: Checkpoint, data: Path, utterances: Iterable[Utterance], chunk: int | None = None
) -> list[Posteriors]:
    """Run the network of a checkpoint on ``utterances``.

    Args:
        chunk: chunk size in encoder frames; that of the device by default.
    """
    config = loaded.settings(Config)
    empty = build(config.model, torch.zeros(BINS), torch.ones(BINS), len(config.symbols))
    model = loaded.fill(empty)
    silence = np.full((20 + config.model.right_context, BINS), FLOOR, np.float32)
    heard = []
    for utterance in utterances:
        samples = audio.read(location(data, utterance.corpus), utterance.file)
        frames = torch.from_numpy(np.concatenate([log_mel(samples), silence]))[None]
        with torch.inference_mode():
            both = model(
                (frames - model.mean) * model.inverse_std, chunk or config.model.chunk_size
            )
        units, phones = (scores[0].log_softmax(-1).numpy() for scores in both)
        heard.append(Posteriors(utterance.text, units, phones.reshape(-1, phones.shape[-1])))
    return heard


def errors(
    said: Sequence[str],
    heard: Sequence[NDArray[np.float32]],
    search: Decoder,
    symbols: Sequence[str],
) -> float:
    """Return the word error rate of a search."""
    hypotheses = []
    for log_probabilities in heard:
        search.reset()
        search.accept(log_probabilities)
        units = "".join(symbols[token.symbol] for token in search.tokens)
        hypotheses.append(units.replace(WORD_START, " ").strip())
    rate: float = word_error_rate(said, hypotheses)["wer"]
    return rate


def _tried(
    path: Path,
    said: Sequence[str],
    heard: Sequence[NDArray[np.float32]],
    symbols: Sequence[str],
    chosen: Choice,
) -> float:
    language = LanguageModel(path, len(symbols))
    language.weight, language.bonus = chosen["weight"], chosen["bonus"]
    return errors(said, heard, PrefixBeam(language_model=language), symbols)


Choice = Mapping[str, float]


def write(
    path: Path,
    arrays: dict[str, Any],
    tried: Callable[[Choice], float],
    choices: Sequence[Choice],
) -> None:
    """Write ``arrays`` to ``path`` with those factors for which ``tried``, which may read the file,
    gives the lowest error rate; print all rates.
    """
    np.savez_compressed(path, **{**arrays, **choices[0]})
    with workers.pool() as pool:
        rates = list(pool.map(tried, choices))
    for choice, rate in zip(choices, rates, strict=True):
        print(f"{choice}: {rate:.1%}", flush=True)
    np.savez_compressed(path, **{**arrays, **choices[int(np.argmin(rates))]})


def counts_of(
    other: Path, symbols: Sequence[str], file: str, but: Iterable[str]
) -> dict[str, NDArray[Any]]:
    """Read ``file`` of another checkpoint, without its factors.

    Raises:
        InputError: the other checkpoint has different units, or no such file.
    """
    if checkpoint.load(other).settings(Config).symbols != list(symbols):
        raise InputError(f"{other} has different units", "count again, without --counts-of")
    if not (other / file).is_file():
        raise InputError(f"{other} has no {file}", "count again, without --counts-of")
    with np.load(other / file) as read:
        return {name: read[name] for name in read.files if name not in but}


def tune(
    directory: Path, data: Path, texts: Sequence[Path] = (), other: Path | None = None
) -> None:
    """Estimate the language model of a checkpoint, tune it on dev, write and report it."""
    loaded = checkpoint.load(directory)
    config = loaded.settings(Config)
    symbols, units = config.symbols, Units(config.symbols)
    if other is not None:
        arrays = counts_of(other, symbols, FILE, ("weight", "bonus"))
    else:
        said, written = text(data, config.corpora, texts)
        arrays = estimate([units.encode(each) for each in said * OWN + written], len(symbols))
    path = directory / FILE
    spoken = compute_posteriors(loaded, data, dev(loaded, data))
    sentences, heard = [each.text for each in spoken], [each.units for each in spoken]
    print(f"greedy {errors(sentences, heard, Greedy(), symbols):.1%}")
    print(f"beam {errors(sentences, heard, PrefixBeam(), symbols):.1%}", flush=True)
    tried = partial(_tried, path, sentences, heard, symbols)
    choices = [{"weight": weight, "bonus": bonus} for weight in WEIGHTS for bonus in BONUSES]
    write(path, arrays, tried, choices)
