"""Injected faults on the wire: each looks like Azure's, strikes where it was aimed at, and leaves what it should."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import httpx
import pytest
from emulator_support import Emulated

from opsml_cli.domain.errors import UsageError
from opsml_cli.emulator.faults import read_faults

BODY = {"properties": {"dataType": "uri_file", "dataUri": "https://example.com/x.csv"}}


@pytest.fixture
def client(emulator: Emulated) -> Iterator[httpx.Client]:
    with emulator.client() as found:
        emulator.faults.clear()
        yield found
        emulator.faults.clear()


def _put(client: httpx.Client, emulator: Emulated, name: str) -> httpx.Response:
    return client.put(f"{emulator.ws}/data/{name}/versions/1", json=BODY)


def _there(client: httpx.Client, emulator: Emulated, name: str) -> bool:
    return client.get(f"{emulator.ws}/data/{name}/versions/1").status_code == 200


def test_throttling_says_when_to_come_back_and_ends(emulator: Emulated, client: httpx.Client) -> None:
    emulator.faults.add("throttle:verb=PUT,seconds=7,count=2")
    for _ in range(2):
        reply = _put(client, emulator, "throttled")
        assert (reply.status_code, reply.json()["error"]["code"]) == (429, "TooManyRequests")
        assert reply.headers["retry-after"] == "7"
        assert reply.headers["x-ms-response-type"] == "error"
    assert not _there(client, emulator, "throttled")
    assert _put(client, emulator, "throttled").status_code == 201


def test_an_error_before_or_after_the_effect(emulator: Emulated, client: httpx.Client) -> None:
    emulator.faults.add("error:verb=PUT,status=503")
    assert _put(client, emulator, "before").status_code == 503
    assert not _there(client, emulator, "before")
    emulator.faults.add("error:verb=PUT,when=after")
    reply = _put(client, emulator, "after")
    assert (reply.status_code, reply.json()["error"]["code"]) == (500, "InternalServerError")
    assert _there(client, emulator, "after")


def test_a_dropped_connection_before_or_after_the_effect(emulator: Emulated, client: httpx.Client) -> None:
    for when, there in (("before", False), ("after", True)):
        emulator.faults.add(f"drop:verb=PUT,route=/dropped-{when}/,when={when}")
        with pytest.raises(httpx.TransportError):
            _put(client, emulator, f"dropped-{when}")
        assert _there(client, emulator, f"dropped-{when}") is there


def test_an_expired_token_in_the_middle(emulator: Emulated, client: httpx.Client) -> None:
    emulator.faults.add("unauthorized:verb=GET,route=/data/,skip=1")
    assert client.get(f"{emulator.ws}/data/none").status_code == 404
    reply = client.get(f"{emulator.ws}/data/none")
    assert (reply.status_code, reply.json()["error"]["code"]) == (401, "ExpiredAuthenticationToken")
    assert reply.headers["www-authenticate"].startswith("Bearer ")
    assert client.get(f"{emulator.ws}/data/none").status_code == 404


def test_quota_strikes_what_needs_machines_alone(emulator: Emulated, client: httpx.Client) -> None:
    emulator.faults.add("quota:count=always")
    assert _put(client, emulator, "cheap").status_code == 201
    for _ in range(2):
        reply = client.put(f"{emulator.ws}/computes/cluster", json={"location": "local", "properties": {}})
        assert reply.status_code == 400
        inner = next(each for each in reply.json()["error"]["additionalInfo"] if each["type"] == "InnerError")
        assert inner["info"]["value"]["code"] == "OutOfQuota"
    assert client.get(f"{emulator.ws}/computes/cluster").status_code == 404


def test_signing_in_and_finding_the_cloud_are_spared(emulator: Emulated) -> None:
    emulator.faults.clear()
    emulator.faults.add("error:count=always")
    assert emulator.token()
    with emulator.plain() as client:
        assert client.get("/metadata/endpoints").status_code == 200
    emulator.faults.clear()


def test_the_sdk_lives_with_throttling_and_errors(emulate: Callable[..., Emulated]) -> None:
    emulator = emulate()
    emulator.faults.add("throttle:count=1")
    emulator.faults.add("error:status=503,skip=1,count=1")
    client = emulator.ml_client()
    assert client.workspaces.get(emulator.workspace_name).name == emulator.workspace_name
    assert client.datastores.get_default().name == "workspaceblobstore"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "floods",
        "drop:x=1",
        "drop:count",
        "drop:count=x",
        "error:status=404",
        "error:when=during",
        "slow:seconds=-1",
        "drop:skip=-1",
    ],
)
def test_wrong_words_are_refused(text: str) -> None:
    with pytest.raises(UsageError):
        read_faults([text])
