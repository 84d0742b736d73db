"""Two trained models on the same rows: a paired bootstrap in which identical rows are drawn together."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from opsml_cli.domain import metric_names
from opsml_cli.domain.errors import InvalidInputError
from opsml_cli.domain.fields import did_you_mean
from opsml_cli.domain.job import Task
from opsml_cli.domain.metric_names import higher_is_better
from opsml_cli.local.automl import evaluation, metrics, scoring

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    _Both = tuple[tuple[scoring.TabularModel, pd.DataFrame], tuple[scoring.TabularModel, pd.DataFrame]]

_FEWEST_ROWS = 10
_MOST_CELLS = 20_000_000  # rows times resamples


@dataclass(frozen=True, slots=True)
class Found:
    """`a` and `b` are every metric of either model; `difference` and `interval` are of `metric`, a minus b."""

    metric: str
    rows: int
    distinct: int
    difference: float
    interval: tuple[float, float]
    verdict: str
    a: dict[str, float]
    b: dict[str, float]


@dataclass(frozen=True, slots=True)
class _Answers:
    """A model's answers to all rows, to be measured on some of them. `chosen` is None for regression."""

    truth: NDArray[np.generic]
    answer: Floats
    chosen: NDArray[np.int64] | None
    positive: int | None
    span: float

    def every(self, rows: NDArray[np.int64]) -> dict[str, float]:
        import numpy as np

        truth, answer = self.truth[rows], self.answer[rows]
        if self.chosen is None:
            return metrics.regression(truth.astype(np.float64), answer[:, 0], self.span)
        return metrics.classification(truth.astype(np.int64), answer, self.chosen[rows], self.positive)

    def quick(self, metric: str, rows: NDArray[np.int64]) -> float:
        """The metric alone, where the short way knows it and no threshold matters."""
        loss = metrics.one(metric, self.truth[rows], self.answer[rows], self.span, self.positive)
        return 1 - loss if higher_is_better(metric) else loss


def compare(
    a: scoring.TabularModel,
    b: scoring.TabularModel,
    frames: tuple[pd.DataFrame, pd.DataFrame],
    *,
    target: str,
    metric: str | None,
    seed: int,
) -> Found:
    """`frames` are the same rows, read as `a` and as `b` take them. Rows without a target are left out. InvalidInputError
    when the models or rows do not fit together."""
    import numpy as np

    if a.task != b.task:
        raise InvalidInputError(f"the models do not answer the same question: {a.task} and {b.task}")
    wanted = metric_names.resolve(metric, Task(a.task))
    frame = frames[0]
    if target not in frame.columns:
        raise InvalidInputError(
            f"the data has no column {target!r}",
            cause=did_you_mean(target, [str(column) for column in frame.columns]),
            fix="--target-column COLUMN",
        )
    present = ~np.array([scoring.is_missing(value) for value in frame[target].tolist()], dtype=bool)
    frame, other = (each[present].reset_index(drop=True) for each in frames)
    if len(frame) < _FEWEST_ROWS:
        raise InvalidInputError(f"{len(frame)} rows with a target are too few to compare; at least {_FEWEST_ROWS} are needed")
    both = ((a, frame), (b, other))
    measures = _regression(both, target) if a.task == "regression" else _classification(both, target)
    everything = np.arange(len(frame))
    whole = [measure.every(everything) for measure in measures]
    for found in whole:
        if wanted not in found:
            raise InvalidInputError(f"{wanted} is not defined on these rows", fix="--metric with another one")
    difference = whole[0][wanted] - whole[1][wanted]
    columns = {str(column["name"]) for model in (a, b) for column in model.columns} | {target}
    groups = _identical(frame[sorted(columns)])
    interval = _interval(measures, wanted, groups, seed)
    sign = 1.0 if higher_is_better(wanted) else -1.0
    low, high = sorted(sign * bound for bound in interval)
    verdict = "better" if low > 0 else "worse" if high < 0 else "tie"
    return Found(wanted, len(frame), int(groups.max()) + 1, difference, interval, verdict, whole[0], whole[1])


def _encoded(model: scoring.TabularModel, frame: pd.DataFrame) -> Floats:
    try:
        return model.encode_frame(frame)
    except scoring.ColumnError as error:
        raise InvalidInputError(str(error), fix="give rows with the columns that both models were trained on") from error


def _regression(both: _Both, target: str) -> list[_Answers]:
    import numpy as np

    frame = both[0][1]
    try:
        truth = np.array([scoring.number_of(value) for value in frame[target].tolist()], dtype=np.float64)
    except scoring.UnfitError as error:
        raise InvalidInputError(f"the target column {target!r} holds what is no number") from error
    if not np.isfinite(truth).all():
        raise InvalidInputError(f"the target column {target!r} holds infinite values")
    span = float(truth.max() - truth.min())

    return [_Answers(truth, model.values(_encoded(model, rows))[:, None], None, None, span) for model, rows in both]


def _classification(both: _Both, target: str) -> list[_Answers]:
    import numpy as np

    (a, frame), (b, _) = both
    names = [scoring.category_text(label) for label in a.classes]
    others = [scoring.category_text(label) for label in b.classes]
    if sorted(names) != sorted(others):
        raise InvalidInputError(
            "the models do not know the same classes", cause=f"{', '.join(names[:5])} and {', '.join(others[:5])}"
        )
    places = {name: index for index, name in enumerate(names)}
    labels = [scoring.category_text(value) for value in frame[target].tolist()]
    unknown = next((label for label in labels if label not in places), None)
    if unknown is not None:
        raise InvalidInputError(
            f"the target column {target!r} holds {unknown!r}, a class that the models do not know",
            cause=f"they know {', '.join(names[:10])}",
        )
    truth = np.array([places[label] for label in labels], dtype=np.int64)
    positive = a.positive_index

    measured = []
    for (model, rows), order in zip(both, (names, others), strict=True):
        answer = model.probabilities(_encoded(model, rows))[:, [order.index(name) for name in names]]
        chosen = evaluation.labels(answer, model.threshold, positive)
        measured.append(_Answers(truth, answer, chosen, positive, 0.0))
    return measured


def _identical(frame: pd.DataFrame) -> NDArray[np.int64]:
    """The number of each row's group of identical rows, from 0."""
    import numpy as np
    import pandas as pd

    hashes = pd.util.hash_pandas_object(frame.astype("string"), index=False).to_numpy()
    return np.unique(hashes, return_inverse=True)[1].astype(np.int64)


def _interval(measures: list[_Answers], metric: str, groups: NDArray[np.int64], seed: int) -> tuple[float, float]:
    import numpy as np

    count = int(groups.max()) + 1
    repeats = int(max(100, min(800, _MOST_CELLS / len(groups) / 4)))
    draw = np.random.default_rng([seed, 49979687])
    everything = np.arange(len(groups))
    # The short way is taken where it says the same: not for metrics of labels that a threshold chose.
    quick = all(math.isclose(each.quick(metric, everything), each.every(everything)[metric], rel_tol=1e-9) for each in measures)
    found = []
    for _ in range(repeats):
        times = np.bincount(draw.integers(0, count, count), minlength=count)
        rows = np.repeat(np.arange(len(groups)), times[groups])
        values = [each.quick(metric, rows) if quick else each.every(rows).get(metric, math.nan) for each in measures]
        if math.isfinite(values[0] - values[1]):
            found.append(values[0] - values[1])
    if len(found) < repeats // 2:
        raise InvalidInputError("these rows are too few, or of too few classes, for an interval", fix="give more rows")
    low, high = np.quantile(found, [0.025, 0.975])
    return float(low), float(high)
