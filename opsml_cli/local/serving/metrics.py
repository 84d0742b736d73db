"""Counters of one server, as Prometheus reads them. Only the event loop and the scoring threads' results touch them."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter

BOUNDS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)  # seconds
CONTENT_TYPE = b"text/plain; version=0.0.4; charset=utf-8"


class Metrics:
    """Requests by deployment and status, their durations, rows scored, and values that came as text."""

    def __init__(self) -> None:
        self.requests: Counter[tuple[str, int]] = Counter()
        self.rows: Counter[str] = Counter()
        self.converted: Counter[str] = Counter()
        self.ignored: Counter[str] = Counter()
        self._buckets: dict[str, list[int]] = {}
        self._seconds: Counter[str] = Counter()

    def observe(self, deployment: str, status: int, seconds: float) -> None:
        self.requests[deployment, status] += 1
        buckets = self._buckets.get(deployment)
        if buckets is None:
            buckets = self._buckets[deployment] = [0] * (len(BOUNDS) + 1)
        buckets[bisect_left(BOUNDS, seconds)] += 1
        self._seconds[deployment] += seconds  # type: ignore[assignment]

    def count(self, deployment: str, rows: int, converted: int, *, ignored: bool) -> None:
        """What was in a request that was answered."""
        self.rows[deployment] += rows
        if converted:
            self.converted[deployment] += converted
        if ignored:
            self.ignored[deployment] += 1

    def text(self, in_flight: int) -> bytes:
        """The exposition format, version 0.0.4."""
        lines = ["# HELP opsml_requests_total Requests by deployment and status.", "# TYPE opsml_requests_total counter"]
        lines += [
            f'opsml_requests_total{{deployment="{name}",status="{status}"}} {count}'
            for (name, status), count in sorted(self.requests.items())
        ]
        lines += [
            "# HELP opsml_request_seconds Time from the head of a request to its reply.",
            "# TYPE opsml_request_seconds histogram",
        ]
        for name, buckets in sorted(self._buckets.items()):
            total = 0
            for bound, count in zip((*map(str, BOUNDS), "+Inf"), buckets, strict=True):
                total += count
                lines.append(f'opsml_request_seconds_bucket{{deployment="{name}",le="{bound}"}} {total}')
            lines.append(f'opsml_request_seconds_sum{{deployment="{name}"}} {self._seconds[name]:.6f}')
            lines.append(f'opsml_request_seconds_count{{deployment="{name}"}} {total}')
        for metric, help_text, counter in (
            ("opsml_rows_total", "Rows scored.", self.rows),
            ("opsml_values_as_text_total", "Numbers and booleans that came as text.", self.converted),
            ("opsml_requests_with_ignored_columns_total", "Requests with columns the model does not know.", self.ignored),
        ):
            lines += [f"# HELP {metric} {help_text}", f"# TYPE {metric} counter"]
            lines += [f'{metric}{{deployment="{name}"}} {count}' for name, count in sorted(counter.items())]
        lines += ["# HELP opsml_requests_in_flight Requests being answered.", "# TYPE opsml_requests_in_flight gauge"]
        lines.append(f"opsml_requests_in_flight {in_flight}")
        return ("\n".join(lines) + "\n").encode()
