"""A foreign MLflow folder over blocks of rows, in a host process of its own as an endpoint's deployment has one."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from opsml_cli.domain.contract import BadRequest
from opsml_cli.domain.errors import ContractError, InvalidInputError
from opsml_cli.domain.mlflow_signature import KINDS
from opsml_cli.local.batch import lines
from opsml_cli.local.batch.minibatch import MiniBatch, MiniBatchError
from opsml_cli.local.batch.own_model import refusal

if TYPE_CHECKING:
    from opsml_cli.domain.model import Model
    from opsml_cli.local.serving.hosting.session import HostSession


class HostedModel:
    """Started when it is needed, and again when it ended; `say` gets what the model prints."""

    def __init__(self, root: Path, model: Model, timeout: float, say: Callable[[str], None]) -> None:
        self._root, self._model, self._timeout, self._say = root, model, timeout, say
        self._open = ExitStack()
        self._session: HostSession | None = None

    def score(self, batch: MiniBatch) -> tuple[bytes, int]:
        from opsml_cli.local.serving.hosting import rows

        assert batch.block is not None
        if self._session is None:
            self._session = self._started()
        label = batch.files[0].label
        try:
            results = rows.score(self._session, batch.block.to_rows(), seconds=self._timeout)
        except BadRequest as error:
            raise MiniBatchError(refusal(error, label, batch.block)) from error
        except ContractError as error:
            self.close()
            raise MiniBatchError(error.message, final=False) from error
        return lines.of_predictions(_plain(results), batch.block.first, label), len(results)

    def _started(self) -> HostSession:
        from opsml_cli.local.serving.hosting import copies
        from opsml_cli.local.serving.hosting.process import HostFailedError
        from opsml_cli.local.serving.hosting.session import open_host

        source = copies.source_of(self._model)
        try:
            return self._open.enter_context(open_host(self._root, source, lambda _, text: self._say(text)))
        except HostFailedError as error:
            raise InvalidInputError(f"the model does not load: {error}") from error

    def close(self) -> None:
        self._session = None
        self._open.close()


def _plain(results: list[Any]) -> list[Any]:
    """A frame of one column is a column."""
    alone = bool(results) and all(isinstance(each, dict | list) and len(each) == 1 for each in results)
    return [next(iter(each.values())) if isinstance(each, dict) else each[0] for each in results] if alone else results


def types_of(folder: Path) -> Mapping[str, str] | None:
    """The columns that the folder's signature names, with the types of their JSON values, read without its code; None: not a
    plain table of named columns."""
    from opsml_cli.local.serving.scorers import read_description

    signature = read_description(folder).get("signature") or {}
    try:
        entries = json.loads(signature.get("inputs") or "[]")
    except (ValueError, TypeError, AttributeError):
        return None
    named = {
        str(each["name"]): KINDS.get(str(each.get("type")), "")
        for each in entries
        if isinstance(each, dict) and each.get("name")
    }
    tensors = any(isinstance(each, dict) and each.get("type") == "tensor" for each in entries)
    return named if named and len(named) == len(entries) and not tensors else None
