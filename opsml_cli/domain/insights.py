"""Logs and request telemetry of endpoints."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line. `kind` is `container` (what the server printed), `request` or `alert`; `status` and `duration_ms` only for
    requests. `timestamp` is ISO 8601 UTC; `level` one of debug, info, warning, error."""

    timestamp: str
    level: str
    kind: str
    deployment: str | None
    message: str
    status: int | None = None
    duration_ms: float | None = None


@dataclass(frozen=True, slots=True)
class LogQuery:
    """Which lines. `since_seconds` back from now; `grep` a regular expression; `level` the lowest to show."""

    deployment: str | None = None
    tail: int | None = None
    follow: bool = False
    since_seconds: float | None = None
    grep: str | None = None
    level: str | None = None
    kind: str | None = None


@dataclass(frozen=True, slots=True)
class Latency:
    """Milliseconds; None where no request was seen."""

    p50: float | None
    p95: float | None
    p99: float | None


@dataclass(frozen=True, slots=True)
class DeploymentStats:
    requests: int
    failures: int
    latency_ms: Latency


UNAUTHENTICATED = 401


def is_failure(status: int) -> bool:
    """Whether an answer counts as a failure. A request without a key does not: anybody on the network can send those, and they
    say nothing of the endpoint; `RequestStats.unauthenticated` counts them."""
    return status >= 400 and status != UNAUTHENTICATED


@dataclass(frozen=True, slots=True)
class RequestStats:
    """Requests of the window that ends now. `failures`: those of which `is_failure` says so; `dropped`: answered, but not
    recorded."""

    endpoint: str
    window_seconds: float
    requests: int
    failures: int
    latency_ms: Latency
    by_deployment: Mapping[str, DeploymentStats] = field(default_factory=dict)
    by_status: Mapping[str, int] = field(default_factory=dict)
    over_time: tuple[tuple[str, int, int], ...] = ()  # (start of bucket, requests, failures)
    enabled: bool = True
    dropped: int = 0

    @property
    def unauthenticated(self) -> int:
        """Requests without a valid key: part of `requests`, not of `failures`."""
        return self.by_status.get(str(UNAUTHENTICATED), 0)
