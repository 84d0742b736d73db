"""Compile a fitted model, and ask it for the answers that its compiled form has to give. Runs in the host process."""

from __future__ import annotations

import copy
import json
import math
import re
import time
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from opsml_cli.domain.column_values import EXPECTED, shown, written
from opsml_cli.domain.contract import BadRequest, Dialect, Schema
from opsml_cli.domain.contract import Column as InputColumn

from .artifact import TooLargeError, Writer
from .original import Original
from .reader.draws import drawn, edges
from .reader.flow import Column, Flow, Reading, UnknownError

PROOF = "proof.json"
ASKING_SECONDS = 4.0
_TYPES = {
    "long": "integer",
    "integer": "integer",
    "double": "number",
    "float": "number",
    "boolean": "boolean",
    "string": "string",
}
_EXAMPLES = {"integer": 1, "number": 1.0, "boolean": True, "string": "text"}


@dataclass(frozen=True, slots=True)
class Outcome:
    """`reason` says why the model was not compiled; None when it was. `size` in bytes."""

    reason: str | None
    size: int = 0


def compile_model(original: Original, folder: Path, seconds: float = ASKING_SECONDS) -> Outcome:
    """Write the compiled form of `original` and its proof into `folder`. Never raises for what a model holds: the reason says
    what is not compiled. Nothing is proven yet: see `load`. `seconds`: how long the original may be asked for answers."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return _compiled(original, folder, seconds)
    except (UnknownError, TooLargeError) as error:
        return Outcome(str(error))
    except Exception as error:
        return Outcome(f"{type(error).__name__} while reading the model: {error}")


def _compiled(original: Original, folder: Path, seconds: float) -> Outcome:
    columns = [_column(original, column) for column in original.columns]
    if not columns:
        raise UnknownError("the model has no signature of named columns")
    if original.method not in {"predict", "predict_proba"}:
        raise UnknownError(f"MLflow calls the model's {original.method}")
    writer = Writer()
    reading = Reading(writer)
    flow = Flow(
        tuple(
            Column("t" if column["type"] == "string" else "n", column["name"], place) for place, column in enumerate(columns)
        ),
        frame=True,
    )
    predictor = reading.predictor(original.native, flow)
    document = {
        "columns": columns,
        "predictor": predictor,
        "method": original.method,
        "single": reading.single or any(column["type"] == "float" for column in columns),
    }
    writer.save(folder, document)
    cases = _asked(original, columns, reading.points, seconds)
    (folder / PROOF).write_text(json.dumps({"cases": cases}), encoding="utf-8")
    return Outcome(None, writer.size)


class MlflowSchema(Schema):
    """Columns that take what MLflow's conversions take, and not what only opsml's own models read: no text and no null
    for a boolean, no number for a text, no blank text and no "7.0" for a number."""

    def check(self, rows: Sequence[dict[str, Any]], dialect: Dialect | None = None) -> int:
        if len(rows) > 1 and self.all_plain(rows):
            return 0
        for index, row in enumerate(rows):
            for column in self.columns:
                value = row.get(column.name)
                kind = type(value)
                if value is None:
                    wrong = column.type == "boolean"  # MLflow would make it false
                elif (kind is str) == (column.type == "string"):
                    continue
                else:
                    wrong = column.type not in _TEXTS or not _TEXTS[column.type].match(value)
                if wrong:
                    expected = _EXPECTED[column.type]
                    raise BadRequest(
                        f"column {column.name!r}, row {index}: {written(value)} is not {expected}",
                        dialect=dialect,
                        row=index,
                        column=column.name,
                        value=shown(value),
                        expected=expected,
                    )
        return super().check(rows, dialect)


_EXPECTED = {**EXPECTED, "boolean": "true or false"}
_TEXTS = {
    "integer": re.compile(r"\s*[+-]?[0-9]+\s*\Z"),
    "number": re.compile(r"\s*[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,3})?\s*\Z"),
}


def schema_of(columns: Sequence[Mapping[str, Any]]) -> Schema:
    return MlflowSchema(
        InputColumn(
            column["name"],
            _TYPES[column["type"]],
            example=column.get("example", _EXAMPLES[_TYPES[column["type"]]]),
            required=column["required"],
        )
        for column in columns
    )


def _base(original: Original) -> dict[str, Any]:
    row = dict(original.example)
    for column in original.columns:
        kind = _TYPES.get(column["type"])
        if kind is not None and row.get(column["name"]) is None:
            row[column["name"]] = _EXAMPLES[kind]
    return row


def _column(original: Original, column: Mapping[str, Any]) -> dict[str, Any]:
    """The column with what becomes of missing values: see evaluator.inputs."""
    name, kind = column["name"], column["type"]
    if kind not in _TYPES:
        raise UnknownError(f"the column {name!r} is of type {kind}")
    base = _base(original)
    if kind == "boolean":
        alone = among = "refused"
    else:
        alone, among = (_cell(original, [{**base, name: None}, *others], name) for others in ([], [base]))
    if alone == among:
        null = alone
    elif {alone, among} == {"none", "nan"} and alone == "none":
        null = "mixed"
    elif kind != "string":
        null = "nan" if "refused" not in {alone, among} else "refused"
    else:
        raise UnknownError(f"a missing value of the column {name!r} is {alone} alone and {among} among others")
    if kind != "string" and null != "refused":
        null = "nan"
    absent = "refused" if column["required"] else "null"
    if not column["required"]:
        rest = {key: value for key, value in base.items() if key != name}
        try:
            if name not in original.frame([rest]).columns:
                absent = "refused"
        except Exception:
            absent = "refused"
    return {
        "name": name,
        "type": kind,
        "required": bool(column["required"]),
        "null": null,
        "absent": absent,
        "example": base[name],
    }


def _cell(original: Original, rows: list[dict[str, Any]], name: str) -> str:
    """How the native model sees the first row's value."""
    try:
        value = original.frame(rows)[name].tolist()[0]
    except Exception:
        return "refused"
    if value is None:
        return "none"
    if isinstance(value, float) and math.isnan(value):
        return "nan"
    raise UnknownError(f"a missing value of the column {name!r} becomes {value!r}")


def _asked(
    original: Original, columns: Sequence[Mapping[str, Any]], points: Mapping[int, Sequence[Any]], seconds: float
) -> list[Any]:
    """Rows with the original's answers, or its refusal."""
    schema = schema_of(columns)
    deadline = time.monotonic() + seconds
    cases: list[Any] = []
    base = _base(original)
    _ask(original, schema, [base], cases)
    rows = drawn(columns, points, base)
    _ask_many(original, schema, rows, cases, deadline)
    answered = next((case["rows"][0] for case in reversed(cases) if case["error"] is None), base)
    for row in edges(columns, answered, points):
        if time.monotonic() > deadline:
            break
        _ask(original, schema, [row], cases)
    # A missing value among others may be seen otherwise than alone.
    lacking = [{**answered, column["name"]: None} for column in columns if column["type"] != "boolean"]
    _ask_many(original, schema, [each for row in lacking for each in (row, answered)], cases, deadline)
    for row in rows[:8]:
        _ask(original, schema, [row], cases)
    return cases


def _ask_many(original: Original, schema: Schema, rows: list[dict[str, Any]], cases: list[Any], deadline: float) -> None:
    """One call for all rows; where that is refused, halves, down to the rows that are refused."""
    if not rows or time.monotonic() > deadline:
        return
    found: list[Any] = []
    _ask(original, schema, rows, found)
    if found and found[0]["error"] is not None and len(rows) > 1:
        middle = len(rows) // 2
        _ask_many(original, schema, rows[:middle], cases, deadline)
        _ask_many(original, schema, rows[middle:], cases, deadline)
    else:
        cases.extend(found)


def _ask(original: Original, schema: Schema, rows: list[dict[str, Any]], cases: list[Any]) -> None:
    given = copy.deepcopy(rows)
    try:
        schema.check(given)
    except BadRequest:
        return  # the same check stands before the compiled form
    try:
        results: Any = [_jsonable(value) for value in original.predict(given)]
        probabilities = original.probabilities(given)
        error = None
    except Exception as raised:
        results = probabilities = None
        error = f"{type(raised).__name__}: {raised}"[:500]
    if probabilities is not None:
        probabilities = [_jsonable(value) for value in probabilities]
    cases.append({"rows": rows, "results": results, "probabilities": probabilities, "error": error})


def _jsonable(value: Any) -> Any:
    if isinstance(value, list):
        return [_jsonable(each) for each in value]
    value = value.item() if hasattr(value, "item") else value
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if value is not None and not isinstance(value, str | int | float | bool):
        raise UnknownError(f"the model answers with {type(value).__name__}")
    return value
