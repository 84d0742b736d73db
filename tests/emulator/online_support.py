"""Online endpoints on the wire: the bodies of requests, the waiting, and what the tests of them stand on."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import httpx
from emulator_support import Emulated
from serving_support import ROW

from opsml_cli.domain.model import Model

BODY = {"input_data": {"columns": list(ROW), "index": [0], "data": [list(ROW.values())]}}


def finish(client: httpx.Client, reply: httpx.Response, seconds: float = 90.0) -> dict[str, Any]:
    """The last poll of a long-running operation."""
    assert reply.status_code in (200, 201, 202), reply.text
    deadline = time.monotonic() + seconds
    while True:
        poll = client.get(reply.headers["azure-asyncoperation"], params=None)
        assert poll.status_code == 200, poll.text
        if poll.json()["status"] in ("Succeeded", "Failed"):
            return dict(poll.json())
        assert time.monotonic() < deadline, poll.text
        time.sleep(0.1)


def endpoint_body(emulator: Emulated, **properties: Any) -> dict[str, Any]:
    return {
        "location": "local",
        "tags": {},
        "properties": {"authMode": "Key", **properties},
        "identity": {"type": "SystemAssigned"},
    }


def deployment_body(emulator: Emulated, model: Model, **properties: Any) -> dict[str, Any]:
    return {
        "location": "local",
        "tags": {},
        "sku": {"name": "Default", "capacity": 1},
        "properties": {
            "endpointComputeType": "Managed",
            "model": f"{emulator.ws}/models/{model.name}/versions/{model.version}",
            "instanceType": "Standard_DS3_v2",
            "appInsightsEnabled": False,
            **properties,
        },
    }


def keys(client: httpx.Client, url: str) -> Mapping[str, str]:
    return dict(client.post(f"{url}/listKeys").json())


def score(emulator: Emulated, name: str, token: str | None, **headers: str) -> httpx.Response:
    bearer = {} if token is None else {"authorization": f"Bearer {token}"}
    with emulator.plain() as plain:
        return plain.post(f"{emulator.url}/_online/{name}/score", json=BODY, headers={**bearer, **headers})


def detail(reply: httpx.Response) -> str:
    return str(reply.json()["error"]["details"][0]["message"])


def shared_endpoint(emulator: Emulated, client: httpx.Client, model: Model) -> str:
    """The URL of a new endpoint `shared` whose deployment `blue` has all traffic."""
    url = f"{emulator.ws}/onlineEndpoints/shared"
    finish(client, client.put(url, json=endpoint_body(emulator)))
    assert finish(client, client.put(f"{url}/deployments/blue", json=deployment_body(emulator, model)))["status"] == "Succeeded"
    finish(client, client.put(url, json=endpoint_body(emulator, traffic={"blue": 100})))
    return url


def delete_all(emulator: Emulated) -> None:
    """Afterwards no server of an endpoint runs."""
    for each in emulator.workspace.online_endpoints.list():
        emulator.workspace.online_endpoints.delete(each.name)
