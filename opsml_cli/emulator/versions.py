"""What data, models, codes, environments and components have in common on the wire: containers, versions, labels of both.

A container is a name with versions. It has no record of its own: it is there while a version is, and what clients say of it
is an annotation with an empty version."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

from opsml_cli.emulator.bodies import Body
from opsml_cli.emulator.resources import envelope, location, ordered, page, system_data, viewed, who
from opsml_cli.emulator.wire import Call, Reply, WireError
from opsml_cli.local import annotations as notes
from opsml_cli.local.clock import now

_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9\-_]{0,254}\Z", re.ASCII)
_VERSION = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9\-_.]{0,254}\Z", re.ASCII)


class Named(Protocol):
    """A version as this machine keeps it."""

    @property
    def name(self) -> str: ...
    @property
    def version(self) -> str: ...
    @property
    def created_at(self) -> str: ...


Kept = TypeVar("Kept", bound=Named)


@dataclass(frozen=True, slots=True)
class Version:
    """One version as the wire shows it. `order` sorts versions by their creation; `properties` are complete."""

    name: str
    version: str
    created_at: str
    order: tuple[str, int]
    properties: Mapping[str, Any]
    created_by: str | None = None
    modified_at: str | None = None
    modified_by: str | None = None

    @property
    def archived(self) -> bool:
        return bool(self.properties.get("isArchived"))


@dataclass(frozen=True, slots=True)
class Container:
    """A name with versions, newest first."""

    name: str
    versions: Sequence[Version]
    said: Mapping[str, Any] = field(default_factory=dict)

    @property
    def archived(self) -> bool:
        return bool(self.said.get("isArchived"))

    @property
    def next_number(self) -> str:
        """One more than the highest version that is a number."""
        numbers = [int(each.version) for each in self.versions if each.version.isascii() and each.version.isdigit()]
        return str(max(numbers, default=0) + 1)


def by_name(found: Iterable[Kept]) -> dict[str, list[Kept]]:
    """Versions by their names without case, each name's in the order of `found`."""
    groups: dict[str, list[Kept]] = {}
    for each in found:
        groups.setdefault(each.name.casefold(), []).append(each)
    return groups


def of_records(
    call: Call, kind: str, found: Sequence[Kept], properties: Callable[[Call, Kept, Mapping[str, Any]], Mapping[str, Any]]
) -> list[Version]:
    """Versions as the wire shows them, in the order of `found`, which are newest first. `properties` makes those of one from
    it and from what clients said of it."""
    if not found:
        return []
    with call.served.local.store.read() as connection:
        said = notes.of_kind(connection, kind, found[0].name if len(found) == 1 else None)
    shown = []
    for place, each in enumerate(found):
        of_it = said.get((each.name.casefold(), each.version.casefold()), {})
        shown.append(
            Version(
                name=each.name,
                version=each.version,
                created_at=each.created_at,
                order=(each.created_at, -place),
                properties=properties(call, each, of_it),
                created_by=of_it.get("createdBy"),
                modified_at=of_it.get("modifiedAt") or each.created_at,
                modified_by=of_it.get("modifiedBy"),
            )
        )
    return shown


def names_of(call: Call, *, dots: bool = False) -> tuple[str, str]:
    """Name and version of the path, by Azure's patterns. 400. `dots`: the name may have some, as curated ones do."""
    name, version = call.parameters["name"], call.parameters.get("version", "1")
    if not _NAME.match(name.replace(".", "") if dots else name):
        raise WireError(
            400,
            f"Invalid name '{name}'. Names begin with a letter or digit and hold at most 255 letters, digits, '-' and '_'.",
            inner=("BadArgument", "ArgumentInvalid"),
        )
    if not _VERSION.match(version):
        raise WireError(
            400,
            f"Invalid version '{version}'. Versions begin with a letter or digit and hold letters, digits, '-', '_' and '.'.",
            inner=("BadArgument", "ArgumentInvalid"),
        )
    return name, version


def labels(properties: Body) -> dict[str, Any]:
    """What every version may be labelled with."""
    return {
        "description": properties.text("description"),
        "tags": words(properties, "tags"),
        "properties": words(properties, "properties"),
        "isArchived": properties.flag("isArchived") is True,
        "isAnonymous": properties.flag("isAnonymous") is True,
    }


def words(body: Body, key: str) -> dict[str, str]:
    """An object of strings below `key`. As the service does, numbers and truth values are taken for their text."""
    section = body.section(key)
    found: dict[str, str] = {}
    for name, value in section.value.items() if section is not None else ():
        if isinstance(value, bool | int | float):
            found[name] = str(value)
        elif value is not None:
            assert section is not None
            found[name] = section.text(name, required=False) or ""
    return found


def document(call: Call, segment: str, found: Version) -> dict[str, Any]:
    system = system_data(found.created_at, found.created_by, found.modified_at, found.modified_by)
    path = (segment, found.name, "versions", found.version)
    return envelope(call, path, f"{segment}/versions", found.properties, system)


def written(call: Call, segment: str, found: Version, *, new: bool) -> Reply:
    """The answer to a PUT of a version."""
    return Reply(201 if new else 200, document(call, segment, found), {"location": location(call)} if new else {})


def listed(call: Call, segment: str, found: Sequence[Version]) -> Reply:
    """A page of a container's versions."""
    items = ordered(call, viewed(call, found, lambda one: one.archived), lambda one: one.order)
    return Reply(value=page(call, items, lambda one: one.version, lambda one: document(call, segment, one)))


def containers_listed(call: Call, segment: str, found: Sequence[Container], extra: Any) -> Reply:
    """A page of containers, those with the newest version first. `extra` makes a container's own properties."""
    items = viewed(call, found, lambda one: one.archived)
    items.sort(key=lambda one: one.versions[0].order, reverse=True)
    return Reply(value=page(call, items, lambda one: one.name, lambda one: container_document(call, segment, one, extra(one))))


def container_document(call: Call, segment: str, found: Container, extra: Mapping[str, Any]) -> dict[str, Any]:
    said = found.said
    properties = {
        "description": said.get("description"),
        "tags": said.get("tags"),
        "properties": said.get("properties"),
        "isArchived": found.archived,
        **extra,
    }
    first, newest = found.versions[-1], found.versions[0]
    changed = said.get("modifiedAt") or newest.created_at
    system = system_data(first.created_at, first.created_by, changed, said.get("modifiedBy"))
    return envelope(call, (segment, found.name), segment, properties, system)


def said_of(call: Call, kind: str, name: str) -> Mapping[str, Any]:
    """What clients said of a container."""
    with call.served.local.store.read() as connection:
        return notes.find(connection, kind, name) or {}


def said_of_all(call: Call, kind: str) -> Mapping[str, Mapping[str, Any]]:
    """What clients said of the containers of a kind, by their names without case."""
    with call.served.local.store.read() as connection:
        found = notes.of_kind(connection, kind)
    return {name: document for (name, version), document in found.items() if not version}


def say(call: Call, kind: str, name: str) -> None:
    """Record a PUT of a container: its labels and whether it is archived."""
    properties = Body.of(call).section("properties", required=True)
    document = {
        "description": properties.text("description"),
        "tags": words(properties, "tags"),
        "properties": words(properties, "properties"),
        "isArchived": properties.flag("isArchived") is True,
        "modifiedAt": now(),
        "modifiedBy": who(call),
    }
    with call.served.local.store.write() as connection:
        notes.save(connection, kind, name, document)


def missing(noun: str, name: str, version: str | None = None) -> WireError:
    """404 for a container or a version. `noun` is the semantic code's beginning, such as `Model`."""
    shown = f"{name}:{version}" if version is not None else name
    return WireError(
        404,
        f"{noun} {'version' if version is not None else 'container'} with name: {shown} not found.",
        inner=("NotFound", f"{noun}NotFound"),
    )


def changed_uri(noun: str, member: str) -> WireError:
    """409 for a PUT of an existing version with another content."""
    article = "An" if noun[0] in "aeiou" else "A"
    return WireError(
        409,
        f"{article} {noun} version with this name and version already exists. If you are trying to create a new {noun} "
        f"version, use a different name or version. If you are trying to update an existing {noun} version, the existing "
        f"asset's {member} cannot be changed. Only tags, description, and isArchived can be updated.",
        inner=("Conflict", "AssetVersionExists"),
    )


def wrong_content(noun: str, message: str) -> WireError:
    """400 for content that cannot be a version."""
    return WireError(
        400, f"The content of the {noun.lower()} is not valid: {message}", inner=("BadArgument", "ArgumentInvalid")
    )
