"""What training on one's own examples is told, whatever the role."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from mera_edge.errors import InputError

_MISSING = ("no examples are given", "give --data: a table, or one folder per label")


class OwnConfig(BaseModel):
    """One's own examples; in a configuration under ``own``."""

    model_config = ConfigDict(extra="forbid")

    data: Path | None = Field(None, description="the examples: --data")
    init_checkpoint: Path | None = Field(None, description="checkpoint to begin with: --from")
    labels: dict[str, str] = Field({}, description="what unknown labels mean: --label")
    skip_bad: int = Field(0, ge=0, description="rows that may be left out: --skip-bad")
    held_out: tuple[float, float] = Field(
        (0.15, 0.25), description="shares for valid and test, where the examples name no splits"
    )
    class_balance: float = Field(
        0.5, ge=0, le=1, description="0: labels as frequent as in the data; 1: all the same"
    )
    keep_learnt: bool = Field(
        False, description="keep what was learnt, better or not: --keep-learnt"
    )

    @property
    def source(self) -> Path:
        """Where the examples are.

        Raises:
            InputError: it is not stated.
        """
        if self.data is None:
            raise InputError(*_MISSING)
        return self.data


def required(own: OwnConfig | None) -> OwnConfig:
    """Return ``own``, which a configuration for corpora is without.

    Raises:
        InputError: it is without.
    """
    if own is None:
        raise InputError(*_MISSING)
    return own
