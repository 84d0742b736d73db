"""Models that opsml trained, as the scorer that answers for them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from opsml_cli.domain.data import ColumnType
from opsml_cli.domain.errors import UnsupportedError
from opsml_cli.domain.model import Model

if TYPE_CHECKING:
    from opsml_cli.local.automl.scoring import TabularModel


def loaded(model: Model, otherwise: str) -> TabularModel:
    """The scorer of a verified model. UnsupportedError for a foreign one; `otherwise` says what that means."""
    from opsml_cli.local.automl import scoring
    from opsml_cli.local.serving import scorers

    if not model.own:
        raise UnsupportedError(
            f"{model.name}:{model.version} was not trained by opsml: {otherwise}", fix="opsml score --model scores rows with it"
        )
    folder = Path(model.path)
    return scoring.load(str(scorers.own_data(folder, scorers.read_description(folder))))


# Whole numbers in training may be broken ones in other rows.
_READ_AS = {
    "integer": ColumnType.NUMBER,
    "number": ColumnType.NUMBER,
    "boolean": ColumnType.BOOLEAN,
    "datetime": ColumnType.DATETIME,
    "string": ColumnType.STRING,
}


def reading_types(model: TabularModel) -> dict[str, ColumnType]:
    """What a table's columns are read as for this model: its own columns, and the target where its classes are text."""
    types = {str(column["name"]): _READ_AS[column["type"]] for column in model.columns}
    if any(isinstance(label, str) for label in model.classes):
        types[model.target] = ColumnType.STRING
    return types
