"""A foreign MLflow folder over blocks of rows. Its own code runs: only in a worker process, and only when it is trusted."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from opsml_cli.domain.errors import ContractError
from opsml_cli.local.batch.minibatch import MiniBatch, MiniBatchError
from opsml_cli.tables.blocks import Block

_NUMPY = {
    "integer": "int32",
    "long": "int64",
    "float": "float32",
    "double": "float64",
    "boolean": "bool",
    "datetime": "datetime64[ns]",
}
_WHOLE = ("integer", "long")
_WORDS = {"true": True, "false": False}


class ForeignModel:
    """Hands `predict` a data frame with the signature's columns in its order and types; without a signature, all columns as
    the file has them."""

    def __init__(self, folder: Path) -> None:
        try:
            import mlflow.pyfunc

            from opsml_cli.local.models import quiet_mlflow

            quiet_mlflow()
            self._model: Any = mlflow.pyfunc.load_model(str(folder))
        except ImportError as error:
            raise ContractError(f"the model needs a package that is not installed here: {error.name or error}") from error
        signature = self._model.metadata.signature
        entries = [] if signature is None or signature.inputs is None else signature.inputs.to_dict()
        self._typed = [each for each in entries if isinstance(each, dict) and each.get("name") and each.get("type") != "tensor"]
        self.columns: tuple[str, ...] | None = tuple(str(each["name"]) for each in self._typed) or None

    def results(self, batch: MiniBatch) -> list[Any]:
        """A result a row. MiniBatchError for what the signature does not take; whatever the model raises."""
        assert batch.block is not None
        label = batch.files[0].label
        frame = self._frame(batch.block, label)
        return _listed(self._model.predict(frame), batch.block.rows)

    def _frame(self, block: Block, label: str) -> Any:
        import pandas as pd

        frame = pd.DataFrame.from_records(list(block.records)) if block.columns is None else block.columns.to_pandas()
        if not self._typed:
            return frame
        made: dict[str, Any] = {}
        for entry in self._typed:
            name, kind = str(entry["name"]), str(entry["type"])
            if name not in frame.columns:
                if not entry.get("required", True):
                    continue
                raise MiniBatchError(f"{label} has no column {name!r}")
            made[name] = _cast(frame[name], kind, label, block.first)
        return pd.DataFrame(made)


def _cast(series: Any, kind: str, label: str, first: int) -> Any:
    missing = series.isna()
    if kind == "string":
        return series.map(_text).astype(object).where(~missing, None)
    if kind not in _NUMPY or (kind == "boolean" and missing.all()):
        return series
    if missing.any() and kind in (*_WHOLE, "boolean"):
        _refuse(series, missing, kind, label, first)
    cast = _times if kind == "datetime" else _booleans if kind == "boolean" else _numbers
    made, wrong = cast(series, kind)
    wrong = wrong & ~missing
    if wrong.any():
        _refuse(series, wrong, kind, label, first)
    return made


def _times(series: Any, kind: str) -> tuple[Any, Any]:
    """The column as `kind`, and where that failed."""
    import pandas as pd

    made = pd.to_datetime(series, errors="coerce")
    return made.astype(_NUMPY[kind]) if made.dt.tz is None else made, made.isna()


def _booleans(series: Any, kind: str) -> tuple[Any, Any]:
    found = series.map(lambda value: _WORDS.get(str(value).strip().lower()))
    wrong = found.isna()
    return found.where(~wrong, False).astype(_NUMPY[kind]), wrong


def _numbers(series: Any, kind: str) -> tuple[Any, Any]:
    import numpy as np
    import pandas as pd

    found = pd.to_numeric(series, errors="coerce")
    if kind not in _WHOLE:
        return found.astype(_NUMPY[kind]), found.isna()
    limits = np.iinfo(_NUMPY[kind])
    wrong = found.isna() | (found % 1 != 0) | (found < limits.min) | (found > limits.max)
    if str(found.dtype).startswith("float"):
        wrong |= found >= float(limits.max) + 1
    return found.where(~wrong, 0).astype(_NUMPY[kind]), wrong


def _refuse(series: Any, wrong: Any, kind: str, label: str, first: int) -> None:
    row = int(wrong.to_numpy().argmax())
    value = series.iloc[row]
    shown = "missing" if value is None or value != value else repr(value)[:80]  # noqa: PLR0124 - NaN
    raise MiniBatchError(f"{label}, row {first + row:,}: column {series.name!r} is {shown}, expected {kind}")


def _text(value: Any) -> Any:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


def _listed(result: Any, rows: int) -> list[Any]:
    if hasattr(result, "to_dict") and hasattr(result, "columns"):
        values = result.iloc[:, 0].tolist() if len(result.columns) == 1 else result.to_dict("records")
    elif isinstance(result, dict):
        names = list(result)
        values = [dict(zip(names, each, strict=True)) for each in zip(*(list(result[name]) for name in names), strict=True)]
    else:
        values = result.tolist() if hasattr(result, "tolist") else list(result)
    if len(values) != rows:
        raise ContractError(f"the model gave {len(values)} results for {rows} rows")
    if values and all(isinstance(value, list) and len(value) == 1 for value in values):
        values = [value[0] for value in values]  # an array of one column is a column
    return [None if isinstance(value, float) and not math.isfinite(value) else value for value in map(_plain, values)]


def _plain(value: Any) -> Any:
    """A NumPy scalar as the Python value that it stands for."""
    item = getattr(value, "item", None)
    return item() if callable(item) and getattr(value, "ndim", 1) == 0 else value


def columns_of(folder: Path) -> tuple[str, ...] | None:
    """The columns that the folder's signature names, read without its code; None: not a plain table of named columns."""
    from opsml_cli.local.serving.scorers import read_description

    signature = read_description(folder).get("signature") or {}
    try:
        entries = json.loads(signature.get("inputs") or "[]")
    except (ValueError, TypeError, AttributeError):
        return None
    named = [
        str(each["name"]) for each in entries if isinstance(each, dict) and each.get("name") and each.get("type") != "tensor"
    ]
    return tuple(named) if named and len(named) == len(entries) else None
