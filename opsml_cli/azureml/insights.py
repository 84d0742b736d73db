"""Watching an Azure endpoint: Application Insights on and off, Azure Monitor's figures, and the containers' logs.

Azure hands out the last lines of a container and nothing else: no since, no follow. Both are made here of repeated looks."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from opsml_cli.azureml import endpoint_logs
from opsml_cli.azureml.endpoint_logs import Printed
from opsml_cli.domain.endpoint import OnlineEndpoint
from opsml_cli.domain.errors import NotFoundError
from opsml_cli.domain.insights import LogLine, LogQuery, RequestStats
from opsml_cli.domain.line_filter import LineFilter
from opsml_cli.domain.names import key

if TYPE_CHECKING:
    from opsml_cli.azureml.context import Context
    from opsml_cli.azureml.endpoints import AzureEndpoints

_LINES = 2000  # of a container at the first look, more than a screen and less than a storm
_POLL = 3.0


class AzureInsights:
    """The `insights` group of an Azure ML workspace."""

    def __init__(self, context: Context, endpoints: Callable[[], AzureEndpoints]) -> None:
        self._context = context
        self._endpoints = endpoints

    def enable(self, name: str) -> OnlineEndpoint:
        return self._endpoints().set_insights(name, True)

    def disable(self, name: str) -> OnlineEndpoint:
        return self._endpoints().set_insights(name, False)

    def stats(self, name: str, since_seconds: float) -> RequestStats:
        """As the port says, from Azure Monitor, which counts the requests of every endpoint a minute or two later."""
        from opsml_cli.azureml import metrics

        return metrics.read(self._context, self._endpoints().get(name).name, since_seconds)

    def logs(self, name: str, query: LogQuery) -> Iterator[LogLine]:
        """As the port says: the containers' lines; single requests are not among what Azure hands out."""
        keep = LineFilter(query)
        endpoint = self._endpoints().get(name)
        known = [each.name for each in endpoint.deployments]
        wanted = [each for each in known if query.deployment is None or key(each) == key(query.deployment)]
        if query.deployment is not None and not wanted:
            raise NotFoundError(
                f"endpoint {endpoint.name!r} has no deployment {query.deployment!r}",
                cause=f"it has: {', '.join(known)}" if known else "it has none",
                fix=f"opsml logs {endpoint.name}",
            )
        return self._lines(endpoint.name, wanted, query, keep)

    def _lines(self, endpoint: str, deployments: Sequence[str], query: LogQuery, keep: LineFilter) -> Iterator[LogLine]:
        since = None if query.since_seconds is None else time.time() - query.since_seconds
        seen: dict[tuple[str, str], list[Printed]] = {}
        first = True
        while True:
            found = []
            for deployment in deployments:
                for container in endpoint_logs.CONTAINERS:
                    lines = self._fetch(endpoint, deployment, container)
                    fresh = fresh_lines(seen.get((deployment, container), []), lines)
                    seen[deployment, container] = lines
                    # A line before any time was printed by now.
                    found += [_Line(time.time() if line.moment is None else line.moment, deployment, line) for line in fresh]
            found.sort(key=lambda each: each.moment)
            kept = [line for line in (each.shown() for each in found if since is None or each.moment >= since) if keep(line)]
            if first and query.tail is not None:
                kept = kept[max(0, len(kept) - query.tail) :]
            yield from kept
            if not query.follow:
                return
            first = False
            self._context.clock.sleep(_POLL)

    def _fetch(self, endpoint: str, deployment: str, container: str) -> list[Printed]:
        try:
            return endpoint_logs.fetch(self._context, endpoint, deployment, container, _LINES)
        except NotFoundError:  # the deployment is not there yet, or no longer
            return []


class _Line:
    """A line on its way into the one stream."""

    def __init__(self, moment: float, deployment: str, line: Printed) -> None:
        self.moment = moment
        self.deployment = deployment
        self.line = line

    def shown(self) -> LogLine:
        stamp = datetime.fromtimestamp(self.moment, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        return LogLine(stamp, self.line.level, "container", self.deployment, self.line.text)


def fresh_lines(before: Sequence[Printed], now: Sequence[Printed]) -> list[Printed]:
    """The lines of `now` that were not in `before`: both are the end of one growing text, so the longest end of `before`
    that `now` holds is what both share. Lines that scrolled by between two looks are lost."""
    if not before:
        return list(now)
    last = before[-1]
    for end in range(len(now), 0, -1):
        if now[end - 1] == last:
            shared = min(end, len(before))
            if list(now[end - shared : end]) == list(before[len(before) - shared :]):
                return list(now[end:])
        # A traceback that was not whole yet: what came of it since, then the rest.
        if now[end - 1].text.startswith(f"{last.text}\n") and now[end - 1].moment == last.moment:
            grown = now[end - 1]._replace(text=now[end - 1].text[len(last.text) + 1 :])
            return [grown, *now[end:]]
    return list(now)
