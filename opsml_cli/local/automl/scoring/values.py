"""Single values as numbers: what each kind of column reads, and what it refuses."""

from __future__ import annotations

import math
from datetime import UTC, date, datetime

import numpy as np

MISSING = float("nan")
DATE_PARTS = ("epoch", "year", "month", "day", "weekday", "hour")
_TRUE = frozenset({"true", "yes", "y", "t", "1", "1.0", "on"})
_FALSE = frozenset({"false", "no", "n", "f", "0", "0.0", "off"})


class ColumnError(ValueError):
    """The value of `column` in row `row` (from 0) does not fit. `absent`: the row has no such column at all."""

    def __init__(self, row: int, column: str, value: object, expected: str, absent: bool = False) -> None:
        what = "is missing" if absent else f"is {_short(value)}"
        super().__init__(f"row {row}: column {column!r} {what}; expected {expected}")
        self.row = row
        self.column = column
        self.value = value
        self.expected = expected
        self.absent = absent


class UnfitError(Exception):
    """A value that its coder cannot read; `expected` says what it reads."""

    def __init__(self, expected: str) -> None:
        super().__init__(expected)
        self.expected = expected


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def is_missing(value: object) -> bool:
    """None, NaN, NaT, NA and the empty text."""
    if value is None:
        return True
    if isinstance(value, str):
        return not value.strip()
    if isinstance(value, float):
        return math.isnan(value)
    return type(value).__name__ in ("NAType", "NaTType") or (isinstance(value, np.floating) and bool(np.isnan(value)))


def category_text(value: object) -> str:
    """The text under which a value of a category column is known; raises UnfitError for what is no single value."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool | np.bool_):
        return "true" if value else "false"
    if isinstance(value, int | np.integer):
        return str(int(value))
    if isinstance(value, float | np.floating):
        number = float(value)
        return str(int(number)) if number.is_integer() else repr(number)
    if isinstance(value, datetime | date):
        return value.isoformat().removesuffix("T00:00:00")  # a day without a time is written as a day
    raise UnfitError("text")


def number_of(value: object, tokens: frozenset[str] = frozenset()) -> float:
    """The value as a finite number or NaN. Infinities count as missing, in training as in scoring."""
    if is_missing(value):
        return MISSING
    if isinstance(value, bool | np.bool_):
        raise UnfitError("a number")
    if isinstance(value, str):
        text = value.strip()
        if text in tokens:
            return MISSING
        if "_" in text:
            raise UnfitError("a number")
        value = text
    elif not hasattr(value, "__float__"):
        raise UnfitError("a number")
    try:
        number = float(value)
    except (TypeError, ValueError):
        raise UnfitError("a number") from None
    except OverflowError:
        return MISSING
    return number if math.isfinite(number) else MISSING


def boolean_of(value: object) -> float:
    """1.0, 0.0 or NaN."""
    if is_missing(value):
        return MISSING
    if isinstance(value, bool | np.bool_):
        return 1.0 if value else 0.0
    if isinstance(value, str):
        text = value.strip().casefold()
        if text in _TRUE:
            return 1.0
        if text in _FALSE:
            return 0.0
    elif isinstance(value, int | float | np.integer | np.floating) and value in (0, 1):
        return float(value)
    raise UnfitError("true or false")


def moment_of(value: object) -> datetime | None:
    """The moment, without zone (in UTC when it had one), or None when missing."""
    if is_missing(value):
        return None
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value.strip())
        except ValueError:
            raise UnfitError("a date or time such as 2026-01-31 or 2026-01-31T12:00:00") from None
    elif isinstance(value, np.datetime64):
        value = value.astype("datetime64[us]").item()
    if isinstance(value, datetime):
        return value.astimezone(UTC).replace(tzinfo=None) if value.tzinfo is not None else value
    if isinstance(value, date):
        return datetime(value.year, value.month, value.day)
    raise UnfitError("a date or time such as 2026-01-31 or 2026-01-31T12:00:00")


_ORIGIN = datetime(1970, 1, 1)


def date_parts(value: object) -> tuple[float, ...]:
    """Numbers in the order of DATE_PARTS."""
    moment = moment_of(value)
    if moment is None:
        return (MISSING,) * len(DATE_PARTS)
    return (
        (moment - _ORIGIN).total_seconds(),
        float(moment.year),
        float(moment.month),
        float(moment.day),
        float(moment.weekday()),
        float(moment.hour),
    )
