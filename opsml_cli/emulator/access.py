"""Who may do what: the bearer token, the workspace that a path names, and the role that the operation needs."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from opsml_cli.emulator.routing import Match, Request, full
from opsml_cli.emulator.wire import Route, WireError
from opsml_cli.local.azure_names import AzureNames, Directory
from opsml_cli.local.principals import Principal, Principals

if TYPE_CHECKING:
    from opsml_cli.emulator.identity import Identity
    from opsml_cli.local.workspace import LocalWorkspace

_VERSION = re.compile(r"\d{4}-\d{2}-\d{2}(-[a-z]+)?\Z", re.IGNORECASE)
_VERBS = {"GET": "read", "HEAD": "read", "PUT": "write", "PATCH": "write", "DELETE": "delete"}
_DATA_PLANE = re.compile(r"/[^/{]+(/[^/{]+)*\{ws\}")


@dataclass(frozen=True, slots=True)
class Admitted:
    """What was found out about a request before its handler sees it."""

    names: AzureNames | None
    principal: Principal | None


def form(template: str) -> str:
    """Which error body belongs to a route: `arm`, `data`, `blob` or `online` (plain text)."""
    for host in ("blob", "online"):
        if template.startswith(f"/_{host}/"):
            return host
    return "data" if _DATA_PLANE.match(template) or template.startswith("/_batch") else "arm"


def form_of(match: Match | frozenset[str]) -> str:
    """The form of a request's route; `arm` when it has none."""
    return form(match.route.template) if isinstance(match, Match) else "arm"


def admit(request: Request, match: Match, identity: Identity, first: LocalWorkspace) -> Admitted:
    """Check a request as the resource manager does, in its order: token, version, subscription, role, resource. WireError."""
    route, parameters = match.route, match.parameters
    if route.access == "scoring":
        # The host's handler finds the endpoint's workspace and its caller: this is the way of every score.
        return Admitted(None, None)
    directory = Directory(first)
    known = directory.list() or [directory.first()]
    if route.access not in ("read", "write"):
        return Admitted(_by_account(known, parameters), None)
    kind = form(route.template)
    caller = identity.caller(request.token, identity.data_plane if kind == "data" else identity.management)
    resources = full(route.template).lower().startswith("/subscriptions")
    if resources:
        _check_version(request.query)
    _check_subscription(known, parameters)
    scope = _scope(known, parameters)
    found = principal(first, caller.client_id, scope)
    action = action_of(route)
    if found is None or not found.may(action):
        over = request.path if resources else scope
        raise WireError(
            403,
            f"The client '{caller.client_id}' with object id '{caller.object_id}' does not have authorization to perform "
            f"action '{action}' over scope '{over}' or the scope is invalid. If access was recently granted, please refresh "
            "your credentials.",
            code="AuthorizationFailed",
            form="plain",
            inner=("Auth", "Authorization"),
        )
    return Admitted(_workspace(known, route, parameters), found)


def action_of(route: Route) -> str:
    """The permission of Azure's role definitions that an operation needs, such as
    `Microsoft.MachineLearningServices/workspaces/jobs/write`."""
    template = full(route.template)
    lead, _, rest = template.rpartition("/providers/")
    if not lead:
        rest = "Microsoft.Resources" + template if template.startswith("/subscriptions") else "Microsoft.Graph" + template
    words = [word for word in rest.split("/") if not word.startswith("{")]
    if route.method == "POST":
        verb = "read" if route.access == "read" else "write" if form(route.template) == "data" else "action"
    else:
        verb = _VERBS[route.method]
    return "/".join((*words, verb))


def _check_version(query: Mapping[str, str]) -> None:
    version = query.get("api-version")
    if not version:
        raise WireError(
            400,
            "The api-version query parameter (?api-version=) is required for all requests.",
            code="MissingApiVersionParameter",
            form="plain",
        )
    if not _VERSION.match(version):
        raise WireError(400, f"The api-version '{version}' is invalid.", code="InvalidApiVersionParameter", form="plain")


def _check_subscription(known: list[AzureNames], parameters: Mapping[str, str]) -> None:
    wanted = parameters.get("subscription")
    if wanted is not None and all(each.subscription.casefold() != wanted.casefold() for each in known):
        raise WireError(404, f"The subscription '{wanted}' could not be found.", code="SubscriptionNotFound", form="plain")


def _scope(known: list[AzureNames], parameters: Mapping[str, str]) -> str:
    """The scope on which the caller's roles count: as far as the path names one."""
    subscription = parameters.get("subscription")
    if subscription is None:
        first = known[0]
        return arm_id(first.subscription, first.resource_group, first.name)
    group, name = parameters.get("resource_group"), parameters.get("workspace")
    if group is None:
        # Who holds a role somewhere in the subscription may follow what it began there.
        same = next(each for each in known if each.subscription.casefold() == subscription.casefold())
        return arm_id(same.subscription, same.resource_group, same.name)
    if name is None:
        return f"/subscriptions/{subscription}/resourceGroups/{group}"
    return arm_id(subscription, group, name)


def arm_id(subscription: str, resource_group: str, name: str) -> str:
    return (
        f"/subscriptions/{subscription}/resourceGroups/{resource_group}"
        f"/providers/Microsoft.MachineLearningServices/workspaces/{name}"
    )


def principal(first: LocalWorkspace, client_id: str, scope: str) -> Principal | None:
    """The principal of a client with its roles on `scope`."""
    for application in Principals(first.layout, first.store).list():
        if application.client_id == client_id:
            return application.seen_from(scope)
    return None


def _workspace(known: list[AzureNames], route: Route, parameters: Mapping[str, str]) -> AzureNames | None:
    """What the path names; the first one for a path that names none. A route that makes workspaces finds out itself."""
    subscription, group, name = (parameters.get(each) for each in ("subscription", "resource_group", "workspace"))
    if subscription is None or group is None:
        return known[0]
    if name is None or "{ws}" not in route.template:
        return None
    key = "/".join((subscription, group, name)).casefold()
    found = next((each for each in known if each.key == key), None)
    if found is not None:
        return found
    if form(route.template) == "data":
        raise WireError(404, "Workspace not found.", inner=("NotFound", "WorkspaceNotFound"))
    if all(each.resource_group.casefold() != group.casefold() for each in known):
        raise WireError(404, f"Resource group '{group}' could not be found.", code="ResourceGroupNotFound", form="plain")
    raise missing(group, name)


def missing(group: str, name: str) -> WireError:
    """The resource manager's answer for a workspace that is not there."""
    return WireError(
        404,
        f"The Resource 'Microsoft.MachineLearningServices/workspaces/{name}' under resource group '{group}' was not found. "
        "For more details please go to https://aka.ms/ARMResourceNotFoundFix",
        code="ResourceNotFound",
        form="plain",
    )


def _by_account(known: list[AzureNames], parameters: Mapping[str, str]) -> AzureNames:
    account = parameters.get("account", "").partition(".")[0].casefold()
    return next((each for each in known if each.account == account), known[0])
