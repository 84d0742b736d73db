"""What the requests of the measured window came to."""

from __future__ import annotations

import math
from array import array
from collections import Counter
from collections.abc import Sequence

from opsml_cli.domain.errors import ContractError
from opsml_cli.domain.insights import Latency
from opsml_cli.domain.load import LoadFigures, LoadPlan
from opsml_cli.scoring_client import Answer, read_reply

_KNOWN_REPLIES = 4096


class Record:
    """Times are seconds of `time.perf_counter`; the window is [begin, end), by the time at which a request was due."""

    def __init__(self, name: str, plan: LoadPlan, begin: float) -> None:
        self.begin, self.end = begin, begin + plan.duration_seconds
        self._last = self.begin
        self._name, self._plan = name, plan
        self._good: set[bytes] = set()
        self._latencies = array("d")
        self._lags = array("d")
        self._failed: Counter[str] = Counter()
        self._deployments: Counter[str] = Counter()

    def answered(self, due: float, since: float, answer: Answer, now: float) -> None:
        """A reply at `now` to a request that was due at `due`, and waited for `since` then."""
        if (kind := self._failure(answer)) is not None:
            self.failed(due, kind, now)
        elif self.begin <= due < self.end:
            self._last = max(self._last, now)
            self._latencies.append(now - since)
            if answer.deployment is not None:
                self._deployments[answer.deployment] += 1

    def failed(self, due: float, kind: str, now: float) -> None:
        if self.begin <= due < self.end:
            self._last = max(self._last, now)
            self._failed[kind] += 1

    def late(self, due: float, sent: float) -> None:
        """The generator's own delay with one request."""
        if self.begin <= due < self.end:
            self._lags.append(sent - due)

    def _failure(self, answer: Answer) -> str | None:
        if answer.status != 200:
            return str(answer.status)
        if answer.body in self._good:
            return None
        try:
            read_reply(self._name, answer.body, self._plan.rows_per_request)
        except ContractError:
            return "reply"
        if len(self._good) < _KNOWN_REPLIES:
            self._good.add(answer.body)
        return None

    def figures(self) -> LoadFigures:
        found = sorted(self._latencies)
        errors = self._failed.total()
        return LoadFigures(
            endpoint=self._name,
            plan=self._plan,
            seconds=max(self.end, self._last) - self.begin,
            requests=len(found) + errors,
            errors=errors,
            latency_ms=Latency(_percentile(found, 50), _percentile(found, 95), _percentile(found, 99)),
            mean_ms=_milliseconds(sum(found) / len(found)) if found else None,
            max_ms=_percentile(found, 100),
            lag_ms=_percentile(sorted(self._lags), 99),
            failed=dict(self._failed.most_common()),
            deployments=dict(self._deployments.most_common()),
        )


def _percentile(found: Sequence[float], percent: float) -> float | None:
    """Milliseconds, by nearest rank: a time that a request really took."""
    return _milliseconds(found[max(0, math.ceil(len(found) * percent / 100) - 1)]) if found else None


def _milliseconds(seconds: float) -> float:
    return round(seconds * 1000, 4)
