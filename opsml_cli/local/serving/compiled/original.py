"""The model as its own packages run it, asked for the truth. Runs in the host process only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from opsml_cli.domain.mlflow_path import mlflow_path

Rows = Sequence[Mapping[str, Any]]


class Original(Protocol):
    """What `compile_model` reads. `columns` have `name`, `type` (of MLflow's signatures) and `required`; `example` is a row.

    `frame` gives the data frame that the native model is called with; `predict` and `probabilities` answer rows (that passed
    `Schema.check`) exactly as the deployment would: JSON values, one a row. All three raise for what the deployment refuses.
    `method` is the native method behind `predict`."""

    native: Any
    columns: Sequence[Mapping[str, Any]]
    example: Mapping[str, Any]
    method: str

    def frame(self, rows: Rows) -> Any: ...

    def predict(self, rows: Rows) -> list[Any]: ...

    def probabilities(self, rows: Rows) -> list[Any] | None:
        """None when the model has none."""
        ...


_BEYOND_SINGLE = 2.0**128 - 2.0**103  # from here on float32 rounds to infinity
_NATIVE = ("sklearn_model", "lgb_model", "xgb_model", "cb_model")


class MlflowOriginal:
    """An MLflow folder by `mlflow.pyfunc`, rows read as MLflow's own server reads them. Loading it runs its code."""

    def __init__(self, folder: Path, model: Any = None) -> None:
        import mlflow.pyfunc

        self._model = model if model is not None else mlflow.pyfunc.load_model(mlflow_path(folder))
        inner = getattr(self._model, "_model_impl", None)
        # Only MLflow's own wrappers are known to add nothing to the model that they hold.
        wrapped = _NATIVE if type(inner).__module__.startswith("mlflow.") else ()
        self.native = next((found for name in wrapped if (found := getattr(inner, name, None)) is not None), inner)
        flavor = self._model.metadata.flavors.get("python_function", {})
        self.method = str(flavor.get("predict_fn", "predict"))
        self._schema = self._model.metadata.get_input_schema()
        self.columns = [
            {"name": spec.name, "type": getattr(spec.type, "name", "other"), "required": spec.required}
            for spec in (self._schema.inputs if self._schema is not None and not self._schema.is_tensor_spec() else ())
            if spec.name is not None
        ]
        self.example = self._example(folder)

    def _example(self, folder: Path) -> Mapping[str, Any]:
        import json

        for name in ("serving_input_example.json", "input_example.json"):
            try:
                document = json.loads((folder / name).read_text("utf-8"))
                split = document.get("dataframe_split", document)
                row = dict(zip(split["columns"], split["data"][0], strict=True))
            except (OSError, ValueError, KeyError, IndexError, TypeError, AttributeError):
                continue
            return {column["name"]: row.get(column["name"]) for column in self.columns}
        return {}

    def _parsed(self, rows: Rows) -> Any:
        from mlflow.utils.proto_json_utils import dataframe_from_parsed_json

        names = [column["name"] for column in self.columns if any(column["name"] in row for row in rows)]
        split = {"columns": names, "data": [[row.get(name) for name in names] for row in rows]}
        return dataframe_from_parsed_json(split, "split", self._schema)

    def frame(self, rows: Rows) -> Any:
        from mlflow.models.utils import _enforce_schema

        return _enforce_schema(self._parsed(rows), self._schema)

    def predict(self, rows: Rows) -> list[Any]:
        self._check_small(rows)
        return listed(self._model.predict(self._parsed(rows)))

    def _check_small(self, rows: Rows) -> None:
        """ValueError for what wraps around as an integer of 32 bits, and for what becomes infinite as a number of 32 bits:
        MLflow answers it, no deployment does."""
        for name in (column["name"] for column in self.columns if column["type"] == "integer"):
            for row in rows:
                value = row.get(name)
                if isinstance(value, int | float) and not -(1 << 31) <= value < 1 << 31:
                    raise ValueError(f"{value} in the column {name!r} is no integer of 32 bits")
        for name in (column["name"] for column in self.columns if column["type"] == "float"):
            for row in rows:
                if row.get(name) is not None and abs(float(row[name])) >= _BEYOND_SINGLE:
                    raise ValueError(f"{row[name]} in the column {name!r} is no number of 32 bits")

    def probabilities(self, rows: Rows) -> list[Any] | None:
        answer = getattr(self.native, "predict_proba", None)
        return None if answer is None else listed(answer(self.frame(rows)))


def listed(result: Any) -> list[Any]:
    """A result as JSON values, one a row; a table of one column is a column."""
    if hasattr(result, "to_numpy"):
        result = result.to_numpy()
    values = result.tolist() if hasattr(result, "tolist") else list(result)
    if values and all(isinstance(value, list) and len(value) == 1 for value in values):
        values = [value[0] for value in values]
    return list(values)
