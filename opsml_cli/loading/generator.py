"""The load itself: when each request is sent.

In an open loop requests are due at even intervals. One that is due while every connection waits for the endpoint is counted
from when it was due, so a server that stalls cannot hide how long its clients waited (no coordinated omission). One that this
process sends late although a connection was free is counted from when it left, and the delay is shown as the generator's own.
In a closed loop each client sends its next request when the last one was answered."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from itertools import cycle
from time import perf_counter

from opsml_cli.domain.endpoint import Row, ScoreRequest
from opsml_cli.domain.errors import InvalidInputError
from opsml_cli.domain.load import LoadFigures, LoadPlan
from opsml_cli.domain.progress import Progress
from opsml_cli.loading.connection import BrokenError, Connection, connect, request_bytes
from opsml_cli.loading.record import Record
from opsml_cli.scoring_client import Address, ScoringClient

_OPENED_FIRST = 8
_REFUSED_PAUSE = 0.05  # seconds before a client tries again to connect


def load(client: ScoringClient, plan: LoadPlan, rows: Sequence[Row], progress: Progress) -> LoadFigures:
    """Send `rows` in turn, as `plan` says; returns when every request of the measured window was answered or has failed. One
    request goes before them by `client` itself, with its errors. InvalidInputError without rows."""
    if not rows:
        raise InvalidInputError("there are no rows to send", fix="give a file with rows, or --sample N")
    client.score(ScoreRequest(rows[:1], deployment=plan.deployment))
    address = client.address
    bodies = client.bodies(rows, plan.rows_per_request, plan.deployment)
    requests = [request_bytes(address, body, plan.deployment) for body in bodies]
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        return runner.run(_Load(address, requests, plan).run(progress))


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        import uvloop
    except ImportError:  # Windows has none
        return None
    factory: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
    return factory


class _Load:
    def __init__(self, address: Address, requests: Sequence[bytes], plan: LoadPlan) -> None:
        self._address = address
        self._requests: Iterator[bytes] = cycle(requests)
        self._plan = plan
        # Of an open loop: (when it is due, whether a client was free then).
        self._due: asyncio.Queue[tuple[float, bool]] = asyncio.Queue()
        self._free = 0
        self._clients: list[asyncio.Task[None]] = []
        self._record: Record

    async def run(self, progress: Progress) -> LoadFigures:
        began = perf_counter()
        self._record = Record(self._address.name, self._plan, began + self._plan.warmup_seconds)
        told = asyncio.ensure_future(self._tell(progress, began))
        try:
            if self._plan.rate is None:
                self._clients = [asyncio.ensure_future(self._closed()) for _ in range(self._plan.connections)]
            else:
                self._clients = [asyncio.ensure_future(self._open()) for _ in range(min(_OPENED_FIRST, self._plan.connections))]
                await asyncio.sleep(0)  # they wait for work now
                await self._pace(began, self._plan.rate)
                await self._due.join()
                for client in self._clients:
                    client.cancel()
            await asyncio.gather(*self._clients, return_exceptions=True)
        finally:
            for task in (told, *self._clients):
                task.cancel()
            await asyncio.gather(told, *self._clients, return_exceptions=True)
        return self._record.figures()

    async def _tell(self, progress: Progress, began: float) -> None:
        """One line a second at most, until cancelled."""
        plan = self._plan
        total = round(plan.warmup_seconds + plan.duration_seconds)
        progress.phase(f"load on endpoint {self._address.name}: {plan.told}")
        while True:
            await asyncio.sleep(1.0)
            progress.amount(min(total, round(perf_counter() - began)), total, "s")

    # Closed: a client at a time

    async def _closed(self) -> None:
        connection: Connection | None = None
        while (now := perf_counter()) < self._record.end:
            connection = await self._exchanged(connection, now, now, counted_from_sending=True)
        if connection is not None:
            connection.close()

    # Open: a request at a time

    async def _pace(self, began: float, rate: float) -> None:
        """Put every request into the queue when it is due."""
        number = 0
        while (due := began + number / rate) < self._record.end:
            if (wait := due - perf_counter()) > 0:
                await asyncio.sleep(wait)
            elif number % 64 == 0:
                await asyncio.sleep(0)
            free = self._free > self._due.qsize()
            if not free and len(self._clients) < self._plan.connections:
                self._clients.append(asyncio.ensure_future(self._open()))
            self._due.put_nowait((due, free))
            number += 1

    async def _open(self) -> None:
        """A client that takes what is due, until it is cancelled."""
        connection: Connection | None = None
        try:
            while True:
                self._free += 1
                try:
                    due, free = await self._due.get()
                finally:
                    self._free -= 1
                now = perf_counter()
                if free:
                    self._record.late(due, now)
                connection = await self._exchanged(connection, due, now if free else due, counted_from_sending=False)
                self._due.task_done()
        finally:
            if connection is not None:
                connection.close()

    # Both

    async def _exchanged(
        self, connection: Connection | None, due: float, since: float, *, counted_from_sending: bool
    ) -> Connection | None:
        """Send one request and record it. The connection for the next one; None: a new one is needed."""
        left = since + self._plan.timeout_seconds - perf_counter()
        if left <= 0:  # it waited too long for its turn
            self._record.failed(due, "timeout", perf_counter())
            return connection
        try:
            async with asyncio.timeout(left):
                if connection is None or not connection.open:
                    connection = await connect(self._address)
                    if counted_from_sending:
                        since = perf_counter()
                answer, now = await connection.exchange(next(self._requests))
        except TimeoutError:
            kind = "timeout"
        except (OSError, BrokenError):
            kind = "connection"
        else:
            self._record.answered(due, since, answer, now)
            return connection
        self._record.failed(due, kind, perf_counter())
        if connection is not None:
            connection.close()
        elif kind == "connection":
            await asyncio.sleep(_REFUSED_PAUSE)
        return None
