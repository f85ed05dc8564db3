"""What INT8 costs each role, with the 95 % interval: the gate's comparison, and what it depends on.

    mera-edge export --out full
    python benchmarks/int8_loss.py full BUNDLE DATA [ROLE...]

Both bundles answer the dev examples of the gate. The intervals draw these again, for both bundles
together: people where there are ten or more, else single examples. Prints a Markdown table.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mera_calibration.calibration_set import Sample
from mera_calibration.precision_trial import sample
from mera_calibration.quality_gate import predictions, score
from mera_calibration.request import PrecisionRequest
from mera_edge.bundle import Bundle, RoleName
from mera_edge.evaluation.role_evaluators import ROLE_EVALUATORS, Output, Prediction
from mera_edge.metrics.confusion import LEAST_GROUPS, draws, paired_interval
from mera_edge.metrics.word_error_rate import distance, normalized, tokens
from mera_export.datasets import Corpora


def main() -> None:
    full, small = (Bundle.open(Path(given)) for given in sys.argv[1:3])
    print("| role | n | groups | metric | FP32 | INT8 | loss, points | 95 % interval |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    for role in [role for role in ROLE_EVALUATORS if role in (sys.argv[4:] or ROLE_EVALUATORS)]:
        compare(full, small, role, Path(sys.argv[3]))


def compare(full: Bundle, small: Bundle, role: RoleName, data: Path) -> None:
    """Print a line."""
    evaluator, seed = ROLE_EVALUATORS[role], 0
    dev = sample(Corpora(data)(role, full).dev, PrecisionRequest.dev, seed)
    truth, labels = [each.example.label for each in dev], list(evaluator.labels(full))
    answers = [predictions(evaluator, bundle, dev) for bundle in (full, small)]
    before, after = (score(evaluator, truth, found, labels).metric for found in answers)
    groups = groups_of(dev)
    if evaluator.classifies:
        counted = cells(truth, answers, labels, groups)
        low, high = paired_interval(counted, evaluator.metric)
    else:
        low, high = words_interval(truth, answers, groups)
    print(
        f"| {role} | {len(dev)} | {groups.max() + 1} | {evaluator.metric} | {before:.3f} "
        f"| {after:.3f} | {100 * (before - after):.2f} | {100 * low:.2f} to {100 * high:.2f} |",
        flush=True,
    )


def groups_of(dev: Sequence[Sample]) -> NDArray[np.int64]:
    """Return the number of the person of each example, or its own if there are too few people."""
    people, numbers = np.unique([each.example.group for each in dev], return_inverse=True)
    return numbers if len(people) >= LEAST_GROUPS else np.arange(len(dev))


def cells(
    truth: Sequence[str],
    answers: Sequence[Sequence[Output]],
    labels: list[str],
    groups: NDArray[np.int64],
) -> NDArray[np.float64]:
    """Return ``[2, G, C, C + 1]``: see `paired_interval`."""
    found = np.zeros((2, groups.max() + 1, len(labels), len(labels) + 1))
    for which, each in enumerate(answers):
        for group, label, answer in zip(groups, truth, each, strict=True):
            said = isinstance(answer, Prediction)
            column = int(answer.probabilities.argmax()) if said else len(labels)
            found[which, group, labels.index(label), column] += 1
    return found


def words_interval(
    truth: Sequence[str], answers: Sequence[Sequence[Output]], groups: NDArray[np.int64]
) -> tuple[float, float]:
    """Return the interval of how many more words are wrong in the second answers."""
    counted = np.zeros((3, groups.max() + 1))
    for n, (group, said) in enumerate(zip(groups, truth, strict=True)):
        wanted = tokens(normalized(said))
        heard = [tokens(normalized(str(each[n] or ""))) for each in answers]
        counted[:, group] += [*(distance(wanted, words) for words in heard), len(wanted)]
    before, after, words = counted @ draws(counted.shape[1]).T
    low, high = np.percentile((after - before) / words, (2.5, 97.5))
    return float(low), float(high)


if __name__ == "__main__":
    main()
