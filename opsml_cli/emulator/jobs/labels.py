"""What may change on a job that exists: description, tags, display name, properties, and whether it is archived."""

from __future__ import annotations

from collections.abc import Mapping

from opsml_cli.domain.job import Job
from opsml_cli.emulator.jobs import resource
from opsml_cli.emulator.wire import Call, WireError

MUTABLE = ("description", "tags", "displayName", "properties", "isArchived")


def change(
    call: Call,
    job: Job,
    *,
    description: str | None = None,
    display_name: str | None = None,
    tags: Mapping[str, str] | None = None,
    properties: Mapping[str, str] | None = None,
    archived: bool | None = None,
    merge: bool,
) -> None:
    """Write the labels; None leaves one as it is. `merge`: tags are added to those there are. Properties are only ever
    added: 400 for one with another value."""
    notes = resource.notes_of(call, job.name)
    shown = resource.labels_of(call, job, notes)
    said = dict(notes.get("properties") or {})
    for key, value in (properties or {}).items():
        if key in shown["properties"] and shown["properties"][key] != value:
            raise immutable("properties")
        if key not in shown["properties"]:
            said[key] = value
    if description is not None:
        notes["description"] = description
    if archived is not None:
        notes["archived"] = archived
    resource.save_notes(call, job.name, {**notes, "properties": said})
    if tags is not None:
        # The service's own tags come back with those that the client read.
        mine = {key: value for key, value in tags.items() if key in job.tags or shown["tags"].get(key) != value}
        tags = {**job.tags, **mine} if merge else mine
    if tags is not None or display_name is not None:
        call.served.local.jobs.describe(job.name, display_name=display_name, tags=tags)


def immutable(member: str) -> WireError:
    return WireError(
        400,
        "A job with this name already exists. If you are trying to create a new job, use a different name. If you are trying "
        f"to update an existing job, the existing job's {member} cannot be changed. "
        "Only description, tags, displayName, properties, and isArchived can be updated.",
        inner=("BadArgument", "ArgumentInvalid", "ImmutableProperty"),
    )
