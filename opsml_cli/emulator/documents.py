"""Codes, environments and components as versions of the wire: what the three have in common."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from opsml_cli.emulator import versions
from opsml_cli.emulator.resources import who
from opsml_cli.emulator.versions import Container, Version
from opsml_cli.emulator.wire import Call
from opsml_cli.local.assets import AssetVersion


def kept(call: Call, old: AssetVersion | None, properties: Mapping[str, Any], **more: Any) -> dict[str, Any]:
    """The document to keep: the wire's properties, who made and who changed it, and what the kind adds."""
    caller = who(call)
    if old is None:
        return {"properties": dict(properties), "createdBy": caller, "modifiedBy": caller, **more}
    return {**old.document, "properties": dict(properties), "modifiedBy": caller, **more}


def version_of(found: AssetVersion, properties: Mapping[str, Any] | None = None) -> Version:
    """A kept version as the wire shows it; `properties` None: as they were kept."""
    document = found.document
    return Version(
        name=found.name,
        version=found.version,
        created_at=found.created_at,
        order=(found.created_at, found.sequence),
        properties=document["properties"] if properties is None else properties,
        created_by=document.get("createdBy"),
        modified_at=found.modified_at,
        modified_by=document.get("modifiedBy"),
    )


def containers(call: Call, kind: str, found: Iterable[AssetVersion]) -> list[Container]:
    """The names of `found` (newest first) with their versions."""
    said = versions.said_of_all(call, kind)
    by_name = versions.by_name(version_of(each) for each in found)
    return [Container(every[0].name, every, said.get(key, {})) for key, every in by_name.items()]


def container(call: Call, kind: str, name: str, found: Sequence[AssetVersion]) -> Container:
    return Container(found[0].name, [version_of(each) for each in found], versions.said_of(call, kind, name))
