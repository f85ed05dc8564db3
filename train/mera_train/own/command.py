"""What `mera-edge train ROLE --data my.csv` means."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel

from mera_edge.errors import ConfigError, InputError
from mera_train import configuration
from mera_train.own.archives import SUFFIXES
from mera_train.own.config import OwnConfig
from mera_train.own.layouts import FILES

_HERE = Path(__file__).parents[2]
CHECKPOINTS, CONFIGS = _HERE / "checkpoints", _HERE / "configs"
"""They are in a clone of the repository, not in a wheel."""

DEFAULT, NOTHING = "default", "nothing"


Config = TypeVar("Config", bound=BaseModel)


def settings(
    role: str,
    model: type[Config],
    path: Path | None,
    data: Path,
    begin: str | None = None,
    labels: Sequence[str] = (),
    licence: str | None = None,
    skip_bad: int | None = None,
    keep_learnt: bool = False,
) -> Config:
    """Return the configuration of a training, with one's own examples where they are given.

    Args:
        role: for example ``face``.
        model: its configuration.
        path: ``--config``; without, the one for one's own examples.
        data: ``--data``: one's own examples, if it is a table of them, if there is no ``path``, or
            if that has ``own``. Else the folder of the corpora.
        begin: ``--from``: `DEFAULT`, `NOTHING`, or the directory of a checkpoint.
        labels: ``--label``, each NAME=MEANING.
        licence: ``--licence``.
        skip_bad: ``--skip-bad``.
        keep_learnt: ``--keep-learnt``.

    Raises:
        InputError: an argument cannot be used.
        ConfigError: the configuration cannot be used.
    """
    read = configuration.read(path or _configuration_of(role), model)
    if licence is not None:
        read = read.model_copy(update={"licence": licence})
    own = getattr(read, "own", None)
    if path is not None and own is None and data.suffix not in (*FILES, *SUFFIXES):
        if begin is not None or labels or skip_bad is not None:
            raise ConfigError(
                f"--from, --label and --skip-bad are for your own examples; {data} is a folder and "
                f"{path} names corpora",
                "give your examples as --data, and omit --config",
            )
        return read
    learning_from = getattr(read, "learning_from", None)
    if learning_from is None:
        raise InputError(f"{role} cannot be trained on your own examples", "give --config")
    update: dict[str, Any] = {
        "data": data,
        "init_checkpoint": _checkpoint_of(role, begin or DEFAULT),
    }
    if skip_bad is not None:
        update["skip_bad"] = skip_bad
    if keep_learnt:
        update["keep_learnt"] = True
    own = own or OwnConfig()
    update["labels"] = {**own.labels, **dict(map(_meaning, labels))}
    learning: Config = learning_from(own.model_copy(update=update))
    return learning


def _meaning(said: str) -> tuple[str, str]:
    name, equals, meant = said.rpartition("=")
    if not equals or not name.strip():
        raise InputError(
            f"--label {said!r} is not valid", "give NAME=EMOTION, or NAME= to leave a label out"
        )
    return name.strip(), meant.strip()


def _checkpoint_of(role: str, begin: str) -> Path | None:
    if begin == NOTHING:
        return None
    path = CHECKPOINTS / role if begin == DEFAULT else Path(begin)
    if not path.is_dir():
        raise InputError(
            f"there is no checkpoint in {path}",
            f"give --from {DEFAULT} in a clone of the repository, --from {NOTHING}, or a directory",
        )
    return path


def _configuration_of(role: str) -> Path:
    path = CONFIGS / role / "own.yaml"
    if not path.is_file():
        raise ConfigError(
            f"{path} is missing", "give --config, or run this in a clone of the repository"
        )
    return path
