"""Columns whose kind, or whose filling of missing values, the job has told."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from opsml_cli.domain.errors import InvalidInputError, UsageError
from opsml_cli.domain.featurization import Imputer
from opsml_cli.local.automl import scoring, texts
from opsml_cli.local.automl.columns import Found, category_column, datetime_column, number_column

if TYPE_CHECKING:
    import pandas as pd

_WHERE = "featurization.column_name_and_types"


def column(series: pd.Series[Any], kind: str) -> Found:
    """The column read as `kind` (number | category | datetime | text | ignore). InvalidInputError for dates that are none;
    what is no number counts as missing."""
    name = str(series.name)
    if kind == "ignore":
        return None, f"{_WHERE} says so", None
    present = [value for value in series.tolist() if not scoring.is_missing(value)]
    if not present:
        return None, "it has no value", None
    if kind == "number":
        return _numbers(series)
    if kind == "datetime":
        return _dates(name, present)
    try:
        words = [scoring.category_text(value) for value in present]
    except scoring.UnfitError:
        raise InvalidInputError(
            f"the column {name!r} holds lists or mappings, not single values", fix=f"{_WHERE}: {name}: Ignore"
        ) from None
    if kind == "text":
        return texts.document(name, words, words[0]), "", None
    counts: dict[str, int] = {}
    for word in words:
        counts[word] = counts.get(word, 0) + 1
    return category_column(name, counts, len(series))


def _numbers(series: pd.Series[Any]) -> Found:
    import pandas as pd

    odd: list[str] = []

    def read(value: object) -> float:
        try:
            return scoring.number_of(value)
        except scoring.UnfitError:
            odd.append(str(value).strip())
            return scoring.MISSING

    values = pd.Series([read(value) for value in series.tolist()], name=series.name, dtype="float64")
    document, reason, _ = number_column(values, None, sorted(set(odd)))
    note = ("Mistyped columns", f"{series.name!r} was told to be numbers: {len(odd)} values are none, taken as missing")
    return document, reason, note if odd else None


def _dates(name: str, present: list[object]) -> Found:
    for value in present:
        try:
            scoring.moment_of(value)
        except scoring.UnfitError as error:
            raise InvalidInputError(
                f"the column {name!r} was told to hold dates, and holds {str(value)[:40]!r}",
                cause=f"expected {error.expected}",
                fix=f"correct {_WHERE}, or the data",
            ) from None
    return datetime_column(name, present[0]), "", None


def filled(document: dict[str, Any], series: pd.Series[Any], imputer: Imputer) -> dict[str, Any]:
    """The document with what missing values count as. UsageError for a strategy that this kind of column does not have."""
    import numpy as np

    name, kind = str(series.name), document["kind"]
    if kind not in ("number", "category", "boolean") or (kind != "number" and imputer.strategy in ("mean", "median")):
        raise UsageError(
            f"the column {name!r} ({kind}) cannot be filled by {imputer.strategy}",
            fix="most_frequent or constant" if kind in ("category", "boolean") else "leave it out of the imputers",
        )
    coded = scoring.Encoder([document]).frame(series.to_frame().rename(columns=str))[:, 0]
    present = coded[~np.isnan(coded)]
    if imputer.strategy == "constant":
        try:
            value = float(scoring.Encoder([document]).rows([{name: imputer.value}])[0, 0])
        except scoring.ColumnError as error:
            raise UsageError(f"the imputer's fill_value {imputer.value!r} does not fit {name!r}", cause=str(error)) from error
    elif not len(present):
        return document
    elif imputer.strategy == "most_frequent":
        values, counts = np.unique(present, return_counts=True)
        value = float(values[counts.argmax()])
    else:
        value = float(present.mean() if imputer.strategy == "mean" else np.median(present))
    return {**document, "fill": value}
