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

GIVES_UP = (LookupError, TypeError, ValueError, OverflowError, struct.error)


@dataclass(frozen=True, slots=True)
class NumberColumn:
    """A number as it is; `whole`: only integers are plain. `missing` is the number of a null."""

    name: str
    missing: float
    whole: bool = False


@dataclass(frozen=True, slots=True)
class BooleanColumn:
    """1.0 and 0.0; `missing` is the number of a null."""

    name: str
    missing: float


@dataclass(frozen=True, slots=True)
class CategoryColumn:
    """One number a table for each text; texts that the tables do not hold are not plain. `missing`: the numbers of a null."""

    name: str
    tables: tuple[Mapping[str, float], ...]
    missing: tuple[float, ...]


Column = NumberColumn | BooleanColumn | CategoryColumn


class RowCoder:
    """Codes one row into `matrix`, a float64 array (1, width) that every row shares: one caller at a time."""

    def __init__(self, columns: Sequence[Column]) -> None:
        self.names = [column.name for column in columns]
        width = sum(len(column.tables) if isinstance(column, CategoryColumn) else 1 for column in columns)
        buffer = bytearray(8 * width)
        self.matrix = np.frombuffer(buffer, dtype=np.float64).reshape(1, width)
        self.code: Callable[[Sequence[object]], bool] = _generated(columns, buffer, width)
        get = itemgetter(*self.names)
        # With one name an itemgetter gives the value itself.
        self.values: Callable[[Mapping[str, object]], Sequence[object]] = get if len(columns) > 1 else lambda row: (get(row),)


def _generated(columns: Sequence[Column], buffer: bytearray, width: int) -> Callable[[Sequence[object]], bool]:
    """`code(row)`: write the row's numbers; False, or one of GIVES_UP, for a row that is not plain. The source is made of
    numbers and kinds alone: names and categories are passed in as values."""
    names: dict[str, Any] = {"pack": struct.Struct(f"={width}d").pack_into, "buffer": buffer}
    lines, packed = [], []
    for index, column in enumerate(columns):
        value = f"v{index}"
        if isinstance(column, CategoryColumn):
            for place, table in enumerate(column.tables):
                coded: dict[Any, float] = {**table, None: column.missing[place]}
                names[f"t{index}_{place}"] = coded.get
                packed.append(f"x{index}_{place}")
                lines.append(f"    x{index}_{place} = t{index}_{place}({value})")
            lines.append(f"    if x{index}_0 is None: return False")
            continue
        names[f"m{index}"] = column.missing
        packed.append(value)
        if isinstance(column, BooleanColumn):
            lines.append(f"    if {value} is None: {value} = m{index}")
            lines.append(f"    elif {value} is not True and {value} is not False: return False")
            continue
        plain = f"type({value}) is int" if column.whole else f"(type({value}) is float or type({value}) is int)"
        lines.append(f"    if not {plain}:")
        lines.append(f"        if {value} is not None: return False")
        lines.append(f"        {value} = m{index}")
    unpacked = ", ".join(f"v{index}" for index in range(len(columns)))
    source = [
        f"def code(row):\n    ({unpacked},) = row",
        *lines,
        f"    pack(buffer, 0, {', '.join(packed)})",
        "    return True",
    ]
    exec("\n".join(source), names)  # noqa: S102 - made of numbers and kinds alone
    made: Callable[[Sequence[object]], bool] = names["code"]
    return made


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
            dialect, data, options = _read(orjson.loads(body))
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


def _read(document: Any) -> tuple[Dialect, Any, Any]:
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
