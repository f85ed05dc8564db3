"""Looking for better settings with Optuna; the test split is out of reach here."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, NoReturn

from mera_edge.errors import InputError, MeraError, MissingExtra
from mera_train import fingerprint
from mera_train.cluster import called
from mera_train.loop import Diverged, fit
from mera_train.msa.config import Config
from mera_train.msa.data import Corpus
from mera_train.msa.feature_file import read
from mera_train.msa.task import SentimentTask

if TYPE_CHECKING:
    import optuna


@dataclass(frozen=True)
class Trial:
    """Settings to try, and the corpus to try them on, for a process that has it not."""

    number: int
    config: Config
    source: str
    """The settings, as JSON, that the corpus is read with."""
    digest: str
    """Of the corpus."""


def tune(
    config: Config,
    corpus: Corpus,
    times: int,
    out: Path,
    seed: int,
    resume: bool = True,
    scheduler: str | None = None,
) -> Config:
    """Return the settings that did best on the validation split.

    Learning rate, weight decay, dropouts and batch size are tried (tree-structured Parzen
    estimator). The study is kept in ``out/study.db``: an interrupted one goes on, and what it was
    trying is tried again.

    Args:
        config: what is not tried stays as it is here.
        corpus: of its ``test`` nothing is used.
        times: how many settings to try in all.
        out: receives the study and, without ``scheduler``, its runs.
        seed: of the sampler and of every training.
        resume: whether to go on with the study in ``out``.
        scheduler: of Dask, whose workers train then, one trial each at a time; they read the
            feature file by the same path.

    Raises:
        MissingExtra: Optuna is not installed.
        InputError: the study in ``out`` is one of other settings or data, or see
            `mera_train.cluster.called`.
        Diverged: no settings led to a figure.
        MeraError: a trial ended several workers, or a worker reads other features.
    """
    try:
        import optuna
    except ImportError as error:
        raise MissingExtra("optuna", "train") from error
    out.mkdir(parents=True, exist_ok=True)
    if not resume:
        (out / "study.db").unlink(missing_ok=True)
    study = optuna.create_study(
        storage=f"sqlite:///{out / 'study.db'}",
        study_name=f"{config.model}-{config.dataset}",
        load_if_exists=True,
        direction="maximize" if config.loop.greater_is_better else "minimize",
        sampler=optuna.samplers.TPESampler(seed=seed),
    )
    made = fingerprint.of(config, {"the examples": corpus.digest, "the first seed": str(seed)})
    if study.trials:
        fingerprint.check(study.user_attrs.get("made", {}), made, out)
    study.set_user_attr("made", made)
    config = config.model_copy(update={"loop": config.loop.model_copy(update={"seed": seed})})
    trials = _asked(study, config, corpus.digest, times)
    for trial, figure in _tried(trials, corpus, out, scheduler):
        if figure is None:
            study.tell(trial.number, state=optuna.trial.TrialState.PRUNED)
        else:
            study.tell(trial.number, figure)
        told = "diverged" if figure is None else f"{config.loop.metric_for_best_model} {figure:.4f}"
        print(f"trial {trial.number + 1}: {told}", file=sys.stderr)
    if not any(trial.value is not None for trial in study.trials):
        raise Diverged(f"{out}: every trial diverged", "look at the features")
    return _settings(config, optuna.trial.FixedTrial(study.best_params))


def _asked(study: optuna.Study, config: Config, digest: str, times: int) -> Iterator[Trial]:
    """Ask for settings until ``times`` were tried, first for those that were interrupted."""
    from optuna.trial import TrialState

    for trial in study.get_trials(states=(TrialState.RUNNING,)):
        study.tell(trial.number, state=TrialState.FAIL)
        study.enqueue_trial(trial.params)
    tried = study.get_trials(states=(TrialState.COMPLETE, TrialState.PRUNED))
    path = config.feature_path and config.feature_path.absolute()
    source = config.model_copy(update={"feature_path": path}).model_dump_json()
    for _ in range(len(tried), times):
        asked = study.ask()
        yield Trial(asked.number, _settings(config, asked), source, digest)


def _settings(config: Config, trial: optuna.trial.BaseTrial) -> Config:
    changed = config.loop.model_copy(
        update={
            "learning_rate": trial.suggest_float("learning_rate", 2e-4, 8e-3, log=True),
            "weight_decay": trial.suggest_float("weight_decay", 1e-3, 0.1, log=True),
        }
    )
    network = config.network.model_copy(
        update={
            "input_dropout": trial.suggest_float("input_dropout", 0.0, 0.5),
            "dropout": trial.suggest_float("dropout", 0.0, 0.6),
        }
    )
    sizes = [config.batch_size // 2 or 1, config.batch_size]
    size = trial.suggest_categorical("batch_size", sizes)
    return config.model_copy(update={"loop": changed, "network": network, "batch_size": size})


def _tried(
    trials: Iterator[Trial], corpus: Corpus, out: Path, scheduler: str | None
) -> Iterator[tuple[Trial, float | None]]:
    if scheduler is not None:
        yield from called(scheduler, _far, trials, lost=_lost, ahead=False)
        return
    for trial in trials:
        yield trial, _figure(trial.config, corpus, out / str(trial.number))


def _figure(config: Config, corpus: Corpus, run: Path) -> float | None:
    """Train; return the figure of the validation split, or ``None`` if it diverged."""
    # A test split that could be asked would be asked one day.
    hidden = replace(corpus, test=corpus.valid)
    try:
        chosen = fit(SentimentTask(config, hidden), config.loop, run, {}, resume=False)
    except Diverged:
        return None
    return chosen[config.loop.metric_for_best_model]


def _lost(trial: Trial) -> NoReturn:
    raise MeraError(
        f"trial {trial.number + 1} ended several workers",
        "see their logs (memory?), then run the same command again: it resumes",
    )


def _far(trial: Trial) -> float | None:
    """Run on a worker."""
    read_with = Config.model_validate_json(trial.source)
    path = read_with.feature_path
    if path is None or not path.is_file():
        raise InputError(f"a worker cannot see {path}", "put it where all machines see it")
    corpus = _corpus(trial.source, path.stat().st_mtime_ns)
    if corpus.digest != trial.digest:
        raise MeraError(f"a worker reads another {path}", "put the same file on all machines")
    with TemporaryDirectory() as run:
        return _figure(trial.config, corpus, Path(run))


@lru_cache(maxsize=1)
def _corpus(source: str, modified: int) -> Corpus:
    return read(Config.model_validate_json(source))
