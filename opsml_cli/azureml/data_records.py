"""Data versions on the wire, and what opsml keeps of them there.

Azure knows nothing of a version's content but where it lies. The facts that cannot change are properties (Azure takes no
change of them); the target column can, so it is a tag. Profiles are objects beside the data, named by the content's hash."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from opsml_cli.azureml import wire
from opsml_cli.domain.data import DataAsset, DataProfile, DataType
from opsml_cli.domain.errors import ContractError

if TYPE_CHECKING:
    from opsml_cli.azureml.storage import Container

_SHA256, _SIZE, _ROWS, _COLUMNS, _SOURCE = (f"opsml.{name}" for name in ("sha256", "size_bytes", "rows", "columns", "source"))
_TARGET = "opsml.target_column"
UNKNOWN = "it was not registered by opsml, and Azure keeps no such fact of data"


def asset_of(document: Mapping[str, Any], profile: DataProfile | None = None) -> DataAsset:
    """A version as Azure shows it. What opsml did not record is empty, and `unknown` says why."""
    properties = document["properties"]
    facts = properties.get("properties") or {}
    tags = dict(properties.get("tags") or {})
    target = tags.pop(_TARGET, None)
    try:
        kind = DataType(str(properties.get("dataType", "uri_folder")).casefold())
    except ValueError as error:
        raise ContractError(f"Azure gave {properties.get('dataType')!r} as a type of data") from error
    own = _SHA256 in facts
    return DataAsset(
        name=wire.from_id(document["id"], "data"),
        version=str(document["name"]),
        type=kind,
        uri=str(properties.get("dataUri") or ""),
        rows=_number(facts.get(_ROWS)),
        columns=_number(facts.get(_COLUMNS)),
        sha256=str(facts.get(_SHA256) or ""),
        size_bytes=_number(facts.get(_SIZE)) or 0,
        created_at=wire.created_at(document),
        description=properties.get("description") or None,
        tags=tags,
        target_column=target,
        source=facts.get(_SOURCE),
        profile=profile,
        unknown={} if own else dict.fromkeys(("rows", "columns", "sha256", "size_bytes", "profile"), UNKNOWN),
    )


def body_of(asset: DataAsset) -> dict[str, Any]:
    """What is PUT for a version."""
    facts = {
        _SHA256: asset.sha256,
        _SIZE: str(asset.size_bytes),
        _ROWS: None if asset.rows is None else str(asset.rows),
        _COLUMNS: None if asset.columns is None else str(asset.columns),
        _SOURCE: asset.source,
    }
    tags = {**asset.tags, **({_TARGET: asset.target_column} if asset.target_column is not None else {})}
    return {
        "properties": {
            "dataType": asset.type.value,
            "dataUri": asset.uri,
            "description": asset.description,
            "tags": tags,
            "properties": {name: value for name, value in facts.items() if value} if asset.sha256 else {},
            "isAnonymous": False,
            "isArchived": False,
        }
    }


def _number(text: str | None) -> int | None:
    return int(text) if text is not None and text.isdecimal() else None


class Profiles:
    """The profiles of contents, kept in the default datastore."""

    def __init__(self, container: Container) -> None:
        self._container = container

    def find(self, sha256: str, target_column: str | None) -> DataProfile | None:
        """The profile of that content, with the class balance of `target_column`; None when it was not made yet."""
        if not sha256:
            return None
        path = _path(sha256, target_column)
        stored = self._container.find(path)
        if stored is None or stored.size == 0:
            return None
        try:
            from opsml_cli.tables.profile_record import read_profile

            return read_profile(json.loads(self._container.read(path, 0, stored.size)))
        except (KeyError, TypeError, ValueError):  # of a later opsml, or somebody else's: it is made again
            return None

    def keep(self, sha256: str, profile: DataProfile) -> None:
        """Store it under the content and its own target."""
        from opsml_cli.azureml.transfer import md5_of
        from opsml_cli.tables.profile_record import profile_document

        target = None if profile.target is None else profile.target.column
        content = json.dumps(profile_document(profile), ensure_ascii=False, separators=(",", ":")).encode()
        self._container.write(_path(sha256, target), content, md5_of(content))


def _path(sha256: str, target_column: str | None) -> str:
    end = "" if target_column is None else "-" + hashlib.sha256(target_column.encode()).hexdigest()[:16]
    return f"opsml/profiles/{sha256}{end}.json"
