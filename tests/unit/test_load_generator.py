"""The load generator against real HTTP servers that behave in known ways."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager

import pytest

from opsml_cli.domain.errors import InvalidInputError, NotSignedInError, UsageError
from opsml_cli.domain.load import LoadFigures, LoadPlan, round_up
from opsml_cli.domain.progress import Silent
from opsml_cli.loading.generator import load
from opsml_cli.scoring_client import Address, ScoringClient

ROWS = [{"age": 31}, {"age": 47}]
GOOD = json.dumps({"Results": ["yes"]})
Handler = Callable[[int], Awaitable[tuple[int, str] | None]]


@contextmanager
def serving(handler: Handler) -> Iterator[str]:
    """The address of a server that answers request number n with what `handler(n)` gives; None: it hangs up."""
    started = threading.Event()
    place: list[int] = []
    loop = asyncio.new_event_loop()
    counted = iter(range(10**9))

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
                length = next(int(line.split(":")[1]) for line in head.splitlines() if line.startswith("content-length"))
                await reader.readexactly(length)
                answer = await handler(next(counted))
                if answer is None:
                    break
                status, text = answer
                body = text.encode()
                writer.write(b"HTTP/1.1 %d X\r\ncontent-length: %d\r\n" % (status, len(body)))
                writer.write(b"azureml-model-deployment: blue\r\n\r\n" + body)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def main() -> None:
        server = await asyncio.start_server(talk, "127.0.0.1", 0)
        place.append(server.sockets[0].getsockname()[1])
        started.set()
        async with server:
            await server.serve_forever()

    def run() -> None:
        asyncio.set_event_loop(loop)
        with pytest.raises(asyncio.CancelledError):
            loop.run_until_complete(task)
        for left in asyncio.all_tasks(loop):
            left.cancel()
        loop.run_until_complete(asyncio.sleep(0))
        loop.close()

    task = loop.create_task(main())
    thread = threading.Thread(target=run)
    thread.start()
    started.wait(10)
    try:
        yield f"http://127.0.0.1:{place[0]}/score"
    finally:
        loop.call_soon_threadsafe(task.cancel)
        thread.join(60)
        assert not thread.is_alive()


def measured(uri: str, **plan: float | int | None) -> LoadFigures:
    wanted = LoadPlan(**{"duration_seconds": 0.5, "warmup_seconds": 0.1, **plan})  # type: ignore[arg-type]
    with ScoringClient(Address("bank", uri, "key")) as client:
        return load(client, wanted, ROWS, Silent())


async def _good(_: int) -> tuple[int, str]:
    return 200, GOOD


def test_an_open_loop_sends_each_request_that_was_due() -> None:
    with serving(_good) as uri:
        figures = measured(uri, rate=100.0)
    assert (figures.requests, figures.errors) == (50, 0)
    assert figures.deployments == {"blue": 50}
    latency = figures.latency_ms
    assert latency.p50 is not None and latency.p95 is not None and figures.max_ms is not None
    assert 0 < latency.p50 <= latency.p95 <= figures.max_ms
    assert figures.lag_ms is not None


def test_a_closed_loop_keeps_its_clients_busy() -> None:
    most = 0
    now = 0

    async def handler(_: int) -> tuple[int, str]:
        nonlocal most, now
        now += 1
        most = max(most, now)
        await asyncio.sleep(0.01)
        now -= 1
        return 200, GOOD

    with serving(handler) as uri:
        figures = measured(uri, clients=4)
    assert most == 4
    assert figures.errors == 0 and figures.requests > 4
    assert figures.latency_ms.p50 is not None and figures.latency_ms.p50 >= 9.0


def test_a_stall_cannot_hide_behind_the_clients_that_wait_for_it() -> None:
    """One stall of 0.4 s in a second: of the requests that were due meanwhile every one waited."""

    async def handler(number: int) -> tuple[int, str]:
        if number == 50:
            await asyncio.sleep(0.4)
        return 200, GOOD

    with serving(handler) as uri:
        open_loop = measured(uri, rate=100.0, clients=1, duration_seconds=1.0, warmup_seconds=0.0)
    with serving(handler) as uri:
        closed = measured(uri, clients=1, duration_seconds=1.0, warmup_seconds=0.0)
    assert open_loop.requests == 100
    assert open_loop.latency_ms.p95 is not None and open_loop.latency_ms.p95 > 200.0
    assert closed.latency_ms.p95 is not None and closed.latency_ms.p95 < 100.0
    assert closed.max_ms is not None and closed.max_ms >= 390.0


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        ((500, "{}"), "500"),
        ((200, '{"error": "no"}'), "reply"),
        ((200, "<html>"), "reply"),
        (None, "connection"),
    ],
    ids=["500", "error in a 200", "no JSON", "hang-up"],
)
def test_failures_are_counted_by_kind(answer: tuple[int, str] | None, kind: str) -> None:
    async def handler(number: int) -> tuple[int, str] | None:
        return answer if number % 5 == 3 else (200, GOOD)

    with serving(handler) as uri:
        figures = measured(uri, rate=100.0, warmup_seconds=0.0)
    assert figures.requests == 50
    assert figures.failed == {kind: figures.errors}
    assert 8 <= figures.errors <= 12
    assert figures.rate == pytest.approx((50 - figures.errors) / figures.seconds)


def test_a_request_without_answer_fails_in_time() -> None:
    async def handler(number: int) -> tuple[int, str]:
        if number == 10:
            await asyncio.sleep(30)
        return 200, GOOD

    with serving(handler) as uri:
        figures = measured(uri, rate=50.0, warmup_seconds=0.0, timeout_seconds=0.5)
    assert figures.failed == {"timeout": 1}
    assert figures.requests == 25


def test_requests_that_wait_too_long_for_their_turn_fail() -> None:
    """One client, and a server that takes 0.1 s: of a hundred requests a second most wait ever longer."""

    async def handler(_: int) -> tuple[int, str]:
        await asyncio.sleep(0.1)
        return 200, GOOD

    with serving(handler) as uri:
        figures = measured(uri, rate=100.0, clients=1, warmup_seconds=0.0, timeout_seconds=0.3)
    assert figures.requests == 50
    assert set(figures.failed) == {"timeout"} and 25 < figures.errors < 50


def test_an_endpoint_that_refuses_is_told_before_any_load() -> None:
    seen = 0

    async def handler(_: int) -> tuple[int, str]:
        nonlocal seen
        seen += 1
        return 401, "{}"

    with serving(handler) as uri, pytest.raises(NotSignedInError):
        measured(uri)
    assert seen == 1


def test_without_rows_there_is_nothing_to_send() -> None:
    with ScoringClient(Address("bank", "http://127.0.0.1:9/score", "key")) as client, pytest.raises(InvalidInputError):
        load(client, LoadPlan(), [], Silent())


@pytest.mark.parametrize(
    "wrong",
    [{"duration_seconds": 0.0}, {"duration_seconds": 1e6}, {"warmup_seconds": -1.0}, {"rate": 0.0}, {"rate": float("nan")},
     {"rate": 1e9}, {"clients": 0}, {"clients": 10**6}],
)  # fmt: skip
def test_what_no_load_can_be_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(UsageError):
        LoadPlan(**wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("value", "bound"),
    [(0.3, 0.5), (1.0, 1.0), (1.1, 2.0), (4.9, 5.0), (5.1, 10.0), (10.0, 10.0), (130.0, 200.0), (0.02, 0.02)],
)
def test_a_bound_is_a_round_number_above(value: float, bound: float) -> None:
    assert round_up(value) == pytest.approx(bound)
