"""From Azure ML's addresses of content (`azureml://…`, `runs:/…`) to containers and paths of this workspace."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from opsml_cli.local.storage.views import ARTIFACTS, BLOBSTORE, output_path, run_path

_DATASTORE = re.compile(
    r"azureml://(?:subscriptions/[^/]+/resourcegroups/[^/]+/workspaces/[^/]+/)?datastores/([^/]+)/(?:paths/)?(.*)\Z",
    re.IGNORECASE | re.DOTALL,
)
_JOB = re.compile(r"azureml://jobs/([^/]+)/outputs/([^/]+)(?:/paths/|/)?(.*)\Z", re.IGNORECASE | re.DOTALL)
_RUN = re.compile(r"runs:/+([^/?]+)/(.*)\Z", re.DOTALL)
# Outputs of a job that stand for its whole artifact root.
_ROOTS = ("artifacts", "default")


@dataclass(frozen=True, slots=True)
class Location:
    """Something in a container: a file, or everything below `path/`."""

    container: str
    path: str


def locate(uri: str, container_of: Callable[[str], str | None]) -> Location | None:
    """Where `uri` points in this workspace; None for what lies elsewhere. `container_of` knows the datastores."""
    found = _DATASTORE.match(uri)
    if found is not None:
        container = container_of(found[1])
        return None if container is None else Location(container, found[2])
    found = _JOB.match(uri)
    if found is not None:
        if found[2] in _ROOTS:
            return Location(ARTIFACTS, run_path(found[1], found[3]))
        return Location(BLOBSTORE, output_path(found[1], found[2], found[3]))
    found = _RUN.match(uri)
    return None if found is None else Location(ARTIFACTS, run_path(found[1], found[2]))


def datastore_of(uri: str) -> tuple[str, str] | None:
    """The datastore and the path that an address names, in its short or long form."""
    found = _DATASTORE.match(uri)
    return None if found is None else (found[1], found[2])
