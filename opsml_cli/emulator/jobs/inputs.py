"""What the uris of a job's inputs mean here: registered data and models, objects of datastores, outputs of jobs."""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from opsml_cli.domain import names
from opsml_cli.domain.errors import InvalidInputError, NotFoundError, UsageError
from opsml_cli.domain.job import TableSource
from opsml_cli.domain.names import AssetRef
from opsml_cli.emulator import uris
from opsml_cli.emulator.wire import Call, WireError
from opsml_cli.local.pipelines.snapshot import Tree, store_tree

# An asset by the resource manager's id, with or without a scheme, and by the data plane's.
_ARM = re.compile(
    r"(?:azureml:/?/?)?/?subscriptions/[^/]+/resourcegroups/[^/]+/(?:providers/Microsoft\.MachineLearningServices/)?"
    r"workspaces/(?P<workspace>[^/]+)/(?P<kind>data|models|codes|components)/(?P<name>[^/]+)"
    r"/(?P<what>versions|labels)/(?P<version>[^/]+)/?\Z",
    re.IGNORECASE,
)
_DATA_PLANE = re.compile(
    r"azureml://locations/[^/]+/workspaces/(?P<workspace>[^/]+)/(?P<kind>data|models)/(?P<name>[^/]+)/versions/(?P<version>[^/]+)\Z",
    re.IGNORECASE,
)
# A label that an asset's latest version bears. `default` is set by nobody here, so it is on the latest too.
_LATEST = ("latest",)
_LATEST_COMPONENT = ("latest", "default")


def asset_of(call: Call, uri: str, kind: str) -> AssetRef | None:
    """The asset of `kind` (`data`, `models`, `codes`, `components`) that `uri` names; None when it is no asset's name.
    NotFoundError when it is one of another workspace."""
    match = _ARM.match(uri) or _DATA_PLANE.match(uri)
    if match is not None:
        if match["kind"].lower() != kind:
            return None
        if match["workspace"].casefold() not in (call.served.name.casefold(), call.served.workspace_id.casefold()):
            raise NotFoundError(f"{uri} lies in the workspace {match['workspace']}, not in {call.served.name}")
        labels = _LATEST_COMPONENT if kind == "components" else _LATEST
        latest = match["version"].lower() in labels and (match.groupdict().get("what") or "").lower() == "labels"
        return AssetRef(match["name"], None if latest else match["version"])
    if "//" in uri or not uri.startswith("azureml:"):
        return None
    return names.parse_ref(uri)


def table(call: Call, uri: str, field: str, stack: ExitStack) -> TableSource:
    """A table of a training. What lies in a datastore is at hand until `stack` closes. NotFoundError, InvalidInputError."""
    try:
        ref = asset_of(call, uri, "data")
    except UsageError as error:
        raise InvalidInputError(f"{field}: {error.message}", cause=error.cause) from error
    return TableSource(asset=ref) if ref is not None else TableSource(path=str(content(call, uri, field, stack)))


def content(call: Call, uri: str, field: str, stack: ExitStack) -> Path:
    """The file or folder behind a uri that is no asset's name, at hand until `stack` closes. It must not be changed.
    NotFoundError when there is nothing; InvalidInputError for what this workspace does not hold."""
    place = uris.located(call, uri)
    if place is None:
        raise InvalidInputError(
            f"{field}: {uri[:300]!r} does not lie in this workspace",
            cause="a job's input is a registered asset, a path of one of the workspace's datastores, or an output of a job",
            fix="register it first: opsml data register NAME SOURCE",
        )
    try:
        return stack.enter_context(call.served.local.storage.content(place.container, place.path))
    except NotFoundError as error:
        raise NotFoundError(f"{field}: nothing lies at {uri[:300]}") from error


def code_tree(call: Call, code_id: str) -> Tree:
    """The files of a code asset, stored. NotFoundError when it, or its upload, is not there."""
    found = _asset(call, code_id, "codes")
    with ExitStack() as stack:
        path = content(call, str(found["properties"]["codeUri"]), f"the code {code_id[-80:]}", stack)
        return store_tree(call.served.local.layout, path, code=True)


def component(call: Call, component_id: str) -> Mapping[str, Any]:
    """The specification of a component. 400 for one that is not there."""
    try:
        found = _asset(call, component_id, "components")
    except NotFoundError as error:
        inner = ("BadArgument", "ArgumentInvalid", "ComponentNotFound")
        raise WireError(400, f"Not found component {component_id}.", inner=inner) from error
    specification: Mapping[str, Any] = found.get("spec") or found["properties"]["componentSpec"]
    return specification


def _asset(call: Call, uri: str, kind: str) -> Mapping[str, Any]:
    """The document of a code or component. NotFoundError."""
    try:
        ref = asset_of(call, uri, kind)
    except UsageError as error:
        raise NotFoundError(f"no {kind} {uri[-200:]!r}") from error
    found = None if ref is None else call.served.local.assets.find(kind, ref.name, ref.version)
    if found is None:
        raise NotFoundError(f"no {kind} {uri[-200:]!r} in the workspace {call.served.name}")
    return found.document
