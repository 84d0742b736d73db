"""The finished model as a folder in MLflow format that holds no pickle and needs nothing of this project."""

from __future__ import annotations

import json
import logging
import shutil
import warnings
from collections.abc import Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from opsml_cli.domain.errors import ContractError
from opsml_cli.domain.mlflow_path import mlflow_path
from opsml_cli.local.automl import scoring

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pandas as pd

LOADER = "opsml_tabular_model"
DATA = Path("data") / "data"  # in a model folder: what `scoring.load` reads
_TYPES = {"integer": "long", "number": "double", "boolean": "boolean", "string": "string", "datetime": "datetime"}
# A long column of MLflow refuses null, a boolean one reads it as false, and a double one refuses pandas' whole numbers: only
# "any" takes all that the model itself takes, so that MLflow's server and frames of any making are answered as ours are.
_OPEN = ("integer", "boolean")
AGREEMENT = 1e-9
_MOST_EXAMPLE_COLUMNS = 2000  # MLflow reads an example column by column, at every load


@dataclass(frozen=True, slots=True)
class Part:
    """A member of the served model: the texts of its boosters, or the arrays of its linear models."""

    algorithm: str
    weight: float
    link: str
    outputs: int
    boosters: Sequence[str] = ()
    linear: Sequence[Mapping[str, Any]] = field(default=())


@dataclass(frozen=True, slots=True)
class ModelDocument:
    """What `model.json` says besides the members."""

    task: str
    target: str
    classes: tuple[Any, ...]
    threshold: float | None
    positive_index: int | None
    columns: Sequence[Mapping[str, Any]]
    about: Mapping[str, object]


@contextmanager
def _quiet() -> Iterator[None]:
    """MLflow warns at length about its own guesses; none of it is for the user."""
    loggers = [logging.getLogger(name) for name in ("mlflow", "alembic", "git")]
    before = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, before, strict=True):
            logger.setLevel(level)


def write_data(folder: Path, document: ModelDocument, parts: Sequence[Part]) -> None:
    """The folder that `scoring.load` reads."""
    import numpy as np

    folder.mkdir(parents=True)
    members: list[dict[str, object]] = []
    for number, part in enumerate(parts):
        names: list[str] = []
        for index, text in enumerate(part.boosters):
            names.append(f"member{number}-{index}.txt")
            (folder / names[-1]).write_text(_lean(text), encoding="utf-8")
        for index, arrays in enumerate(part.linear):
            names.append(f"member{number}-{index}.npz")
            np.savez(folder / names[-1], allow_pickle=False, **arrays)
        kind = "lightgbm" if part.boosters else "linear"
        members.append({"kind": kind, "algorithm": part.algorithm, "weight": part.weight, "link": part.link,
                        "outputs": part.outputs, "files": names})  # fmt: skip
    content = {
        "format": scoring.FORMAT,
        "task": document.task,
        "target": document.target,
        "classes": list(document.classes),
        "threshold": document.threshold,
        "positive_index": document.positive_index,
        "columns": [dict(column) for column in document.columns],
        "members": members,
        "about": dict(document.about),
    }
    (folder / "model.json").write_text(json.dumps(content, ensure_ascii=False, indent=1), encoding="utf-8")


def _lean(text: str) -> str:
    """LightGBM's text without the training parameters, which prediction does not read."""
    head, mark, _ = text.partition("\nparameters:")
    return f"{head}\n" if mark else text


def save(folder: Path, data: Path, columns: Sequence[Mapping[str, Any]], example: pd.DataFrame, classes: Sequence[Any]) -> None:
    """Write the MLflow folder at `folder` around the data folder; `folder` must not exist."""
    with _quiet():
        import mlflow.pyfunc
        from mlflow.models import ModelSignature
        from mlflow.types import ColSpec, DataType, ParamSchema, ParamSpec, Schema

        inputs = Schema([ColSpec(_mlflow_type(column), name=column["name"]) for column in columns])
        outputs = Schema([ColSpec(_output_type(classes))])
        params = ParamSchema([ParamSpec("method", DataType.string, "predict")])
        code = data.parent / LOADER
        shutil.copytree(Path(scoring.__file__).parent, code, ignore=shutil.ignore_patterns("__pycache__"))
        mlflow.pyfunc.save_model(
            str(folder),
            loader_module=LOADER,
            data_path=str(data),
            code_paths=[str(code)],
            signature=ModelSignature(inputs=inputs, outputs=outputs, params=params),
            input_example=None,
            pip_requirements=requirements(),
            # What the columns hold, for whoever shows them: the signature says "any" of some.
            metadata={"column_types": {str(column["name"]): _TYPES[str(column["type"])] for column in columns}},
        )
        if len(columns) <= _MOST_EXAMPLE_COLUMNS:
            _add_example(folder, example)


def _add_example(folder: Path, example: pd.DataFrame) -> None:
    """MLflow's own way runs the model once more to guess a signature; this only writes what it writes."""
    from mlflow.models import Model
    from mlflow.models.utils import _Example

    made = _Example(example)
    made.save(str(folder))
    saved = Model.load(mlflow_path(folder))
    saved.saved_input_example_info = made.info
    saved.save(str(folder / "MLmodel"))


def requirements() -> list[str]:
    """What loading the model needs: public libraries, at the releases it was made with."""
    return [f"{name}=={version(name)}" for name in ("mlflow-skinny", "lightgbm", "numpy", "pandas")]


def _mlflow_type(column: Mapping[str, Any]) -> Any:
    from mlflow.types.schema import AnyType

    return AnyType() if column["type"] in _OPEN else _TYPES[str(column["type"])]


def _output_type(classes: Sequence[Any]) -> str:
    if not classes:
        return "double"
    first = classes[0]
    if isinstance(first, bool):
        return "boolean"
    if isinstance(first, int):
        return "long"
    return "double" if isinstance(first, float) else "string"


def example_frame(columns: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """One row that the signature accepts."""
    import pandas as pd

    values: dict[str, Any] = {}
    for column in columns:
        value, kind = column["example"], column["type"]
        # Azure's scoring casts each column to the type of the example's: only a float holds a missing number.
        number = kind in ("integer", "number")
        values[column["name"]] = [float(value) if number else pd.Timestamp(value) if kind == "datetime" else value]
    return pd.DataFrame(values)


def prove(folder: Path, rows: pd.DataFrame) -> dict[str, object]:
    """Load the folder as MLflow does and row by row as a server does; ContractError unless they agree to 1e-9.

    `rows` are as read for training: their columns may be wider than the model's."""
    import numpy as np

    with _quiet():
        import mlflow.pyfunc

        loaded = mlflow.pyfunc.load_model(mlflow_path(folder))
    model = scoring.load(str(folder / DATA))
    names = [column["name"] for column in model.columns]
    records = [dict(zip(names, values, strict=True)) for values in rows[names].itertuples(index=False, name=None)]
    by_row = [model.encode([record]) for record in records]
    implementation = loaded._model_impl
    frame = rows[names]
    if model.task == "classification":
        batch = np.asarray(implementation.predict(frame, {"method": "predict_proba"}))
        single = np.vstack([model.probabilities(matrix) for matrix in by_row])
    else:
        batch = np.asarray(implementation.predict(frame))
        single = np.concatenate([model.values(matrix) for matrix in by_row])
    worst = float(np.max(np.abs(batch - single))) if records else 0.0
    if not worst <= AGREEMENT:
        raise ContractError(
            f"the compiled scorer and the MLflow model disagree by {worst:g}",
            cause="this is a defect of opsml or of the installed LightGBM",
            fix="please report it with the job's log",
        )
    return {"rows": len(records), "largest_difference": worst, "tolerance": AGREEMENT}
