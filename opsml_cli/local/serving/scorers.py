"""Models as the server runs them: our own compiled, with no pandas; any other MLflow folder through `mlflow.pyfunc`."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from opsml_cli.domain.contract import BadRequest, Column, Schema, shown
from opsml_cli.domain.errors import ContractError, NotFoundError


class Scorer(Protocol):
    """A loaded model. `classes` are the labels in the order of probabilities; empty for regression and for models that
    do not say. `quick`: a few rows take far less than a millisecond, so that they may be scored on the event loop."""

    schema: Schema
    classes: tuple[object, ...]
    quick: bool

    def score(self, rows: Sequence[dict[str, Any]], proba: bool) -> list[Any]:
        """A label or value a row, or a list of probabilities a row with `proba`; JSON values.

        `rows` passed `schema.check`. BadRequest when the model refuses a value, or has no probabilities."""
        ...


class OwnScorer:
    """A model that opsml trained, run by the code that this version of opsml carries, never by the folder's own."""

    quick = True

    def __init__(self, data_path: Path) -> None:
        from opsml_cli.local.automl import scoring

        self._model: Any = scoring.load(str(data_path))
        self._error: type[Exception] = scoring.ColumnError
        tokens = {entry["name"]: tuple(entry.get("missing_tokens") or ()) for entry in self._model.document["columns"]}
        self.schema = Schema(_column(entry, tokens[entry["name"]]) for entry in self._model.columns)
        self._classification = self._model.task == "classification"
        self.classes: tuple[object, ...] = tuple(_plain(label) for label in self._model.classes) if self._classification else ()

    def score(self, rows: Sequence[dict[str, Any]], proba: bool) -> list[Any]:
        if proba and not self._classification:
            raise BadRequest("this model predicts numbers: it has no probabilities", expected="method predict")
        model = self._model
        try:
            matrix = model.encode(rows)
        except self._error as error:
            column, value, expected = error.column, shown(error.value), error.expected  # type: ignore[attr-defined]
            raise BadRequest(str(error), row=error.row, column=column, value=value, expected=expected) from error  # type: ignore[attr-defined]
        except (ValueError, TypeError, OverflowError) as error:
            raise BadRequest(f"the model cannot read these rows: {error}") from error
        if not self._classification:
            return _finite(model.values(matrix).tolist())
        probabilities = model.probabilities(matrix)
        if proba:
            rows_of: list[Any] = probabilities.tolist()
            return rows_of
        return [_plain(label) for label in model.labels(probabilities)]


class PyfuncScorer:
    """A foreign MLflow folder, in its own flavour's code. Loading it runs that code: the caller checked the trust."""

    quick = False

    def __init__(self, folder: Path, description: Mapping[str, Any]) -> None:
        import mlflow.pyfunc

        self._model: Any = mlflow.pyfunc.load_model(str(folder))
        self.schema = Schema(_signature_columns(description))
        self.classes: tuple[object, ...] = ()
        inner = getattr(self._model, "_model_impl", None)
        native = getattr(inner, "sklearn_model", None)
        self._probabilities = getattr(native, "predict_proba", None)
        if self._probabilities is not None:
            self.classes = tuple(_plain(label) for label in getattr(native, "classes_", ()))

    def score(self, rows: Sequence[dict[str, Any]], proba: bool) -> list[Any]:
        import pandas as pd

        if proba and self._probabilities is None:
            raise BadRequest("this model gives no probabilities", expected="method predict")
        columns = list(self.schema.names)
        frame = pd.DataFrame([[row.get(name) for name in columns] for row in rows], columns=columns)
        for column in self.schema.columns:
            frame[column.name] = _typed(frame[column.name], column.type)
        result = self._probabilities(frame) if proba and self._probabilities is not None else self._model.predict(frame)
        return _listed(result, len(rows))


def load(folder: Path, *, own: bool) -> Scorer:
    """The model in `folder`, ready. `own` is the registry's word, never the folder's.

    ContractError when the folder is no MLflow model or does not load."""
    if not folder.is_dir():
        raise NotFoundError(f"the model folder {folder.name!r} is gone", fix="register the model again, and deploy it")
    description = read_description(folder)
    if own:
        return OwnScorer(own_data(folder, description))
    try:
        return PyfuncScorer(folder, description)
    except ImportError as error:
        raise ContractError(
            f"the model needs a package that is not installed here: {error.name or error}",
            fix=f"pip install {error.name}" if error.name else None,
        ) from error


def own_data(folder: Path, description: Mapping[str, Any]) -> Path:
    """Where a model of our own keeps what the portable scorer loads."""
    pyfunc = description.get("flavors", {}).get("python_function", {})
    return folder / str(pyfunc.get("data", "data"))


def read_description(folder: Path) -> dict[str, Any]:
    """The folder's MLmodel file; ContractError when it is missing or no sound YAML."""
    import yaml

    path = folder / "MLmodel"
    try:
        description = yaml.load(path.read_bytes(), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506 - safe loaders
    except FileNotFoundError as error:
        raise ContractError(f"{folder.name!r} is no MLflow model: it has no MLmodel file") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ContractError(f"the MLmodel file of {folder.name!r} is broken: {error}") from error
    if not isinstance(description, dict) or not isinstance(description.get("flavors"), dict):
        raise ContractError(f"the MLmodel file of {folder.name!r} names no flavors")
    return description


def example_row(schema: Schema, folder: Path) -> dict[str, object]:
    """The row that proves a deployment: the folder's own input example, or one made from the columns."""
    import json

    for name in ("serving_input_example.json", "input_example.json"):
        try:
            document = json.loads((folder / name).read_text("utf-8"))
        except (OSError, ValueError):
            continue
        split = document.get("dataframe_split", document) if isinstance(document, dict) else {}
        if isinstance(split, dict) and {"columns", "data"} <= split.keys() and split["data"]:
            row = dict(zip(split["columns"], split["data"][0], strict=False))
            if schema.known <= row.keys():
                return {column: row[column] for column in schema.names}
    return schema.example()


_TYPES = {
    "long": "integer",
    "integer": "integer",
    "double": "number",
    "float": "number",
    "boolean": "boolean",
    "datetime": "datetime",
    "string": "string",
}
_EXAMPLES: Mapping[str, object] = {
    "integer": 1,
    "number": 1.0,
    "boolean": True,
    "datetime": "2026-01-31T00:00:00",
    "string": "text",
}


def _column(entry: Mapping[str, Any], missing: tuple[str, ...]) -> Column:
    kind = str(entry.get("type", "string"))
    categories = tuple(_plain(value) for value in entry.get("categories") or ())
    example = entry.get("example")
    if example is None:
        example = categories[0] if categories else _EXAMPLES.get(kind, "text")
    return Column(
        name=str(entry["name"]),
        type=kind if kind in _EXAMPLES else "string",
        categories=categories,
        minimum=entry.get("minimum"),
        maximum=entry.get("maximum"),
        example=_plain(example),
        missing=missing,
    )


def _signature_columns(description: Mapping[str, Any]) -> list[Column]:
    import json

    signature = description.get("signature") or {}
    try:
        entries = json.loads(signature.get("inputs") or "[]")
    except (ValueError, TypeError, AttributeError) as error:
        raise ContractError("the model's signature is no JSON") from error
    columns = []
    for entry in entries:
        kind = _TYPES.get(str(entry.get("type"))) if isinstance(entry, dict) else None
        if kind is None or "name" not in entry:
            raise ContractError(
                "the model's signature is no plain table of named columns", fix="log the model with a column-based signature"
            )
        example = _EXAMPLES[kind]
        columns.append(Column(str(entry["name"]), kind, example=example, required=bool(entry.get("required", True))))
    if not columns:
        raise ContractError(
            "the model has no signature, so nobody can tell its columns",
            fix="log it with mlflow's `signature=infer_signature(...)` or an input example",
        )
    return columns


def _typed(series: Any, kind: str) -> Any:
    import pandas as pd

    if kind == "integer" and not series.isna().any():
        return series.astype("int64")
    if kind in ("integer", "number"):
        return series.astype("float64")
    if kind == "boolean" and not series.isna().any():
        return series.astype(bool)
    if kind == "datetime":
        try:
            return pd.to_datetime(series)
        except (ValueError, TypeError) as error:
            raise BadRequest(f"column {series.name!r}: {error}", column=str(series.name), expected="a date or time") from error
    return series


def _listed(result: Any, rows: int) -> list[Any]:
    if hasattr(result, "to_numpy"):
        result = result.to_numpy()
    values = result.tolist() if hasattr(result, "tolist") else list(result)
    if len(values) != rows:
        raise ContractError(f"the model gave {len(values)} results for {rows} rows")
    # A frame of one column is a column.
    if values and all(isinstance(value, list) and len(value) == 1 for value in values):
        values = [value[0] for value in values]
    return _finite([_plain(value) for value in values])


def _finite(values: list[Any]) -> list[Any]:
    return [None if isinstance(value, float) and not math.isfinite(value) else value for value in values]


def _plain(value: Any) -> Any:
    """A NumPy scalar as the Python value that it stands for."""
    item = getattr(value, "item", None)
    return item() if callable(item) and getattr(value, "ndim", 1) == 0 else value
