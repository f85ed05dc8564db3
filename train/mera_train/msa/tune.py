"""Looking for better settings with Optuna; the test split is out of reach here."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from mera_edge.errors import MissingExtra
from mera_train import fingerprint
from mera_train.loop import fit
from mera_train.msa.config import Config
from mera_train.msa.data import Corpus
from mera_train.msa.task import SentimentTask


def tune(
    config: Config, corpus: Corpus, times: int, out: Path, seed: int, resume: bool = True
) -> Config:
    """Return the settings that did best on the validation split.

    Learning rate, weight decay, dropouts and batch size are tried (tree-structured Parzen
    estimator). The study is kept in ``out/study.db``: an interrupted one goes on.

    Args:
        config: what is not tried stays as it is here.
        corpus: of its ``test`` nothing is used.
        times: how many settings to try in all.
        out: receives the study and its runs.
        seed: of the sampler and of every training.
        resume: whether to go on with the study in ``out``.

    Raises:
        MissingExtra: Optuna is not installed.
        InputError: the study in ``out`` is one of other settings or data.
    """
    try:
        import optuna
    except ImportError as error:
        raise MissingExtra("optuna", "train") from error
    out.mkdir(parents=True, exist_ok=True)
    # A test split that could be asked would be asked one day.
    hidden = replace(corpus, test=corpus.valid)
    loop = config.loop

    def settings(trial: optuna.trial.BaseTrial) -> Config:
        changed = loop.model_copy(
            update={
                "seed": seed,
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

    def objective(trial: optuna.Trial) -> float:
        tried = settings(trial)
        # A trial that was killed is not gone on with: the study begins another.
        run = out / str(trial.number)
        chosen = fit(SentimentTask(tried, hidden), tried.loop, run, {}, resume=False)
        return chosen[loop.metric_for_best_model]

    if not resume:
        (out / "study.db").unlink(missing_ok=True)
    study = optuna.create_study(
        storage=f"sqlite:///{out / 'study.db'}",
        study_name=f"{config.model}-{config.dataset}",
        load_if_exists=True,
        direction="maximize" if loop.greater_is_better else "minimize",
        sampler=optuna.samplers.TPESampler(seed=seed),
    )
    made = fingerprint.of(config, {"the examples": corpus.digest, "the first seed": str(seed)})
    if study.trials:
        fingerprint.check(study.user_attrs.get("made", {}), made, out)
    study.set_user_attr("made", made)
    finished = sum(trial.state.is_finished() for trial in study.trials)
    study.optimize(objective, n_trials=max(0, times - finished))
    return settings(optuna.trial.FixedTrial(study.best_params))
