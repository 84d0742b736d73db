"""Scoring a table of any length, batch by batch: what is asked, and what comes out."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, Self

from opsml_cli.domain.errors import ContractError

if TYPE_CHECKING:
    from opsml_cli.domain.endpoint import Row

BATCH_ROWS = 1000
PARALLEL = 4
_SHOWN = 200  # characters of an answer in a message


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
    is empty; `raw` holds the replies as they came. `whole` is 0 for one prediction a row; otherwise the number of rows, and
    the predictions are one for each request, which answers all of its rows."""

    first: int
    predictions: Sequence[object]
    probabilities: Sequence[Sequence[float]] = ()
    raw: Sequence[bytes] = ()
    kept: Sequence[Row] = ()
    whole: int = 0

    @property
    def count(self) -> int:
        return self.whole or len(self.predictions)


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


def not_by_row(answer: object, rows: int, who: str = "the model") -> ContractError:
    """Why rows of output cannot be made of one answer for all rows of a request."""
    return ContractError(
        f"{who} gives one answer for {'the row' if rows == 1 else f'all {rows} rows'} of a request, "
        f"not one a row: {shown_answer(answer)}",
        fix="leave out what needs rows (--out, --keep, --proba, -o jsonl, -o tsv): the answer is printed then",
    )


def shown_answer(answer: object) -> str:
    """An answer of a model as JSON text for a message, shortened."""
    text = json.dumps(answer, ensure_ascii=False, default=str)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"


def naming_row(message: str, number: int) -> str:
    """A refusal whose row is the one of the whole input: a server counts from the start of its request."""
    place = f"row {number} of the input (counted from 0)"
    named, found = re.subn(r"\brow \d[\d,]*\b(?: \(counted from 0\))?", place, message, count=1)
    return named if found else f"{place}: {message}"
