"""``MSA_run`` and ``get_config``: train and evaluate models on a feature file."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mera_train import checkpoint, fingerprint, parallel
from mera_train.loop import fit
from mera_train.msa import reference
from mera_train.msa.config import Config, defaults, parse
from mera_train.msa.data import Corpus
from mera_train.msa.feature_file import read
from mera_train.msa.models import MODELS, Network
from mera_train.msa.task import SentimentTask, figures, shapes

SEEDS = (1111, 1112, 1113, 1114, 1115)


def get_config(model: str, dataset: str) -> dict[str, Any]:
    """Return the default settings of a model on a data set, for `MSA_run`.

    ``config["featurePath"]`` is empty: set it to the feature file.

    Raises:
        ConfigError: the model or data set is unknown.
    """
    return defaults(model.lower(), dataset.lower()).model_dump(mode="json", by_alias=True)


def MSA_run(  # noqa: N802 (the name that users of MMSA know)
    model_name: str,
    dataset_name: str,
    config: Mapping[str, Any] | Path | str | None = None,
    seeds: Sequence[int] | None = None,
    is_tune: bool = False,
    tune_times: int = 30,
    model_save_dir: Path | str = "saved_models",
    log_dir: Path | str = "log",
    resume: bool = True,
    *,
    config_file: Path | str | None = None,
    custom_feature: Path | str | None = None,
    feature_T: Path | str | None = None,  # noqa: N803
    feature_A: Path | str | None = None,  # noqa: N803
    feature_V: Path | str | None = None,  # noqa: N803
    gpu_ids: Sequence[int] | None = None,
    num_workers: int | None = None,
    verbose_level: int | None = None,
    res_save_dir: Path | str | None = None,
    scheduler: str | None = None,
) -> dict[str, Any]:
    """Train once per seed, select the weights on the validation split, and test.

    A killed run resumes and ends with the same weights. Checkpoints are written to
    ``model_save_dir/MODEL-DATASET/SEED``, metrics per seed and over all seeds to
    ``log_dir/MODEL-DATASET.jsonl``, and a row of a table in MMSA's format to
    ``log_dir/DATASET.csv``.

    Args:
        model_name: name in `mera_train.msa.models.MODELS`, case-insensitive.
        dataset_name: of `mera_train.msa.feature_file.READERS`, in any case.
        config: from `get_config`, with ``featurePath``; or a settings file; by default the
            defaults.
        seeds: one training each; `SEEDS` if empty.
        is_tune: first tune hyperparameters, on the validation split only.
        tune_times: number of trials.
        model_save_dir, log_dir: created if missing.
        resume: resume earlier runs in ``model_save_dir``.
        config_file: a settings file; ``config`` takes precedence.
        custom_feature: overrides ``featurePath``.
        feature_T, feature_A, feature_V: not supported.
        gpu_ids: the GPU to train on; by default any.
        num_workers, verbose_level: accepted for compatibility with MMSA, without effect: features
            are in memory, and every epoch prints a line to stderr.
        res_save_dir: write the table to ``res_save_dir/normal/DATASET.csv`` instead.
        scheduler: of Dask, whose workers try the settings of ``is_tune``.

    Returns:
        ``test`` and ``valid``: ``mean`` and ``std`` over the seeds by metric of
        `mera_train.msa.metrics`; ``seeds``; ``config``.

    Raises:
        ConfigError: an unknown key or an invalid value.
        InputError: the feature file is invalid.
    """
    reference.refuse_single(feature_T=feature_T, feature_A=feature_A, feature_V=feature_V)
    model, dataset, seeds = model_name.lower(), dataset_name.lower(), seeds or SEEDS
    given = reference.settings(config, config_file, custom_feature)
    given |= {"model": model, "dataset": dataset}
    settings = parse(_over(get_config(model, dataset), given))
    reference.choose_gpu(gpu_ids)
    corpus = read(settings)
    out = Path(model_save_dir).expanduser() / f"{model}-{dataset}"
    if is_tune:
        from mera_train.msa.tune import tune

        where = out / "tuning"
        settings = tune(settings, corpus, tune_times, where, seeds[0], resume, scheduler)
    log = Path(log_dir).expanduser() / f"{model}-{dataset}.jsonl"
    log.parent.mkdir(parents=True, exist_ok=True)
    found: dict[str, list[dict[str, float]]] = {"valid": [], "test": []}
    for seed in seeds:
        measured = train(with_seed(settings, seed), corpus, out / str(seed), resume)
        for split, rows in found.items():
            rows.append(measured[split])
        _append(log, {"seed": seed, **measured})
    summary = {split: over_seeds(rows) for split, rows in found.items()}
    _append(log, {"seeds": list(seeds), **summary})
    results = Path(res_save_dir).expanduser() / "normal" if res_save_dir else log.parent
    reference.add_row(results / f"{dataset}.csv", model, found["test"])
    return {**summary, "seeds": list(seeds), "config": settings.model_dump(mode="json")}


def _over(usual: dict[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the defaults updated with ``given``, recursively."""
    found = dict(usual)
    for key, value in given.items():
        key = "featurePath" if key == "feature_path" else key
        old = found.get(key)
        if isinstance(old, dict) and isinstance(value, Mapping) and key in ("loop", "network"):
            value = _over(old, value)
        found[key] = value
    return found


def train(config: Config, corpus: Corpus, out: Path, resume: bool | Path = True) -> dict[str, Any]:
    """Train once into ``out``; return the metrics of ``valid`` and ``test``."""
    task = SentimentTask(config, corpus)
    made = fingerprint.of(config, {"the examples": corpus.digest})
    chosen = fit(task, config.loop, out, made, resume)
    measured = {
        "valid": chosen,
        "test": figures(task.model.network, corpus.test, corpus),
    }
    directory = config.network.text_encoder
    found = shapes(corpus, directory)
    text = _FIXED if directory is None else f"A BERT (`{directory.name}`) was trained along"
    card = _CARD.format(model=config.model, dataset=config.dataset, text=text)
    facts = {**measured, "shapes": {n: list(shape) for n, shape in found.items()}}
    checkpoint.save(out, task.model.network, config, facts, card)
    if (bert := task.model.network.inputs.bert) is not None and parallel.state().is_main_process:
        bert.save(out)
    return measured


def load(directory: Path) -> Network:
    """Load the network of a checkpoint, in eval mode.

    Raises:
        InputError, ConfigError: the checkpoint does not fit this version.
    """
    saved = checkpoint.load(directory)
    config, network = saved.settings(Config), saved.settings(Config).network
    if network.text_encoder is not None:
        # Its shape is kept in the checkpoint; the directory that it began from may be gone.
        network = network.model_copy(update={"text_encoder": directory})
    return saved.fill(MODELS[config.model](network, saved.metrics["shapes"]))


def with_seed(config: Config, seed: int) -> Config:
    """Return a copy with another seed."""
    return config.model_copy(update={"loop": config.loop.model_copy(update={"seed": seed})})


def over_seeds(rows: Sequence[Mapping[str, float]]) -> dict[str, dict[str, float]]:
    """Return mean and sample standard deviation of every metric."""
    found = {}
    for name in rows[0]:
        values = np.array([row[name] for row in rows])
        spread = float(values.std(ddof=1)) if len(values) > 1 else 0.0
        found[name] = {"mean": float(values.mean()), "std": spread}
    return found


def _append(log: Path, line: Mapping[str, Any]) -> None:
    if not parallel.state().is_main_process:
        return
    with log.open("a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")


_FIXED = "The text's vectors are those of the file: their encoder was not trained further"

_CARD = """\
# Sentiment: `{model}` on {dataset}

From features of text, sound and face to sentiment in [-1, 1] (units of the data set's largest \
label). The validation split chose the weights; `metrics.json` has both splits. It reads features \
like those it was trained on, no others; their licence is that of the weights. {text}; other \
differences from the papers: docs/from_mmsa_and_masr.md.
"""
