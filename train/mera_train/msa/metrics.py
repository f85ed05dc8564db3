"""Metrics of multimodal sentiment analysis, with explicit bins.

The bins are those of MMSA's tables, for comparability. Truth is always the first argument: weighted
F1 weighs a class by its *true* frequency, and with swapped arguments (a bug that was in published
code for years) F1 rises as predictions get worse.
"""

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mera_edge.errors import InputError

Scale = Literal["sims", "mosi"]
SIMS_THREE = (-0.1, 0.1)
SIMS_FIVE = (-0.7, -0.1, 0.1, 0.7)


def regression(truth: ArrayLike, predicted: ArrayLike, scale: Scale) -> dict[str, float]:
    """Return the metrics of continuous sentiment.

    Args:
        truth, predicted: [N], in [-1, 1] for `sims` (also simsv2), in [-3, 3] for `mosi` (also
            mosei). Labels divided by 3 must be multiplied by 3 again, or the rounded bins are
            wrong.
        scale: `sims`: clipped to [-1, 1]; two bins [-1, 0], (0, 1], so neutral counts as negative;
            three and five bins closed on the right at +-0.1 and +-0.7.
            `mosi`: `has0` bins [-3, 0), [0, 3]; `non0` drops samples whose truth is 0 and takes
            (0, 3] as positive; five and seven bins are whole numbers after clipping to +-2, +-3.

    Returns:
        Fractions, except `mae` (in the label's unit) and `correlation` (Pearson; 0 if either side
        is constant). The `non0` metrics are absent if every true value is 0.

    Raises:
        InputError: the lengths differ, there are no samples, or a value is not finite.
    """
    true, guess = _checked(truth, "truth"), _checked(predicted, "predicted")
    if true.shape != guess.shape:
        raise InputError(
            f"{true.size} true values but {guess.size} predictions",
            remedy="give one prediction for each sample",
        )
    if scale == "sims":
        true, guess = np.clip(true, -1, 1), np.clip(guess, -1, 1)
        figures = _binary(true > 0, guess > 0, "")
        for name, edges in (("accuracy_3", SIMS_THREE), ("accuracy_5", SIMS_FIVE)):
            bins = [np.searchsorted(edges, side) for side in (true, guess)]
            figures[name] = float(np.mean(bins[0] == bins[1]))
    else:
        figures = _binary(true >= 0, guess >= 0, "_has0")
        kept = true != 0
        if kept.any():
            figures |= _binary(true[kept] > 0, guess[kept] > 0, "_non0")
        for name, limit in (("accuracy_5", 2), ("accuracy_7", 3)):
            rounded = [np.round(np.clip(side, -limit, limit)) for side in (true, guess)]
            figures[name] = float(np.mean(rounded[0] == rounded[1]))
    figures["mae"] = float(np.abs(true - guess).mean())
    figures["correlation"] = _correlation(true, guess)
    return figures


def _checked(values: ArrayLike, name: str) -> NDArray[np.float64]:
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 1 or array.size == 0 or not np.isfinite(array).all():
        raise InputError(
            f"{name} of shape {array.shape} is not a list of finite values",
            remedy="drop samples without a label, and give [N] with N > 0",
        )
    return array


def _binary(true: NDArray[np.bool_], guess: NDArray[np.bool_], suffix: str) -> dict[str, float]:
    f1 = 0.0
    for side in (False, True):
        both = np.sum((true == side) & (guess == side))
        either = np.sum(true == side) + np.sum(guess == side)
        f1 += float(np.mean(true == side)) * (float(2 * both / either) if either else 0.0)
    return {f"accuracy_2{suffix}": float(np.mean(true == guess)), f"weighted_f1{suffix}": f1}


def _correlation(true: NDArray[np.float64], guess: NDArray[np.float64]) -> float:
    if np.ptp(true) == 0 or np.ptp(guess) == 0:
        return 0.0
    return float(np.nan_to_num(np.corrcoef(true, guess)[0, 1]))
