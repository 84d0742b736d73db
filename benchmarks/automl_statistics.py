"""Losses, paired intervals and tests of `automl.py`. Everything is a loss: less is better."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

_REPEATS = 1000


def loss(kind: str, truth: np.ndarray, answers: np.ndarray) -> float:
    """binary: 1 - AUC; multiclass: log loss; regression: root mean squared error by the truth's deviation."""
    if kind == "regression":
        return float(np.sqrt(np.mean((truth - answers) ** 2)) / truth.std())
    if kind == "binary":
        return 1 - auc(truth == 1, answers[:, 1])
    chances = np.clip(answers / answers.sum(axis=1, keepdims=True), 1e-15, 1)
    return float(-np.log(chances[np.arange(len(truth)), truth]).mean())


def shown_metric(kind: str, value: float) -> float:
    """AUC as people read it; the other losses as they are."""
    return 1 - value if kind == "binary" else value


def auc(hits: np.ndarray, scores: np.ndarray, weights: np.ndarray | None = None) -> float:
    """Area under the ROC curve; `weights` are whole numbers of times that each row counts."""
    weights = np.ones(len(hits)) if weights is None else weights
    order = np.argsort(scores, kind="stable")
    ranked, positive, times = scores[order], hits[order] * weights[order], weights[order]
    ends = np.append(np.flatnonzero(ranked[1:] != ranked[:-1]), len(ranked) - 1)
    found, seen = np.cumsum(positive)[ends], np.cumsum(times)[ends]
    hit, miss = np.diff(found, prepend=0), np.diff(seen - found, prepend=0)
    below = np.cumsum(miss) - miss
    total = found[-1] * (seen[-1] - found[-1])
    return float(((below + miss / 2) * hit).sum() / total)


def bootstrap(
    truths: Sequence[np.ndarray], ours: Sequence[np.ndarray], theirs: Sequence[np.ndarray], groups: Sequence[np.ndarray]
) -> tuple[float, float, float]:
    """(difference of AUC, low, high): the mean over the seeds, with identical rows drawn together."""
    draw = np.random.default_rng(7)

    def gap(weights: Sequence[np.ndarray | None]) -> float:
        return float(
            np.mean(
                [
                    auc(truth == 1, a[:, 1], weight) - auc(truth == 1, b[:, 1], weight)
                    for truth, a, b, weight in zip(truths, ours, theirs, weights, strict=True)
                ]
            )
        )

    found = []
    for _ in range(_REPEATS):
        weights = []
        for each in groups:
            count = int(each.max()) + 1
            weights.append(np.bincount(draw.integers(0, count, count), minlength=count)[each].astype(float))
        found.append(gap(weights))
    low, high = np.quantile(found, [0.025, 0.975])
    return gap([None] * len(truths)), float(low), float(high)


def corrected(difference: np.ndarray, ratio: float) -> float:
    """The two-sided p of a paired t-test over splits; `ratio` is unseen rows to rows learned from."""
    from scipy import stats

    count, spread = len(difference), difference.std(ddof=1)
    if spread == 0:
        return 1.0 if difference.mean() == 0 else 0.0
    statistic = difference.mean() / (spread * np.sqrt(1 / count + ratio))
    return float(2 * stats.t.sf(abs(statistic), count - 1))


def ranks(losses: Mapping[str, Mapping[str, Sequence[float]]], engines: Sequence[str]) -> dict[str, float]:
    """The mean rank of each engine over data sets and splits; ties share."""
    from scipy import stats

    paired = [values for each in losses.values() for values in zip(*(each[engine] for engine in engines), strict=True)]
    found = [stats.rankdata(values) for values in paired]
    return dict(zip(engines, np.mean(found, axis=0).tolist(), strict=True))
