"""Scoring a table of any length, batch by batch: what is asked, and what comes out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, Self

if TYPE_CHECKING:
    from opsml_cli.domain.endpoint import Row

BATCH_ROWS = 1000
PARALLEL = 4


@dataclass(frozen=True, slots=True)
class ScorePlan:
    """`batch_rows`: rows in a request at most. `parallel`: requests that are under way at a time at most. `deployment`
    None: the one that answers the first request answers all. `proba`: probabilities too (classification)."""

    deployment: str | None = None
    proba: bool = False
    batch_rows: int = BATCH_ROWS
    parallel: int = PARALLEL


@dataclass(frozen=True, slots=True)
class RowBatch:
    """Consecutive rows of a table. `rows` are JSON values by column; `kept` the columns that go into the output, a mapping
    a row, or nothing."""

    rows: Sequence[Row]
    kept: Sequence[Row] = ()


@dataclass(frozen=True, slots=True)
class ScoredRows:
    """What became of a batch. `first` is the number of its first row, counted from 0; `probabilities` has a list a row, or
    is empty; `raw` holds the replies as they came."""

    first: int
    predictions: Sequence[object]
    probabilities: Sequence[Sequence[float]] = ()
    raw: Sequence[bytes] = ()
    kept: Sequence[Row] = ()


class RowTable(Protocol):
    """A table that is read once, in batches. `rows` is the number of rows where the file tells it without being read."""

    columns: tuple[str, ...]
    rows: int | None

    def batches(self, size: int, keep: Sequence[str]) -> Iterator[RowBatch]:
        """Every row, `size` a batch at most, with the columns `keep` beside them."""
        ...


class RowScorer(Protocol):
    """A deployment or a model, ready to score. A context manager: leaving it ends whatever is under way.

    `types` are the column types (integer, number, boolean, string, datetime) that it wants, where it says them; `classes`
    the labels in the order of probabilities, known once a batch came back; `retried` counts requests that were sent again."""

    @property
    def types(self) -> Mapping[str, str]: ...
    @property
    def deployment(self) -> str | None: ...
    @property
    def classes(self) -> Sequence[object]: ...
    @property
    def retried(self) -> int: ...

    def __enter__(self) -> Self: ...
    def __exit__(self, *_: object) -> None: ...

    def score(self, batches: Iterable[Sequence[Row]]) -> Iterator[ScoredRows]:
        """The results of every batch, in order. A bounded number of batches is held at a time. Errors name rows by their
        number in the whole input, counted from 0."""
        ...


@dataclass(frozen=True, slots=True)
class ScoredFile:
    """Predictions that were written to `path`."""

    path: str
    rows: int
    deployment: str | None
    latency_ms: float
    retried: int = 0
