"""What a table's size asks of the search where the time is short: one validation part for five folds, and larger steps."""

from __future__ import annotations

from typing import TYPE_CHECKING

from opsml_cli.local.automl import boosting

if TYPE_CHECKING:
    from opsml_cli.local.automl.problem import Problem

_NANOSECONDS = 5.0  # for a row, a column and a tree of about 31 leaves, on one core (measured: 5 to 8)
_COLUMNS = 4  # as many more columns a row costs, however few it has
_ROUNDS = 250
_FEWEST_ROWS = 20_000  # with fewer, a part of them says too little
_FOLDS_SHARE = 0.15  # of the time: more than this is too much for the first trial on five folds, ...
_STEP_SHARE = 0.2, 0.05  # ... and this for a trial with the usual steps, on folds and on a single part
_LARGEST_STEPS = 4.0
_VALIDATION_ROWS = 50_000
_VALIDATION_SHARE = 0.2


def validation_share(rows: int, width: int, outputs: int, seconds: float) -> float | None:
    """The share of the rows that alone is scored, where five folds would leave no time for a second trial; else None."""
    if rows < _FEWEST_ROWS or 4 * _booster_seconds(rows, width, outputs) <= _FOLDS_SHARE * seconds:
        return None
    return min(_VALIDATION_SHARE, _VALIDATION_ROWS / rows)


def steps(problem: Problem, seconds: float) -> float:
    """What the usual learning rates are to be multiplied with, from 1."""
    rows = sum(len(fold.train) for fold in problem.folds)
    needed = _booster_seconds(rows, problem.matrix.shape[1], problem.outputs)
    return min(_LARGEST_STEPS, max(1.0, needed / (_STEP_SHARE[len(problem.folds) == 1] * seconds)))


def _booster_seconds(rows: int, width: int, outputs: int) -> float:
    trees = outputs if outputs > 2 else 1
    return rows * (width + _COLUMNS) * trees * _ROUNDS * _NANOSECONDS * 1e-9 / boosting.cores()
