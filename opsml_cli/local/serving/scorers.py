"""Models as the server's own process runs them: those that opsml trained, with no pandas and nothing foreign."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from opsml_cli.domain.column_values import shown
from opsml_cli.domain.contract import BadRequest, Column, Schema
from opsml_cli.domain.errors import ContractError, NotFoundError

if TYPE_CHECKING:
    from opsml_cli.local.serving.single_row import SingleRow


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

        self.model: Any = scoring.load(str(data_path))
        self._error: type[Exception] = scoring.ColumnError
        self._unfit: type[Exception] = scoring.UnfitError
        tokens = {entry["name"]: tuple(entry.get("missing_tokens") or ()) for entry in self.model.document["columns"]}
        self.schema = Schema(_column(entry, tokens[entry["name"]]) for entry in self.model.columns)
        self._classification = self.model.task == "classification"
        self.classes: tuple[object, ...] = tuple(_plain(label) for label in self.model.classes) if self._classification else ()

    @property
    def single(self) -> SingleRow | None:
        """The short way of one row, for one caller at a time; None where the model has none."""
        from opsml_cli.local.serving.own_row import short_way

        return short_way(self.model, [column.type for column in self.schema.columns])

    def score(self, rows: Sequence[dict[str, Any]], proba: bool) -> list[Any]:
        if proba and not self._classification:
            raise BadRequest("this model predicts numbers: it has no probabilities", expected="method predict")
        try:
            matrix = self.model.encode(rows)
        except self._error as error:
            column, value, expected = error.column, shown(error.value), error.expected  # type: ignore[attr-defined]
            raise BadRequest(str(error), row=error.row, column=column, value=value, expected=expected) from error  # type: ignore[attr-defined]
        except (ValueError, TypeError, OverflowError) as error:
            raise BadRequest(f"the model cannot read these rows: {error}") from error
        return self._results(matrix, proba)

    def score_frame(self, frame: Any) -> list[Any]:
        """As `score`, of a frame whose columns are of the types that the model reads."""
        return self._results(self.model.encode_frame(frame), False)

    def score_columns(self, columns: Sequence[Sequence[Any]], proba: bool) -> list[Any]:
        """As `score`, of plain values by column. ValueError and the like for what only `score` can read."""
        if proba and not self._classification:
            raise ValueError("this model predicts numbers")
        try:
            matrix = self.model.encode_columns(dict(zip(self.schema.names, columns, strict=True)))
        except self._unfit as error:
            raise ValueError from error
        return self._results(matrix, proba)

    def _results(self, matrix: Any, proba: bool) -> list[Any]:
        if not self._classification:
            return _finite(self.model.values(matrix).tolist())
        probabilities = self.model.probabilities(matrix)
        if proba:
            rows_of: list[Any] = probabilities.tolist()
            return rows_of
        return [_plain(label) for label in self.model.labels(probabilities)]


def load(folder: Path) -> OwnScorer:
    """The model in `folder`, which opsml trained, ready: the registry's word says that, never the folder's.

    ContractError when the folder is no MLflow model or does not load."""
    if not folder.is_dir():
        raise NotFoundError(f"the model folder {folder.name!r} is gone", fix="register the model again, and deploy it")
    return OwnScorer(own_data(folder, read_description(folder)))


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


def _finite(values: list[Any]) -> list[Any]:
    return [None if isinstance(value, float) and not math.isfinite(value) else value for value in values]


def _plain(value: Any) -> Any:
    """A NumPy scalar as the Python value that it stands for."""
    item = getattr(value, "item", None)
    return item() if callable(item) and getattr(value, "ndim", 1) == 0 else value
