"""Metric alerts of Azure Monitor on online endpoints. They are kept and listed; the command line's own rules are what the local
service watches, so a rule of opsml's is made one of those too."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from opsml_cli.domain.alert import AlertState, Condition, parse_condition
from opsml_cli.domain.errors import NotFoundError, UsageError
from opsml_cli.emulator.bodies import Body
from opsml_cli.emulator.resources import system_data, who
from opsml_cli.emulator.site import Served
from opsml_cli.emulator.wire import Call, Reply, Route, WireError
from opsml_cli.local import annotations as notes_of
from opsml_cli.local.clock import now
from opsml_cli.local.store import Store

_NOTES = "metric alert"
_TYPE = "Microsoft.Insights/metricAlerts"
_WINDOWS = ("PT1M", "PT5M", "PT15M", "PT30M", "PT1H", "PT6H", "PT12H", "P1D")
_FREQUENCIES = ("PT1M", "PT5M", "PT15M", "PT30M", "PT1H")
_OPERATORS = ("Equals", "GreaterThan", "GreaterThanOrEqual", "LessThan", "LessThanOrEqual")
_AGGREGATIONS = ("Average", "Count", "Minimum", "Maximum", "Total")
_CRITERIA = "Microsoft.Azure.Monitor.SingleResourceMultipleMetricCriteria"
_METRICS = (*(f"RequestLatency{part}" for part in ("", "_P50", "_P90", "_P95", "_P99")), "RequestsPerMinute")
_MARK = "opsml.rule"
_STATES = {AlertState.OK: "Healthy", AlertState.NO_DATA: "Healthy", AlertState.FIRING: "Unhealthy"}


def put(call: Call) -> Reply:
    """201 for a new rule, 200 for one that is there."""
    body = Body.of(call)
    if (body.text("location", required=True)).lower() != "global":
        raise body.wrong("location", "the value of a metric alert must be global.")
    properties = body.section("properties", required=True)
    shown = _read(properties)
    endpoint = _endpoint(shown["scopes"][0])
    with _served(call, shown["scopes"][0]) as served:
        try:
            served.local.online_endpoints.get(endpoint)
        except (NotFoundError, UsageError):
            raise _refused(404, "ResourceNotFound", f"The Resource '{shown['scopes'][0]}' was not found.") from None
        name = call.parameters["name"]
        before = _find(served.local.store, name)
        tags = body.texts("tags")
        rule = _rule(tags)
        document: dict[str, Any] = {
            "name": name,
            "tags": tags,
            "properties": shown,
            "created": before["created"] if before else now(),
            "by": before["by"] if before else who(call),
            "resource_group": call.parameters["group"],
            "rule": rule,
        }
        with served.local.store.write() as connection:
            notes_of.save(connection, _NOTES, name, document)
        if rule is not None:
            served.local.alerts.create(endpoint, parse_condition(rule), serve=False)
        return Reply(200 if before else 201, _shown(call, document))


def get(call: Call) -> Reply:
    document = _known(call)
    return Reply(value=_shown(call, document))


def list_(call: Call) -> Reply:
    found = [_shown(call, document) for document in _all(call)]
    return Reply(value={"value": sorted(found, key=lambda each: str(each["name"]))})


def delete(call: Call) -> Reply:
    """200; 204 when there is none of that name."""
    try:
        document = _known(call)
    except WireError:
        return Reply(204, content=b"")
    scope = document["properties"]["scopes"][0]
    with _served(call, scope) as served:
        with served.local.store.write() as connection:
            notes_of.remove(connection, _NOTES, document["name"])
        if document["rule"] is not None:
            with suppress(NotFoundError):  # when its endpoint went, the rule went with it
                served.local.alerts.delete(_endpoint(scope), parse_condition(document["rule"]).name)
    return Reply(200, content=b"")


def status(call: Call) -> Reply:
    """How the rule stands; nothing for one that this machine does not watch."""
    document = _known(call)
    scope = document["properties"]["scopes"][0]
    found: list[dict[str, Any]] = []
    with _served(call, scope) as served:
        try:
            alerts = served.local.alerts.list(_endpoint(scope))
        except NotFoundError:
            alerts = ()
        for alert in alerts:
            if str(alert.rule) == document["rule"] and alert.state in _STATES:
                told: dict[str, Any] = {"status": _STATES[alert.state], "timestamp": alert.since, "dimensions": {}}
                found.append({"name": document["name"], "type": f"{_TYPE}/status", "properties": told})
    return Reply(value={"value": found})


def _read(properties: Body) -> dict[str, Any]:
    scopes = properties.words("scopes")
    if not scopes or len(scopes) != 1 or "/onlineendpoints/" not in scopes[0].lower():
        raise properties.wrong("scopes", "one online endpoint is expected.")
    severity = properties.integer("severity", 0)
    if severity is None or severity > 4:
        raise properties.wrong("severity", "a value from 0 to 4 is required.")
    enabled = properties.flag("enabled")
    if enabled is None:
        raise properties.wrong("enabled", "a value is required.", "ArgumentNullOrEmpty")
    criteria = properties.section("criteria", required=True)
    if criteria.text("odata.type", required=True) != _CRITERIA:
        raise criteria.wrong("odata.type", f"the value {criteria.text('odata.type')!r} is not supported.")
    conditions = criteria.value.get("allOf")
    if not isinstance(conditions, list) or not conditions:
        raise criteria.wrong("allOf", "a value is required.", "ArgumentNullOrEmpty")
    for number, value in enumerate(conditions):
        one = Body(value if isinstance(value, dict) else {}, f"{criteria.place}.allOf[{number}]")
        one.text("name", required=True)
        one.choice("metricName", _METRICS, required=True)
        one.choice("operator", _OPERATORS, required=True)
        one.choice("timeAggregation", _AGGREGATIONS, required=True)
        if one.number("threshold") is None:
            raise one.wrong("threshold", "a value is required.", "ArgumentNullOrEmpty")
    return {
        "description": properties.text("description"),
        "severity": severity,
        "enabled": enabled,
        "scopes": scopes,
        "evaluationFrequency": properties.choice("evaluationFrequency", _FREQUENCIES, required=True),
        "windowSize": properties.choice("windowSize", _WINDOWS, required=True),
        "criteria": json.loads(json.dumps(criteria.value)),
        "autoMitigate": properties.flag("autoMitigate") is not False,
        "actions": properties.value.get("actions") or [],
    }


def _rule(tags: dict[str, str]) -> str | None:
    try:
        found: Condition = parse_condition(tags.get(_MARK, ""))
    except UsageError:
        return None
    return str(found)


def _endpoint(scope: str) -> str:
    return scope.rstrip("/").rpartition("/")[2]


@contextmanager
def _served(call: Call, scope: str) -> Iterator[Served]:
    """The workspace in which `scope` lies. 404 when it is none of this machine's."""
    for place in call.site.workspaces():
        with call.site.serve(place) as served:
            if scope.lower().startswith(served.arm_id.lower() + "/"):
                yield served
                return
    raise _refused(404, "ResourceNotFound", f"The Resource '{scope}' was not found.")


def _all(call: Call) -> Iterator[dict[str, Any]]:
    """Every rule of the resource group."""
    for place in call.site.workspaces():
        if (place.subscription.lower(), place.resource_group.lower()) != (
            call.parameters["subscription"].lower(),
            call.parameters["group"].lower(),
        ):
            continue
        with call.site.serve(place) as served, served.local.store.read() as connection:
            yield from notes_of.of_kind(connection, _NOTES).values()


def _find(store: Store, name: str) -> dict[str, Any] | None:
    with store.read() as connection:
        return notes_of.find(connection, _NOTES, name)


def _known(call: Call) -> dict[str, Any]:
    name = call.parameters["name"]
    for document in _all(call):
        if str(document["name"]).casefold() == name.casefold():
            return document
    group = call.parameters["group"]
    message = f"The Resource '{_TYPE}/{name}' under resource group '{group}' was not found."
    raise _refused(404, "ResourceNotFound", message)


def _shown(call: Call, document: dict[str, Any]) -> dict[str, Any]:
    base = f"/subscriptions/{call.parameters['subscription']}/resourceGroups/{call.parameters['group']}"
    return {
        "id": f"{base}/providers/{_TYPE}/{document['name']}",
        "name": document["name"],
        "type": _TYPE,
        "location": "global",
        "tags": document["tags"],
        "properties": document["properties"],
        "systemData": system_data(document["created"], document["by"]),
    }


def _refused(status: int, code: str, message: str) -> WireError:
    return WireError(status, message, code=code, form="plain")


_BASE = "/subscriptions/{subscription}/resourceGroups/{group}/providers/Microsoft.Insights/metricAlerts"
_ONE = _BASE + "/{name}"
ROUTES = (
    Route("GET", _BASE, list_),
    Route("GET", _ONE, get),
    Route(
        "PUT", _ONE, put, "write",
        note="on one online endpoint; only rules that `opsml insights alerts` made are watched, and no action group is called",
    ),
    Route("DELETE", _ONE, delete, "write"),
    Route("GET", _ONE + "/status", status),
)  # fmt: skip
