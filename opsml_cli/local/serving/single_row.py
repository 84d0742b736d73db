"""One row a request, the usual case, from JSON to JSON with as few steps as there can be.

For each model a function is generated that checks and codes one row, column by column. It decides nothing by itself:
whatever is not plain (a missing column, an unknown category, a number written as text, an unusual shape of the body) makes it
give up, and the general way through `domain.contract` answers, with its checks and errors. Both ways give the same bytes for
the same row.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Any, Protocol

import numpy as np
import orjson

from opsml_cli.domain.contract import Call, Dialect

OPERATORS = frozenset("+-*/")
BOUND = 1e300  # of a number: beyond it the general way looks at it
GIVES_UP = (LookupError, TypeError, ValueError, OverflowError, struct.error)


@dataclass(frozen=True, slots=True)
class Number:
    """A number made of a column's value by `steps`, arithmetic with a constant such as ("-", 2.5); `missing` is what a null
    becomes."""

    steps: tuple[tuple[str, float], ...]
    missing: float


@dataclass(frozen=True, slots=True)
class NumberColumn:
    """Numbers made of a number. Not plain are values beyond `bound`, with `whole` also what is no integer, and
    nulls unless `nullable`."""

    name: str
    outputs: tuple[Number, ...]
    whole: bool = False
    nullable: bool = True
    bound: float = BOUND


@dataclass(frozen=True, slots=True)
class BooleanColumn:
    """1.0 and 0.0; `missing` is what a null becomes (None: a null is not plain)."""

    name: str
    missing: float | None


@dataclass(frozen=True, slots=True)
class CategoryColumn:
    """One number a table for each text, and for null where the tables hold None. Other values are not plain."""

    name: str
    tables: tuple[Mapping[str | None, float], ...]


Column = NumberColumn | BooleanColumn | CategoryColumn


class RowCoder:
    """Codes one row into `matrix`, a float64 array (1, width) that every row shares: one caller at a time. `order`: which
    outputs stand in it, each by the places of its column and of the output in that; None: all, in the columns' order."""

    def __init__(self, columns: Sequence[Column], order: Sequence[tuple[int, int]] | None = None) -> None:
        self.names = [column.name for column in columns]
        if order is None:
            order = [(index, place) for index, column in enumerate(columns) for place in range(_outputs(column))]
        buffer = bytearray(8 * len(order))
        self.matrix = np.frombuffer(buffer, dtype=np.float64).reshape(1, len(order))
        self.code: Callable[[Sequence[object]], bool] = _generated(columns, order, buffer)
        get = itemgetter(*self.names)
        # With one name an itemgetter gives the value itself.
        self.values: Callable[[Mapping[str, object]], Sequence[object]] = get if len(columns) > 1 else lambda row: (get(row),)


def _outputs(column: Column) -> int:
    if isinstance(column, NumberColumn):
        return len(column.outputs)
    return len(column.tables) if isinstance(column, CategoryColumn) else 1


def _generated(
    columns: Sequence[Column], order: Sequence[tuple[int, int]], buffer: bytearray
) -> Callable[[Sequence[object]], bool]:
    """`code(row)`: write the row's numbers; False, or one of GIVES_UP, for a row that is not plain. The source is made of
    places and operators alone: names, categories and constants are passed in as values."""
    names: dict[str, Any] = {"pack": struct.Struct(f"={len(order)}d").pack_into, "buffer": buffer}
    lines = [f"    ({', '.join(f'v{index}' for index in range(len(columns)))},) = row"]
    for index, column in enumerate(columns):
        lines += [f"    {line}" for line in _source(column, index, names)]
    packed = ", ".join(f"x{index}_{place}" for index, place in order)
    exec("\n".join(["def code(row):", *lines, f"    pack(buffer, 0, {packed})", "    return True"]), names)  # noqa: S102 - see above
    found: Callable[[Sequence[object]], bool] = names["code"]
    return found


def _source(column: Column, index: int, names: dict[str, Any]) -> list[str]:
    if isinstance(column, NumberColumn):
        return _number(column, index, names)
    return _boolean(column, index, names) if isinstance(column, BooleanColumn) else _category(column, index, names)


def _number(column: NumberColumn, index: int, names: dict[str, Any]) -> list[str]:
    value = f"v{index}"
    names[f"b{index}"] = min(column.bound, float(2**63)) if column.whole else column.bound
    real = f"type({value}) is float and {value}.is_integer()" if column.whole else f"type({value}) is float"
    plain = f"(type({value}) is int or {real})"
    lines = [f"if {plain} and -b{index} <= {value} < b{index}:"]
    for place, output in enumerate(column.outputs):
        expression = value
        for step, (operator, constant) in enumerate(output.steps):
            if operator not in OPERATORS:
                raise ValueError(f"unknown operator {operator!r}")
            names[f"c{index}_{place}_{step}"] = constant
            expression = f"({expression} {operator} c{index}_{place}_{step})"
        lines.append(f"    x{index}_{place} = {expression}")
    lines += ["    pass", f"elif {value} is not None: return False"]
    if not column.nullable:
        return [*lines, "else: return False"]
    lines.append("else:")
    for place, output in enumerate(column.outputs):
        names[f"m{index}_{place}"] = output.missing
        lines.append(f"    x{index}_{place} = m{index}_{place}")
    return [*lines, "    pass"]


def _boolean(column: BooleanColumn, index: int, names: dict[str, Any]) -> list[str]:
    value = f"v{index}"
    names[f"m{index}"] = column.missing
    null = [] if column.missing is None else [f"elif {value} is None: x{index}_0 = m{index}"]
    return [f"if {value} is True or {value} is False: x{index}_0 = {value}", *null, "else: return False"]


def _category(column: CategoryColumn, index: int, names: dict[str, Any]) -> list[str]:
    lines = []
    for place, table in enumerate(column.tables):
        names[f"t{index}_{place}"] = dict(table).get
        lines += [f"x{index}_{place} = t{index}_{place}(v{index})", f"if x{index}_{place} is None: return False"]
    return lines


class Predictor(Protocol):
    """What answers the coded row."""

    def label(self) -> object:
        """The label or value, a JSON value."""
        ...

    def probabilities(self) -> list[float]:
        """One probability a class; LookupError where the model has none."""
        ...


class SingleRow:
    """Answers bodies that hold one plain row. One caller at a time: the coder's buffer is shared."""

    def __init__(self, coder: RowCoder, predictor: Predictor, labels: Sequence[object] = ()) -> None:
        self._coder = coder
        self._predictor = predictor
        self._columns = coder.names
        # A label's reply is the same bytes every time.
        self._replies = {
            dialect: {label: orjson.dumps(Call(dialect, []).reply([label])) for label in labels} for dialect in Dialect
        }

    def answer(self, body: bytes) -> bytes | None:
        """The reply's JSON; None when the general way has to answer."""
        try:
            dialect, data, options = read_body(orjson.loads(body))
            row = self._row(data)
            if row is None or not self._coder.code(row):
                return None
            if options is None or options == {"method": "predict"}:
                label = self._predictor.label()
                known = self._replies[dialect].get(label)
                return orjson.dumps(Call(dialect, []).reply([label])) if known is None else known
            if options == {"method": "predict_proba"}:
                return orjson.dumps(Call(dialect, []).reply([self._predictor.probabilities()]))
        except GIVES_UP:
            pass
        return None

    def _row(self, data: Any) -> Sequence[object] | None:
        """The one row's values in the order of the columns."""
        if type(data) is dict:
            rows = data["data"]
            if data["columns"] != self._columns or len(rows) != 1 or type(rows) is not list:
                return None
            if len(data) != 2 and not (len(data) == 3 and type(data.get("index")) is list):
                return None
            row = rows[0]
            return row if type(row) is list else None
        if type(data) is not list or len(data) != 1:
            return None
        row = data[0]
        if type(row) is dict:
            return self._coder.values(row) if len(row) == len(self._columns) else None
        return row if type(row) is list else None


def read_body(document: Any) -> tuple[Dialect, Any, Any]:
    """Dialect, rows and options of a body that has no further keys; one of GIVES_UP for any other."""
    optional = None
    if "input_data" in document:
        dialect, data, optional = Dialect.MLFLOW, document["input_data"], "params"
    elif "Inputs" in document:
        inputs = document["Inputs"]
        if len(inputs) != 1:
            raise ValueError
        dialect, data, optional = Dialect.AUTOML_V2, inputs["data"], "GlobalParameters"
    else:
        dialect, data = Dialect.AUTOML_V1, document["data"]
    if len(document) != 1 + (optional in document):
        raise ValueError
    return dialect, data, None if optional is None else document.get(optional)
