"""Alert rules of Azure endpoints: metric alerts of Azure Monitor, under names made of what they say.

Azure watches one metric a rule, over the windows that it has; whom it tells is up to its action groups, which a rule that opsml
makes leaves empty."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from opsml_cli.domain import names
from opsml_cli.domain.alert import Alert, AlertSaved, AlertState, Condition, Measure, parse_condition
from opsml_cli.domain.errors import NotFoundError, UnsupportedError, UsageError
from opsml_cli.domain.fields import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Callable

    from opsml_cli.azureml.context import Context
    from opsml_cli.azureml.endpoints import AzureEndpoints

VERSION = "2018-03-01"
_NAMESPACE = "Microsoft.MachineLearningServices/workspaces/onlineEndpoints"
_WINDOWS = {60: "PT1M", 300: "PT5M", 900: "PT15M", 1800: "PT30M", 3600: "PT1H", 21600: "PT6H", 43200: "PT12H", 86400: "P1D"}
_OPERATORS = {">": "GreaterThan", ">=": "GreaterThanOrEqual", "<": "LessThan", "<=": "LessThanOrEqual"}
_LATENCIES = {
    Measure.P50: "RequestLatency_P50",
    Measure.P95: "RequestLatency_P95",
    Measure.P99: "RequestLatency_P99",
}
_MARK = "opsml.rule"  # the tag that holds the rule's own words


class AzureAlerts:
    """The `alerts` group of an Azure ML workspace."""

    def __init__(self, context: Context, endpoints: Callable[[], AzureEndpoints]) -> None:
        self._context = context
        self._endpoints = endpoints

    def create(self, endpoint: str, rule: Condition) -> AlertSaved:
        """As the port says. UnsupportedError for a share of errors, and for a window that Azure Monitor does not have."""
        criterion = criterion_of(rule)
        found = self._endpoints().get(endpoint).name
        held = self._context.rest.find(f"{self._base}/{self._resource(found, rule.name)}", VERSION)
        if held is not None and (held.get("tags") or {}).get(_MARK) == str(rule):
            return AlertSaved(self._alert(found, held, rule), True)
        body = {
            "location": "global",
            "tags": {_MARK: str(rule)},
            "properties": {
                "description": f"{rule} on endpoint {found}",
                "severity": 2,
                "enabled": True,
                "scopes": [self._scope(found)],
                "evaluationFrequency": "PT1M" if rule.window_seconds <= 3600 else "PT5M",
                "windowSize": _WINDOWS[int(rule.window_seconds)],
                "criteria": {
                    "odata.type": "Microsoft.Azure.Monitor.SingleResourceMultipleMetricCriteria",
                    "allOf": [criterion],
                },
                "autoMitigate": True,
                "actions": [],
            },
        }
        answer = self._context.rest.send("PUT", f"{self._base}/{self._resource(found, rule.name)}", VERSION, body)
        return AlertSaved(self._alert(found, answer.value, rule), False)

    def list(self, endpoint: str) -> Sequence[Alert]:
        """Those that opsml made."""
        found = self._endpoints().get(endpoint).name
        scope = self._scope(found).casefold()
        alerts = []
        for each in self._context.rest.pages(self._base, VERSION):
            scopes = [str(one).casefold() for one in (each.get("properties") or {}).get("scopes") or ()]
            rule = _rule(each)
            if rule is not None and scope in scopes:
                alerts.append(self._alert(found, each, rule))
        return alerts

    def delete(self, endpoint: str, name: str) -> None:
        known = [alert.name for alert in self.list(endpoint)]
        held = next((each for each in known if names.key(each) == names.key(name)), None)
        if held is None:
            raise NotFoundError(
                f"endpoint {endpoint} has no alert {name!r}",
                cause=did_you_mean(name, known),
                fix=f"opsml insights alerts {endpoint}",
            )
        self._context.rest.send("DELETE", f"{self._base}/{self._resource(self._endpoints().get(endpoint).name, held)}", VERSION)

    @property
    def _base(self) -> str:
        place = self._context.place
        return (
            f"/subscriptions/{place.subscription_id}/resourceGroups/{place.resource_group}"
            "/providers/Microsoft.Insights/metricAlerts"
        )

    def _scope(self, endpoint: str) -> str:
        return f"{self._context.place.arm_id}/onlineEndpoints/{endpoint}"

    def _resource(self, endpoint: str, name: str) -> str:
        """Metric alerts share their resource group with those of every other workspace in it."""
        return f"opsml-{self._context.place.workspace_name}-{endpoint}-{name}"

    def _alert(self, endpoint: str, document: Mapping[str, Any], rule: Condition) -> Alert:
        from opsml_cli.azureml.wire import created_at, stamp

        status = self._context.rest.find(f"{document['id']}/status", VERSION) or {}
        told = [each.get("properties") or {} for each in status.get("value") or ()]
        words = {str(each.get("status") or "").casefold() for each in told}
        state = AlertState.FIRING if "unhealthy" in words else AlertState.OK if "healthy" in words else AlertState.UNKNOWN
        since = max((stamp(each.get("timestamp")) for each in told), default="") or None
        return Alert(endpoint, rule.name, rule, created_at(document), state, None, since)


def criterion_of(rule: Condition) -> dict[str, Any]:
    """What Azure Monitor compares. RequestsPerMinute is a rate: a count over a window is its mean times the minutes."""
    if int(rule.window_seconds) not in _WINDOWS or rule.window_seconds != int(rule.window_seconds):
        raise UnsupportedError(
            f"Azure Monitor has no window as in {str(rule)!r}", fix="say for 1m, 5m, 15m, 30m, 1h, 6h, 12h or 1d"
        )
    if rule.measure is Measure.ERRORS:
        raise UnsupportedError(
            f"an Azure metric alert compares one metric, and {str(rule)!r} is a share of two",
            fix="watch a count, as 'failures>10 for 5m'; or check it in CI: opsml insights check ENDPOINT --slo 'errors<1%'",
        )
    minutes = rule.window_seconds / 60.0
    metric, threshold = _LATENCIES.get(rule.measure), rule.threshold
    dimensions: list[dict[str, Any]] = []
    if metric is None:
        metric = "RequestsPerMinute"
        threshold = rule.threshold * 60.0 if rule.measure is Measure.RATE else rule.threshold / minutes
        if rule.measure is Measure.FAILURES:
            dimensions = [{"name": "statusCodeClass", "operator": "Include", "values": ["4xx", "5xx"]}]
    return {
        "criterionType": "StaticThresholdCriterion",
        "name": "rule",
        "metricNamespace": _NAMESPACE,
        "metricName": metric,
        "operator": _OPERATORS[rule.comparator],
        "threshold": threshold,
        "timeAggregation": "Average",
        "dimensions": dimensions,
    }


def _rule(document: Mapping[str, Any]) -> Condition | None:
    try:
        return parse_condition(str((document.get("tags") or {}).get(_MARK) or ""))
    except UsageError:
        return None
