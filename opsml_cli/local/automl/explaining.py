"""Explaining a trained model from outside: sampled Shapley values of its columns, and partial dependence.

A row's contributions come from walks: a row of the data becomes the explained row, column by column, in a drawn order,
and each column is credited with the step that the answer takes. The steps of a walk add up to the whole way, so base and
contributions add up to the answer exactly, whatever the number of walks (Strumbelj and Kononenko, 2014). The served model
itself is asked: an ensemble is explained as it answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

    from opsml_cli.local.automl.scoring import TabularModel

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]

_EVALUATIONS = 120_000  # answers asked for the importance of all columns; each of the explained rows may cost a third of it
_MOST_WALKS, _FEWEST_WALKS = 64, 2
_SAMPLE = 100  # rows that stand for the data in the importance
BACKGROUND = 200  # and in a partial dependence
_CHUNK_CELLS = 4_000_000
POINTS = 12


@dataclass(frozen=True, slots=True)
class Found:
    """Contributions (rows, columns, answers), the base (answers) they start from, and the rows' answers (rows, answers)."""

    contributions: Floats
    base: Floats
    answers: Floats


class Explainer:
    """One model and the data that it is seen against. `frame` holds the model's columns, the rows being such as it meets."""

    def __init__(self, model: TabularModel, frame: pd.DataFrame, seed: int) -> None:
        import numpy as np

        self._model = model
        self._draw = np.random.default_rng([seed, 15485863])
        self._frame = frame
        self._data = model.encode_frame(frame)
        self.columns = [str(column["name"]) for column in model.columns]
        self._slices = model.slices
        self._column_of = np.repeat(np.arange(len(self._slices)), [part.stop - part.start for part in self._slices])
        self._outputs = len(model.classes) if model.task == "classification" else 1

    def answers(self, matrix: Floats) -> Floats:
        """(rows, classes) probabilities, or (rows, 1) values."""
        if self._model.task == "classification":
            return self._model.probabilities(matrix)
        return self._model.values(matrix)[:, None]

    def contributions(self, matrix: Floats, budget: int = _EVALUATIONS // 3) -> Found:
        """Of encoded rows, each within `budget` answers."""
        import numpy as np

        count = len(self.columns)
        walks = int(min(_MOST_WALKS, max(_FEWEST_WALKS, budget // (2 * (count + 1)))))
        starts = self._data[self._draw.integers(0, len(self._data), walks)]
        # When each column turns from the start's value to the row's. Each walk is taken in the reverse order too: what a
        # column owes to its place in the order evens out.
        turns = np.argsort([self._draw.permutation(count) for _ in range(walks)], axis=1)
        starts, turns = np.concatenate([starts, starts]), np.concatenate([turns, count - 1 - turns])
        found = [self._walked(row, starts, turns) for row in matrix]
        return Found(np.array(found), self.answers(starts).mean(axis=0), self.answers(matrix))

    def _walked(self, row: Floats, starts: Floats, turns: Ints) -> Floats:
        """(columns, answers): the mean step of each column over all walks from `starts` to `row`."""
        import numpy as np

        count, width = turns.shape[1], len(row)
        total = np.zeros((count, self._outputs))
        chunk = max(1, _CHUNK_CELLS // ((count + 1) * width))
        for first in range(0, len(starts), chunk):
            begin, turn = starts[first : first + chunk], turns[first : first + chunk]
            turned = np.arange(count + 1)[None, :, None] > turn[:, None, self._column_of]
            points = np.where(turned, row, begin[:, None, :])
            answered = self.answers(points.reshape(-1, width)).reshape(len(turn), count + 1, -1)
            total += np.take_along_axis(np.diff(answered, axis=1), turn[:, :, None], axis=1).sum(axis=0)
        return total / len(starts)

    def importance(self, label: int | None) -> tuple[list[tuple[str, float]], int]:
        """(column, share) with the largest first, and on how many rows of the data; of class `label`, or of all answers."""
        import numpy as np

        rows = self._sampled(_SAMPLE)
        found = self.contributions(self._data[rows], _EVALUATIONS // len(rows)).contributions
        sizes = np.abs(found if label is None else found[:, :, [label]]).mean(axis=(0, 2))
        shares = sizes / (sizes.sum() or 1.0)
        order = sorted(range(len(self.columns)), key=lambda index: (-shares[index], self.columns[index]))
        return [(self.columns[index], float(shares[index])) for index in order], len(rows)

    def dependence(self, column: str, label: int, background: int = BACKGROUND) -> tuple[list[object], list[float]]:
        """Values of `column` that the data has, in order, and the mean answer of class `label` with each over `background`
        rows."""
        import numpy as np

        part = self._slices[self.columns.index(column)]
        rows = self._points(column, part)
        others = self._data[self._sampled(background)]
        means = []
        for row in rows:
            moved = others.copy()
            moved[:, part] = self._data[row, part]
            means.append(float(self.answers(np.ascontiguousarray(moved))[:, label].mean()))
        return [_plain(self._frame[column].iloc[row]) for row in rows], means

    def _points(self, column: str, part: slice) -> list[int]:
        """Rows of the data whose values of `column` show its range: quantiles of numbers and dates, the most frequent
        categories; none for free text, which has no range."""
        import numpy as np

        kind = next(each for each in self._model.document["columns"] if each["name"] == column)["kind"]
        if kind == "text":
            return []
        coded = self._data[:, part.start]
        present = np.flatnonzero(~np.isnan(coded))
        if not len(present):
            return []
        values, first, counts = np.unique(coded[present], return_index=True, return_counts=True)
        if len(values) <= POINTS:
            chosen = np.arange(len(values))
        elif kind == "category":
            chosen = np.sort(np.argsort(-counts, kind="stable")[:POINTS])
        else:
            cuts = np.quantile(coded[present], np.linspace(0.02, 0.98, POINTS), method="nearest")
            chosen = np.unique(np.searchsorted(values, cuts))
        return [int(present[first[index]]) for index in chosen]

    def _sampled(self, most: int) -> Ints:
        import numpy as np

        if len(self._data) <= most:
            return np.arange(len(self._data))
        return np.sort(self._draw.choice(len(self._data), most, replace=False))


def _plain(value: Any) -> object:
    """As JSON can hold it."""
    if hasattr(value, "isoformat"):
        return value.isoformat()
    return value.item() if hasattr(value, "item") else value
