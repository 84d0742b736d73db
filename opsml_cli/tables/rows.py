"""Tables as plain rows: for score inputs, and samples of registered data."""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from opsml_cli.domain.contract import BadRequest, Schema, read_call
from opsml_cli.domain.data import DataProfile
from opsml_cli.domain.errors import InvalidInputError, NotFoundError
from opsml_cli.tables import jsonlines
from opsml_cli.tables.formats import detect
from opsml_cli.tables.frames import read_typed
from opsml_cli.tables.profile import profile_table

if TYPE_CHECKING:
    import pyarrow as pa

Row = dict[str, object]
_MAX_REQUEST = 32 << 20  # bytes; larger inputs are written as rows, not as one request
_KINDS = {"csv": "csv", "tsv": "csv", "json": "json", "jsonl": "jsonl", "parquet": "parquet"}


def read_rows(source: str | Path, format: str | None = None) -> list[Row]:  # noqa: A002 - the word of the command line
    """The rows of a CSV, JSON, JSON lines or Parquet file, or of standard input (`-`); values are plain and missing ones
    None. A JSON file may also be one row, or a request body as endpoints take it. JSON values stay as they are; text
    columns of a CSV are typed as a profile would.

    NotFoundError when the file is missing, InvalidInputError when it is empty, unsound or of another `format`."""
    if str(source) != "-":
        return _rows(Path(source), str(source), format)
    with tempfile.TemporaryDirectory(prefix="opsml-") as folder:
        path = Path(folder) / "input"
        with path.open("wb") as file:
            shutil.copyfileobj(sys.stdin.buffer, file)
        return _rows(path, "standard input", format)


def _rows(path: Path, name: str, kind: str | None) -> list[Row]:
    if not path.exists():
        raise NotFoundError(f"no file {name}", fix="check the path")
    if path.is_dir():
        profile = profile_table(path, name=name)
        return to_rows(read_typed(path, profile, name=name)[0])
    form = detect(path, name)
    expected = _KINDS.get(kind or "")
    if kind is not None and expected != form.kind:
        raise InvalidInputError(f"{name} is {form.kind}, not {kind}", fix="leave the format out, or give the right one")
    if form.kind in ("json", "jsonl"):
        rows = request_rows(path, name)
        if rows is None:
            rows = list(jsonlines.records(path, form, name))
        if not rows:
            raise InvalidInputError(f"{name} holds no rows")
        return rows
    profile = profile_table(path, name=name)
    return to_rows(read_typed(path, profile, name=name)[0])


def request_rows(path: Path, name: str) -> list[Row] | None:
    """The rows of a file that is one JSON object: a request body in any of an endpoint's dialects, or one row. None for
    any other file."""
    with path.open("rb") as file:
        content = file.read(_MAX_REQUEST + 1)
    if len(content) > _MAX_REQUEST or not content.lstrip().startswith(b"{"):
        return None
    try:
        body = json.loads(content)
    except (ValueError, RecursionError):
        return None
    if not isinstance(body, dict) or not body.keys() & {"input_data", "Inputs", "data"}:
        return [body] if isinstance(body, dict) and not any(isinstance(value, dict | list) for value in body.values()) else None
    try:
        return read_call(body, Schema(())).rows
    except BadRequest as error:
        raise InvalidInputError(f"{name}: {error.message}", cause=error.expected and f"expected {error.expected}") from error


def sample_rows(location: Path, profile: DataProfile, rows: int, seed: int = 0, name: str | None = None) -> list[Row]:
    """`rows` rows drawn without replacement, in the table's order, typed by `profile`."""
    return to_rows(read_typed(location, profile, max_rows=rows, seed=seed, name=name)[0])


def to_rows(table: pa.Table) -> list[Row]:
    """Plain Python values, as JSON knows them: dates are ISO text."""
    columns = {name: [_value(value) for value in table.column(name).to_pylist()] for name in table.column_names}
    names: Sequence[str] = list(columns)
    return [dict(zip(names, values, strict=True)) for values in zip(*columns.values(), strict=True)]


def _value(value: object) -> object:
    return value.isoformat() if isinstance(value, datetime) else value
