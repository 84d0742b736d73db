"""A training problem in numbers: the encoded matrix, the target, the folds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from opsml_cli.domain.job import Task

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from opsml_cli.local.automl.encode import Feature

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Fold:
    """Row positions: the ones to learn from, and the ones to be scored."""

    train: Ints
    valid: Ints


@dataclass(frozen=True, slots=True)
class Problem:
    """`matrix` float64 (n, width); `target` (n,) class indices or values; `weights` (n,) or None; `outputs` is the number of
    classes, 1 for regression; `span` the target's range; `positive` the positive class of a binary task."""

    task: Task
    metric: str
    matrix: Floats
    target: NDArray[np.generic]
    weights: Floats | None
    features: Sequence[Feature]
    outputs: int
    span: float
    positive: int | None
    folds: tuple[Fold, ...]
    seed: int

    @property
    def binary(self) -> bool:
        return self.outputs == 2

    @property
    def absolute(self) -> bool:
        """Whether a regression is judged by its absolute errors, which trees of constant leaves alone can learn."""
        return self.task is Task.REGRESSION and "absolute" in self.metric

    @property
    def skewed(self) -> bool:
        """Whether a regression's values are not negative and spread over ratios rather than differences."""
        import numpy as np

        if self.task is not Task.REGRESSION or self.absolute:
            return False
        values = self.target.astype(np.float64)
        spread = values.std()
        return bool(values.min() >= 0 and spread > 0 and (((values - values.mean()) / spread) ** 3).mean() > 1.0)

    @property
    def scored(self) -> Ints:
        """The rows that some fold scores, in order."""
        import numpy as np

        return np.unique(np.concatenate([fold.valid for fold in self.folds]))
