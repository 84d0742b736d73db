"""From a table to numbers: which columns become features, of what kind, with which codes. Uses the target of no row."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from opsml_cli.domain.data import ColumnType
from opsml_cli.domain.featurization import Featurization
from opsml_cli.local.automl import scoring, told_columns
from opsml_cli.local.automl import texts as free_text
from opsml_cli.local.automl.columns import Found, boolean_column, category_column, datetime_column, number_column

if TYPE_CHECKING:
    import pandas as pd

    from opsml_cli.domain.data import DataProfile

_NUMERIC_SHARE = 0.95
_FEW_TOKENS = 5
_UNTOLD = Featurization()


@dataclass(frozen=True, slots=True)
class Feature:
    """One column of the encoded matrix. `codes` is the number of category codes, 0 for a number; `learned`: it was made with
    the target, so that equal values differ between the folds."""

    name: str
    column: str
    codes: int = 0
    learned: bool = False


@dataclass(frozen=True, slots=True)
class Encoding:
    """The columns that a model reads (documents as scoring.Encoder takes them), and those it does not, with the reason."""

    columns: tuple[dict[str, Any], ...]
    dropped: Mapping[str, str]
    notes: tuple[tuple[str, str], ...] = ()  # (check, what was done)

    @property
    def features(self) -> tuple[Feature, ...]:
        found: list[Feature] = []
        for column in self.columns:
            name = str(column["name"])
            if column["kind"] == "datetime":
                found += [Feature(f"{name}.{part}", name) for part in scoring.DATE_PARTS]
            elif column["kind"] == "text":
                free = column["size"] - column["learned"]
                found += [Feature(f"{name}.{part}", name) for part in range(free)]
                found += _learned(name, column["learned"])
                found += [Feature(f"{name}.{part}", name) for part in ("words", "characters")]
            elif column["kind"] == "category":
                found.append(Feature(name, name, len(column["codes"]) + (column.get("other") is not None)))
                found += _learned(name, len(column.get("means", ())))
            else:
                found.append(Feature(name, name))
                found += _learned(name, len(column.get("means", ())))
        return tuple(found)


def _learned(name: str, count: int) -> list[Feature]:
    return [Feature(f"{name}.target{each}", name, learned=True) for each in range(count)]


def fit(
    frame: pd.DataFrame,
    profile: DataProfile | None,
    excluded: Mapping[str, str],
    told: Featurization = _UNTOLD,
) -> Encoding:
    """Look at every column but `excluded` (name to reason) and decide how it is read, unless the job has `told` it.
    InvalidInputError for a column that is not what the job says."""
    types = {column.name: column.type for column in profile.columns} if profile is not None else {}
    columns: list[dict[str, Any]] = []
    dropped = dict(excluded)
    notes: list[tuple[str, str]] = []
    for name in frame.columns:
        if name in excluded:
            continue
        wanted = told.kinds.get(str(name))
        series = frame[name]
        document, reason, note = (
            _column(series, types.get(str(name))) if wanted is None else told_columns.column(series, wanted)
        )
        if document is not None and (imputer := told.imputers.get(str(name))) is not None:
            document = told_columns.filled(document, series, imputer)
        if document is None:
            dropped[str(name)] = reason
        else:
            columns.append(document)
        if note:
            notes.append(note)
    return Encoding(tuple(columns), dropped, tuple(notes))


def _column(series: pd.Series[Any], hint: ColumnType | None) -> Found:  # noqa: PLR0911
    import numpy as np

    name = str(series.name)
    present = series.dropna()
    if present.empty:
        return None, "it has no value", None
    kind = series.dtype.kind if isinstance(series.dtype, np.dtype) else ""
    if kind == "b" or str(series.dtype) == "boolean":
        if present.nunique() == 1 and len(present) == len(series):
            return None, "it is constant", None
        return boolean_column(name, bool(present.iloc[0])), "", None
    if kind in "iuf" and kind:
        return number_column(series, hint)
    if kind == "M" or str(series.dtype).startswith("datetime64"):
        if present.nunique() == 1 and len(present) == len(series):
            return None, "it is constant", None
        return datetime_column(name, present.iloc[0]), "", None
    return _mixed(series, hint)


def _mixed(series: pd.Series[Any], hint: ColumnType | None) -> Found:  # noqa: PLR0911
    """A column of Python objects or texts: booleans, numbers or dates written as text, or categories."""
    name = str(series.name)
    try:
        if series.dtype == object:
            series = _one_type(series)
        counts = series.value_counts(dropna=True)
        texts: dict[object, str] = {value: scoring.category_text(value) for value in counts.index}
    except (TypeError, scoring.UnfitError):
        return None, "it holds lists or mappings, not single values", None
    sizes = {value: int(count) for value, count in counts.items() if texts[value].strip()}
    if not sizes:
        return None, "it has no value", None
    if len(sizes) == 1 and sum(sizes.values()) == len(series):
        return None, "it is constant", None
    if all(isinstance(value, bool) for value in sizes) or (hint is ColumnType.BOOLEAN and _reads(sizes, scoring.boolean_of)):
        return boolean_column(name, bool(scoring.boolean_of(next(iter(sizes))))), "", None
    numeric = _as_numbers(series, sizes, hint)
    if numeric is not None:
        return numeric
    if hint in (ColumnType.DATETIME, None, ColumnType.STRING) and len(sizes) > 1 and _reads(sizes, scoring.moment_of):
        note = ("Mistyped columns", f"{name!r} holds dates as text: read as dates") if hint is ColumnType.STRING else None
        return datetime_column(name, next(iter(sizes))), "", note
    by_text: dict[str, int] = {}
    for value, count in sizes.items():
        by_text[texts[value]] = by_text.get(texts[value], 0) + count
    if free_text.is_text(by_text, len(series)):
        note = ("Free text", f"{name!r} holds sentences: read by their words and pairs of words")
        return free_text.document(name, by_text, next(iter(by_text))), "", note
    return category_column(name, by_text, len(series))


def _one_type(series: pd.Series[Any]) -> pd.Series[Any]:
    """Values of several types as texts, so that 1 and True stay apart; missing ones None."""
    values = [None if scoring.is_missing(value) else value for value in series.tolist()]
    kinds = {type(value) for value in values if value is not None}
    if len(kinds) > 1 and (bool in kinds or str in kinds):
        values = [None if value is None else scoring.category_text(value) for value in values]
    import pandas as pd

    return pd.Series(values, index=series.index, name=series.name, dtype=object)


def _reads(values: Mapping[object, int], read: Any) -> bool:
    """Whether `read` takes every value."""
    for value in values:
        try:
            read(value)
        except (scoring.UnfitError, TypeError, ValueError, OverflowError):
            return False
    return True


def _as_numbers(series: pd.Series[Any], sizes: Mapping[object, int], hint: ColumnType | None) -> Found | None:
    """The column as numbers when nearly all of its values are numbers and none is an identifier such as 007."""
    import numpy as np

    numbers: dict[object, float] = {}
    tokens: list[str] = []
    odd = 0
    for value, count in sizes.items():
        if isinstance(value, str):
            text = value.strip().lstrip("+-")
            if len(text) > 1 and text[0] == "0" and text[1].isdigit():
                return None
        try:
            numbers[value] = scoring.number_of(value)
        except scoring.UnfitError:
            if isinstance(value, bool):
                return None
            odd += count
            tokens.append(str(value).strip())
            numbers[value] = float("nan")
            if len(tokens) > _FEW_TOKENS:
                return None
    if odd > (1 - _NUMERIC_SHARE) * sum(sizes.values()) or len(numbers) - len(tokens) < 2:
        return None
    if hint is ColumnType.STRING and not tokens and len(sizes) <= 2:
        return None
    values = series.map(numbers).astype(np.float64)
    document, reason, note = number_column(values, hint, tokens)
    if tokens:
        shown = ", ".join(repr(token) for token in tokens)
        note = (
            "Mistyped columns",
            f"{series.name!r} holds numbers and {odd} times {shown}: read as numbers, the rest as missing",
        )
    elif hint is ColumnType.STRING:
        note = ("Mistyped columns", f"{series.name!r} holds numbers as text: read as numbers")
    return document, reason, note
