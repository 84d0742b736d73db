"""The direct lane answers what the general way answers, to nobody whom that would refuse, and leaves the rest to it."""

from __future__ import annotations

import http.client
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent.parent))
from telemetry_live import PRIMARY, SECONDARY, Laned, elders, serving
from waiting import until

from opsml_cli.local.serving.app import ScoringApp
from opsml_cli.local.serving.routing import Routing

ROW = {"age": 60, "job": "x", "rate": 1.0}
KEY = {"Authorization": f"Bearer {PRIMARY}", "Content-Type": "application/json"}


@contextmanager
def endpoint() -> Iterator[tuple[http.client.HTTPConnection, ScoringApp, Laned]]:
    app = ScoringApp("bank")
    app.routing = routing()
    laned = Laned(app)
    with serving(laned.guard, http=laned.protocol) as port:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
        yield connection, app, laned
        connection.close()


def routing(keys: tuple[str, ...] = (PRIMARY, SECONDARY), traffic: dict[str, int] | None = None) -> Routing:
    live = {"blue": elders(), "green": elders("green")}
    return Routing(tuple(key.encode() for key in keys), live, {}, traffic or {"blue": 100})


@pytest.fixture(scope="module")
def live() -> Iterator[tuple[http.client.HTTPConnection, ScoringApp, Laned]]:
    with endpoint() as found:
        yield found


def ask(
    connection: http.client.HTTPConnection, body: object = None, headers: dict[str, str] | None = None
) -> tuple[int, bytes, dict[str, str]]:
    text = body if isinstance(body, bytes) else json.dumps(body if body is not None else {"data": [ROW]}).encode()
    connection.request("POST", "/score", text, KEY if headers is None else headers)
    reply = connection.getresponse()
    return reply.status, reply.read(), {name.lower(): value for name, value in reply.getheaders()}


def test_both_ways_send_the_same_reply(live: tuple[http.client.HTTPConnection, ScoringApp, Laned]) -> None:
    connection, _, laned = live
    before = laned.taken
    short = ask(connection)
    assert laned.taken == before + 1
    general = ask(connection, {"data": [{**ROW, "job": "other"}]})
    assert laned.taken == before + 1
    assert short[:2] == general[:2] == (200, b'"{\\"result\\": [\\"yes\\"]}"')
    assert short[2].keys() == general[2].keys()
    assert {name for name in short[2] if short[2][name] != general[2][name]} <= {"x-ms-request-id", "date"}
    assert short[2]["x-ms-request-id"] != general[2]["x-ms-request-id"]
    assert short[2]["x-opsml-model"] == "elders:1"


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 401),
        ({"Authorization": "Bearer wrong"}, 401),
        ({**KEY, "Host": "evil.example"}, 421),
        ({**KEY, "Origin": "http://evil.example"}, 403),
        ({**KEY, "Content-Type": "text/csv"}, 415),
        ({**KEY, "Content-Encoding": "gzip"}, 415),
        ({**KEY, "azureml-model-deployment": "none"}, 404),
        ({**KEY, "x-opsml-revision": "r9"}, 404),
    ],
)
def test_what_the_general_way_refuses_is_refused(
    live: tuple[http.client.HTTPConnection, ScoringApp, Laned], headers: dict[str, str], status: int
) -> None:
    connection, _, laned = live
    ask(connection)  # a head that is in order was seen before
    before = laned.taken
    for _ in range(2):
        assert ask(connection, headers=headers)[0] == status
    assert laned.taken == before


def test_a_key_and_traffic_hold_no_longer_than_they_are_in_force() -> None:
    with endpoint() as (connection, app, laned):
        assert ask(connection)[2]["azureml-model-deployment"] == "blue"
        app.routing = routing(traffic={"green": 100})
        assert ask(connection)[2]["azureml-model-deployment"] == "green"
        assert ask(connection, headers={**KEY, "azureml-model-deployment": "BLUE"})[2]["azureml-model-deployment"] == "blue"
        assert laned.taken == 3
        app.routing = routing(keys=(SECONDARY,))
        assert ask(connection)[0] == 401
        assert laned.taken == 3


def test_the_answers_are_counted(live: tuple[http.client.HTTPConnection, ScoringApp, Laned]) -> None:
    connection, app, _ = live
    before, rows = app.metrics.requests["blue", 200], app.metrics.rows["blue"]
    ask(connection)
    ask(connection, {"data": [ROW, ROW]})
    until(lambda: app.metrics.requests["blue", 200] == before + 2)  # it is counted when the reply is on its way
    assert app.metrics.rows["blue"] == rows + 3


def test_ids_of_clients_come_back(live: tuple[http.client.HTTPConnection, ScoringApp, Laned]) -> None:
    found = ask(live[0], headers={**KEY, "x-ms-request-id": "mine", "x-ms-client-request-id": "yours"})[2]
    assert (found["x-ms-request-id"], found["x-ms-client-request-id"]) == ("mine", "yours")
