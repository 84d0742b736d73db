"""Load tests of endpoints: what is asked, and what was measured."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from opsml_cli.domain.durations import format_duration
from opsml_cli.domain.errors import UsageError
from opsml_cli.domain.insights import Latency, RequestStats

CLIENTS = 8
MOST_CONNECTIONS = 256  # of an open loop, unless said
LONGEST_SECONDS = 3600.0
MOST_CLIENTS = 1000
MOST_RATE = 20_000.0


@dataclass(frozen=True, slots=True)
class LoadPlan:
    """`rate` (requests a second, an open loop: a request is sent at its time, whatever became of those before) or `clients`
    (a closed loop: each sends its next request when the last was answered; 8 unless said). In an open loop `clients` bounds
    the connections. UsageError for what cannot be."""

    duration_seconds: float = 10.0
    warmup_seconds: float = 1.0
    rate: float | None = None
    clients: int | None = None
    rows_per_request: int = 1
    deployment: str | None = None
    timeout_seconds: float = 30.0

    def __post_init__(self) -> None:
        if not 0 < self.duration_seconds <= LONGEST_SECONDS:
            raise UsageError(f"a load test of {self.duration_seconds:g} s cannot be", cause="more than 0, at most 1h")
        if not 0 <= self.warmup_seconds <= LONGEST_SECONDS:
            raise UsageError(f"a warm-up of {self.warmup_seconds:g} s cannot be", cause="0 to 1h")
        if self.rate is not None and not 0 < self.rate <= MOST_RATE:
            raise UsageError(f"--rate {self.rate:g} cannot be", cause=f"more than 0, at most {MOST_RATE:g} requests a second")
        if not 1 <= self.connections <= MOST_CLIENTS:
            raise UsageError(f"--clients {self.connections} cannot be", cause=f"1 to {MOST_CLIENTS}")

    @property
    def connections(self) -> int:
        """How many there may be at once."""
        if self.clients is not None:
            return self.clients
        return CLIENTS if self.rate is None else MOST_CONNECTIONS

    @property
    def told(self) -> str:
        """The plan in words."""
        how = f"{self.connections} clients" if self.rate is None else f"{self.rate:g} requests a second"
        return f"{how} for {format_duration(self.duration_seconds)}"


@dataclass(frozen=True, slots=True)
class LoadFigures:
    """What the measured window saw. `seconds`: from its begin to its last answer; `rate`: answered requests a second.
    `errors` are counted in `requests`; `failed` tells them by kind (a status, `timeout`, `connection`, `reply`). Latency is
    of the answers that were no errors, in milliseconds; in an open loop it counts from the time at which a request was due
    when all connections were waiting for the endpoint. `lag_ms`: how late, at the 99th percentile, this machine itself
    was in sending; `deployments`: answers by deployment."""

    endpoint: str
    plan: LoadPlan
    seconds: float
    requests: int
    errors: int
    latency_ms: Latency
    mean_ms: float | None
    max_ms: float | None
    lag_ms: float | None = None
    failed: Mapping[str, int] = field(default_factory=dict)
    deployments: Mapping[str, int] = field(default_factory=dict)

    @property
    def rate(self) -> float:
        return (self.requests - self.errors) / self.seconds if self.seconds else 0.0

    def as_stats(self) -> RequestStats:
        """The same figures as an objective reads them."""
        return RequestStats(self.endpoint, self.seconds, self.requests, self.errors, self.latency_ms)

    def document(self) -> dict[str, Any]:
        """As `bench` shows it, and as `--save` keeps it."""
        open_loop = self.plan.rate is not None
        return {
            "endpoint": self.endpoint,
            "mode": "open" if open_loop else "closed",
            "target_rate": self.plan.rate,
            "clients": self.plan.connections,
            "rows_per_request": self.plan.rows_per_request,
            "duration_seconds": round(self.seconds, 3),
            "requests": self.requests,
            "errors": self.errors,
            "rate": round(self.rate, 3),
            "latency_ms": {
                "p50": self.latency_ms.p50,
                "p95": self.latency_ms.p95,
                "p99": self.latency_ms.p99,
                "max": self.max_ms,
                "mean": self.mean_ms,
            },
            "lag_ms": self.lag_ms,
            "failed": dict(self.failed),
            "deployments": dict(self.deployments),
        }


def round_up(value: float) -> float:
    """The next number of the series 1, 2, 5, 10, 20, …, at least `value` (above 0): a bound that a person would write."""
    power = 10.0 ** math.floor(math.log10(value))
    return next(step * power for step in (1.0, 2.0, 5.0, 10.0) if step * power >= value * (1 - 1e-9))
