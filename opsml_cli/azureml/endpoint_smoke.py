"""One real request to a new deployment, before anybody else's reaches it."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from opsml_cli.domain import names
from opsml_cli.domain.errors import InvalidInputError, NotFoundError, OpsmlError
from opsml_cli.domain.names import AssetRef

if TYPE_CHECKING:
    from opsml_cli.azureml.context import Context
    from opsml_cli.azureml.data import AzureData
    from opsml_cli.azureml.models import AzureModels
    from opsml_cli.domain.endpoint import Row
    from opsml_cli.domain.model import Model
    from opsml_cli.scoring_client import ScoringClient

_LARGEST_EXAMPLE = 1 << 20
_DEFAULTS: dict[str, object] = {"boolean": False, "string": "", "datetime": "2000-01-01T00:00:00"}


def try_out(client: ScoringClient, deployment: str, row: Row) -> None:
    """Score `row` with `deployment`; any OpsmlError says why it did not answer."""
    client.try_out(row, deployment)


class Examples:
    """Where a row for a model comes from."""

    def __init__(self, context: Context, models: Callable[[], AzureModels], data: Callable[[], AzureData]) -> None:
        self._context = context
        self._models = models
        self._data = data

    def row(self, ref: AssetRef) -> Row:
        """A row that the model should answer: the example beside the model, one of its training data, or one that its
        signature describes. InvalidInputError when nothing tells what it takes."""
        model = self._models().get(ref)
        for source in (self._beside, self._trained_on):
            try:
                found = source(model)
            except OpsmlError:  # another source may do
                continue
            if found:
                return found
        if model.signature is None:
            raise InvalidInputError(
                f"model {model.name}:{model.version} has no signature, no example and no known training data",
                cause="nothing tells which row could try it out",
                fix="log the model with a signature or an input example",
            )
        return {column.name: _DEFAULTS.get(column.type, 0) for column in model.signature.inputs}

    def _beside(self, model: Model) -> dict[str, Any] | None:
        """The first row of `input_example.json`, as MLflow saves it."""
        from opsml_cli.azureml.storage import parse_location

        location = parse_location(model.path)
        container = self._context.storage.container(location.datastore)
        path = f"{location.path.rstrip('/')}/input_example.json"
        stored = container.find(path)
        if stored is None or not 0 < stored.size <= _LARGEST_EXAMPLE:
            return None
        try:
            document = json.loads(container.read(path, 0, stored.size))
        except ValueError:
            return None
        if isinstance(document, dict) and document.get("columns") and document.get("data"):
            return dict(zip(document["columns"], document["data"][0], strict=False))
        return None

    def _trained_on(self, model: Model) -> dict[str, Any] | None:
        if model.data is None:
            return None
        asset = self._data().get(model.data)
        hidden = {names.key(asset.target_column)} if asset.target_column is not None else set()
        wanted = None if model.signature is None else {column.name for column in model.signature.inputs}
        rows = self._data().sample(model.data, 1)
        if not rows:
            raise NotFoundError(f"{asset.name}:{asset.version} has no rows")
        return {
            name: value
            for name, value in rows[0].items()
            if (name in wanted if wanted is not None else names.key(name) not in hidden)
        }
