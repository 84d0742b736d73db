"""Why a model answers as it does: on the whole, and for single rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from opsml_cli.domain.report import ColumnShare, Dependence

if TYPE_CHECKING:
    from opsml_cli.domain.endpoint import Row
    from opsml_cli.domain.job import TableSource
    from opsml_cli.domain.names import AssetRef


@dataclass(frozen=True, slots=True)
class ExplainModel:
    """What to explain. `rows`: single rows, beside the model as a whole. `data`: rows such as the model meets (None: those it
    was trained on). `label`: the class whose probability is explained (None: the positive one of two; of more, each row's own
    prediction). `top` columns get a partial dependence. Reproducible by `seed`."""

    model: AssetRef
    rows: Sequence[Row] = ()
    data: TableSource | None = None
    label: str | None = None
    top: int = 5
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Contribution:
    """What one column's `value` adds to a row's answer, in the answer's own unit (a probability, or the target's)."""

    column: str
    value: object
    contribution: float


@dataclass(frozen=True, slots=True)
class RowExplanation:
    """`answer` is `base` (what the model answers on average over the data) plus the sum of all contributions; the largest come
    first. `label` is the class whose probability `answer` is, None for regression."""

    prediction: object
    label: object | None
    base: float
    answer: float
    contributions: tuple[Contribution, ...]


@dataclass(frozen=True, slots=True)
class Explanation:
    """`importance`: each column's share of the answers' movement (mean absolute contributions over `data_rows` rows), largest
    first. `label` as in the question, None for regression or where each row's own prediction was explained."""

    model: str
    task: str
    label: object | None
    data_rows: int
    importance: tuple[ColumnShare, ...]
    dependence: tuple[Dependence, ...]
    rows: tuple[RowExplanation, ...]
