"""Conditions on an endpoint's requests, and the alerts made of them.

    CONDITION := MEASURE (">" | ">=" | "<" | "<=") NUMBER [UNIT] ["for" DURATION]
    MEASURE   := p50 | p95 | p99 (ms, or s) | errors (% of the requests) | failures | requests (counts) | rate (requests/s)

An alert says what is wrong: `p95>100ms for 5m`, `errors>1%`, `requests<1 for 1h`. An objective says what must hold:
`p95<50ms,errors<1%`. The duration is the window that is looked at, five minutes unless said."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from opsml_cli.domain.durations import format_duration, parse_duration
from opsml_cli.domain.errors import UsageError
from opsml_cli.domain.fields import did_you_mean

if TYPE_CHECKING:
    from opsml_cli.domain.insights import RequestStats

WINDOW = 300.0  # seconds
_CONDITION = re.compile(
    r"\s*([A-Za-z]\w*)\s*(>=|<=|>|<)\s*([0-9]+(?:\.[0-9]+)?)\s*(ms|s|%|/s)?(?:\s+for\s+(\S+))?\s*\Z", re.ASCII | re.IGNORECASE
)
_WORDS = {">": "gt", ">=": "ge", "<": "lt", "<=": "le"}


class Measure(StrEnum):
    P50 = "p50"
    P95 = "p95"
    P99 = "p99"
    ERRORS = "errors"
    FAILURES = "failures"
    REQUESTS = "requests"
    RATE = "rate"

    @property
    def unit(self) -> str:
        """How a value of it is written."""
        return {"errors": "%", "rate": "/s", "failures": "", "requests": ""}.get(self.value, "ms")

    @property
    def bad_when_high(self) -> bool:
        return self not in (Measure.REQUESTS, Measure.RATE)


class AlertState(StrEnum):
    """`no data`: no request in the window; `unknown`: not looked at yet, or nobody tells."""

    OK = "ok"
    FIRING = "firing"
    NO_DATA = "no data"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Condition:
    """`threshold` in the measure's unit: milliseconds, percent, requests, requests a second."""

    measure: Measure
    comparator: str
    threshold: float
    window_seconds: float = WINDOW

    def __str__(self) -> str:
        return f"{self.objective} for {_duration(self.window_seconds)}"

    @property
    def objective(self) -> str:
        """Without its window."""
        return f"{self.measure}{self.comparator}{_number(self.threshold)}{self.measure.unit}"

    @property
    def name(self) -> str:
        """A name made of what it says, fit for a resource: `p95-gt-100-5m`."""
        number = _number(self.threshold).replace(".", "_")
        return f"{self.measure}-{_WORDS[self.comparator]}-{number}-{_duration(self.window_seconds).replace('.', '_')}"

    def value(self, stats: RequestStats) -> float | None:
        """What the window's requests have of the measure; None when there were none to tell."""
        latency = {Measure.P50: stats.latency_ms.p50, Measure.P95: stats.latency_ms.p95, Measure.P99: stats.latency_ms.p99}
        if self.measure in latency:
            return latency[self.measure]
        if self.measure is Measure.ERRORS:
            # Requests without a key are no failures, and must not thin out those that are.
            authenticated = stats.requests - stats.unauthenticated
            return 100.0 * stats.failures / authenticated if authenticated > 0 else None
        if self.measure is Measure.FAILURES:
            return float(stats.failures)
        return float(stats.requests) if self.measure is Measure.REQUESTS else stats.requests / stats.window_seconds

    def holds(self, value: float) -> bool:
        bound = self.threshold
        return {">": value > bound, ">=": value >= bound, "<": value < bound, "<=": value <= bound}[self.comparator]

    def met_by(self, stats: RequestStats) -> bool:
        """Whether it holds of the requests; without any there is nothing to prove it."""
        value = self.value(stats)
        return value is not None and self.holds(value)

    def shown(self, value: float | None) -> str:
        """A value in words."""
        return "no requests" if value is None else f"{self.measure} is {_number(round(value, 3))}{self.measure.unit}"


@dataclass(frozen=True, slots=True)
class Alert:
    """A rule on an endpoint. `value` is in the rule's unit and, like `since` (ISO 8601 UTC), of the last look."""

    endpoint: str
    name: str
    rule: Condition
    created_at: str
    state: AlertState = AlertState.UNKNOWN
    value: float | None = None
    since: str | None = None


@dataclass(frozen=True, slots=True)
class AlertSaved:
    alert: Alert
    unchanged: bool


def parse_condition(text: str, what: str = "--alert") -> Condition:
    """UsageError that names what is wrong with it."""
    match = _CONDITION.match(text)
    if match is None:
        raise UsageError(
            f"{what} {text!r} is no condition",
            cause="expected for example 'p95>100ms for 5m' or 'errors>1%'",
        )
    word, comparator, number, unit, window = match.groups()
    known = [each.value for each in Measure]
    if word.lower() not in known:
        raise UsageError(f"{what} {text!r} measures nothing that is known: {word!r}", cause=did_you_mean(word.lower(), known))
    measure = Measure(word.lower())
    threshold, unit = float(number), (unit or "").lower()
    if measure.unit == "ms" and unit == "s":
        threshold, unit = threshold * 1000.0, "ms"
    if unit != measure.unit and not (unit == "" and measure.unit != "ms"):
        expected = f"{measure.unit!r}" if measure.unit else "no unit"
        raise UsageError(
            f"{what} {text!r}: {measure} has {expected}, not {unit!r}" if unit else f"{what} {text!r}: say ms or s"
        )
    return Condition(measure, comparator, threshold, WINDOW if window is None else parse_duration(window, "window"))


def parse_alert(text: str) -> Condition:
    """As `parse_condition`; UsageError too for a rule that would fire while all is well."""
    condition = parse_condition(text)
    if condition.measure.bad_when_high and condition.comparator.startswith("<"):
        turned = f"{condition.measure}>{_number(condition.threshold)}{condition.measure.unit}"
        raise UsageError(f"--alert {text!r} would fire while all is well", cause=f"an alert says what is wrong: {turned}")
    return condition


def parse_objectives(text: str, window_seconds: float = WINDOW) -> tuple[Condition, ...]:
    """The comma-separated conditions that must hold, each over its own window or `window_seconds`."""
    found = []
    for part in text.split(","):
        condition = parse_condition(part, "--slo")
        if " for " not in part:
            condition = Condition(condition.measure, condition.comparator, condition.threshold, window_seconds)
        found.append(condition)
    return tuple(found)


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) else f"{value:f}".rstrip("0")


def _duration(seconds: float) -> str:
    """As `parse_duration` reads it back, to the second where `format_duration` would round."""
    text = format_duration(seconds)
    return text if parse_duration(text) == seconds else f"{_number(seconds)}s"
