"""The columns of scored rows: what is kept of the input, what was predicted, and the probabilities."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Self

from opsml_cli.domain.errors import ContractError, UsageError
from opsml_cli.domain.scoring import ScoredRows, shown_answer

PREDICTION = "prediction"


class PredictionColumns:
    """The columns of an output, as its first batch shows them. Results that are all objects have a column for each name:
    `low`, or `prediction.low` where a kept column is named `low`."""

    def __init__(self, kept: Sequence[str], results: Mapping[str, str] | None, shares: Sequence[str], *, open_columns: bool):
        self._kept, self._results, self._shares = tuple(kept), None if results is None else dict(results), tuple(shares)
        self._open = open_columns

    @classmethod
    def of(cls, part: ScoredRows, kept: Sequence[str], classes: Sequence[object], *, open_columns: bool = False) -> Self:
        """UsageError when a kept column has a name of the output."""
        shares = [f"probability_{label}" for label in classes]
        results: dict[str, str] | None = None
        found = part.predictions
        if found and all(isinstance(each, dict) and each for each in found):
            names = dict.fromkeys(str(name) for each in found if isinstance(each, dict) for name in each)
            taken = {*kept, *shares}
            results = {name: _free(name, taken) for name in names}
        added = [*((PREDICTION,) if results is None else ()), *shares]
        collides = next((name for name in kept if name in added), None)
        if collides is not None:
            raise UsageError(
                f"the input has a column {collides!r} itself, as the output has",
                fix="name the columns to keep without it: --keep COLUMN,COLUMN",
            )
        return cls(kept, results, shares, open_columns=open_columns)

    @property
    def names(self) -> tuple[str, ...]:
        predicted = (PREDICTION,) if self._results is None else tuple(self._results.values())
        return (*self._kept, *predicted, *self._shares)

    def records(self, part: ScoredRows) -> list[dict[str, object]]:
        """The rows of a batch, each with every column."""
        made: list[dict[str, object]] = []
        for index, prediction in enumerate(part.predictions):
            record: dict[str, object] = dict(part.kept[index]) if part.kept else {}
            record |= self._predicted(prediction, part.first + index)
            if part.probabilities:
                record |= zip(self._shares, part.probabilities[index], strict=True)
            made.append(record)
        return made

    def _predicted(self, prediction: object, row: int) -> dict[str, object]:
        if self._results is None:
            return {PREDICTION: prediction}
        if not isinstance(prediction, dict):
            raise self._differs(f"is {shown_answer(prediction)}, and the rows before it have objects", row)
        for name in prediction:
            if name not in self._results:
                if not self._open:
                    raise self._differs(f"has a column {name!r} that the rows before it do not have", row)
                self._results[name] = _free(name, {*self._kept, *self._shares, *self._results.values()})
        return {column: prediction.get(name) for name, column in self._results.items()}

    def _differs(self, how: str, row: int) -> ContractError:
        return ContractError(
            f"the result of row {row} of the input, counted from 0, {how}",
            fix="write the results as they come: -o jsonl takes columns that appear later" if not self._open else None,
        )


def _free(name: str, taken: set[str]) -> str:
    """The name itself, or with as many prefixes as make it free."""
    while name in taken:
        name = f"{PREDICTION}.{name}"
    taken.add(name)
    return name
