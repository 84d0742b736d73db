"""A live scoring server for tests: the real application and protocol behind a real socket, with a model of four lines."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import uvicorn

from opsml_cli.domain.contract import Column, Schema
from opsml_cli.guard import Guard, loopback_names
from opsml_cli.local.serving.app import RequestSink, ScoringApp
from opsml_cli.local.serving.direct import protocol_of
from opsml_cli.local.serving.lane import ScoringLane
from opsml_cli.local.serving.routing import Live, Routing
from opsml_cli.local.serving.single_row import CategoryColumn, Number, NumberColumn, RowCoder, SingleRow

PRIMARY = "canary-primary-key-0123456789"
SECONDARY = "canary-secondary-key-0123456789"


class Elders:
    """'yes' from 40 years on."""

    quick = True
    classes = ("no", "yes")
    schema = Schema(
        [
            Column("age", "integer", minimum=18, maximum=95, example=56),
            Column("job", "string", categories=("admin.", "housemaid"), example="housemaid"),
            Column("rate", "number", example=4.857),
        ]
    )

    def score(self, rows: Sequence[dict[str, Any]], proba: bool) -> list[Any]:
        old = [(row["age"] or 0) >= 40 for row in rows]
        return [[0.1, 0.9] if each else [0.9, 0.1] for each in old] if proba else ["yes" if each else "no" for each in old]


class AgeDecides:
    """Elders again, for the short way: the age stands first in the coded row."""

    def __init__(self, coder: RowCoder) -> None:
        self._matrix = coder.matrix

    def label(self) -> object:
        return "yes" if self._matrix[0, 0] >= 40 else "no"

    def probabilities(self) -> list[float]:
        return [0.1, 0.9] if self._matrix[0, 0] >= 40 else [0.9, 0.1]


def elders(deployment: str = "blue") -> Live:
    """The model under a deployment's name, with its short way."""
    jobs: dict[str | None, float] = dict.fromkeys(("admin.", "housemaid", "x"), 0.0)
    columns = [
        NumberColumn("age", (Number((), 0.0),), whole=True),
        CategoryColumn("job", (jobs,)),
        NumberColumn("rate", (Number((), 0.0),)),
    ]
    coder = RowCoder(columns)
    single = SingleRow(coder, AgeDecides(coder), ("no", "yes"))
    return Live(deployment, "r1", "elders", "1", Elders(), ("yes",), single=single)


class Laned:
    """The protocol of an endpoint's server; its lane is known once the port is."""

    def __init__(self, app: ScoringApp, **bounds: Any) -> None:
        self._app = app
        self.lane: ScoringLane | None = None
        self.taken = 0
        self.protocol = type("Bounded", (protocol_of(self, app.refused, app.limits.body_bytes),), bounds)

    def guard(self, port: int) -> Guard:
        guard = Guard(self._app, loopback_names(port), self._app.refused)
        self.lane = ScoringLane(self._app, guard)
        return guard

    def answer(self, headers: Any, body: bytes, further: Any) -> bytes | None:
        assert self.lane is not None
        reply = self.lane.answer(headers, body, further)
        self.taken += reply is not None
        return reply


@contextmanager
def serving(application: Any, port: int = 0, http: Any = "auto") -> Iterator[int]:
    """`application(port)` gives the ASGI application; served on 127.0.0.1 until the block ends; the port."""
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", port))
    bound = listener.getsockname()[1]
    config = uvicorn.Config(
        application(bound), http=http, lifespan="off", log_config=None, access_log=False, timeout_graceful_shutdown=1
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=lambda: asyncio.run(server.serve(sockets=[listener])), daemon=True)
    thread.start()
    deadline = time.monotonic() + 20
    while not server.started:
        assert time.monotonic() < deadline, "the server did not start"
        time.sleep(0.01)
    try:
        yield bound
    finally:
        server.should_exit = True
        thread.join(60)
        listener.close()


@contextmanager
def scoring_server(sink: RequestSink | None = None) -> Iterator[tuple[str, ScoringApp]]:
    """An endpoint `bank` with the deployment `blue`: its address, and the application."""
    app = ScoringApp("bank", sink=sink)
    live = Live("blue", "r1", "elders", "1", Elders(), ("yes",))
    app.routing = Routing((PRIMARY.encode(), SECONDARY.encode()), {"blue": live}, {}, {"blue": 100})
    with serving(lambda port: Guard(app, loopback_names(port))) as port:
        yield f"http://127.0.0.1:{port}", app
