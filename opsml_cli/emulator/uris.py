"""Addresses of content as the wire writes them, and what of it lies in this workspace."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from urllib.parse import unquote

from opsml_cli.domain.errors import NotFoundError
from opsml_cli.emulator.blob_access import SUFFIX, local_container
from opsml_cli.emulator.wire import Call
from opsml_cli.local.datastores import SYSTEM
from opsml_cli.local.locations import Location, datastore_of, locate

# The port may be that of an earlier start.
_BLOB = re.compile(r"https://localhost:\d+/_blob/([^/]+?)(?::443)?/([^/]+)/(.*)\Z", re.DOTALL | re.IGNORECASE)


def long_uri(call: Call, datastore: str, path: str, *, group: str = "resourcegroups") -> str:
    """The address of a datastore's path in its long form."""
    served = call.served
    return (
        f"azureml://subscriptions/{served.subscription}/{group}/{served.resource_group}/workspaces/{served.name}"
        f"/datastores/{datastore}/paths/{path}"
    )


def expanded(call: Call, uri: str, *, folder: bool, group: str = "resourcegroups") -> str:
    """`uri` in the long form when it names a datastore's path, a folder with a slash at its end; anything else as it is."""
    found = datastore_of(uri)
    if found is None:
        return uri
    datastore, path = found
    if folder and not path.endswith("/"):
        path += "/"
    return long_uri(call, datastore, path, group=group)


def located(call: Call, uri: str) -> Location | None:
    """Where `uri` points in this workspace: a datastore's path, a job's output, an artifact, or a blob of its account."""
    found = _BLOB.match(uri)
    if found is not None and found[1].lower() == call.served.account + SUFFIX:
        container = local_container(call.served, found[2])
        return None if container is None else Location(container, unquote(found[3]))
    return locate(uri, call.served.local.datastores.container)


def in_datastore(call: Call, uri: str, *, group: str) -> str | None:
    """The address of what `uri` points to by its datastore, in the long form; None for what lies elsewhere."""
    place = located(call, uri)
    datastore = {container: name for name, _, container in SYSTEM}.get(place.container) if place is not None else None
    return None if place is None or datastore is None else long_uri(call, datastore, place.path.rstrip("/"), group=group)


@contextmanager
def content(call: Call, uri: str) -> Iterator[Path | None]:
    """What `uri` points to, a file or a folder to be read; None when it lies elsewhere or is not there."""
    place = located(call, uri)
    if place is None:
        yield None
        return
    with ExitStack() as stack:
        try:
            path = stack.enter_context(call.served.local.storage.content(place.container, place.path))
        except NotFoundError:
            yield None
            return
        yield path
