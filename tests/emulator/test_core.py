"""The core of the emulator: the real SDK finds it, and what everybody's answers have in common."""

from __future__ import annotations

import re
import time
from pathlib import Path

import jwt
import pytest
from emulator_support import Emulated, emulated

from opsml_cli.emulator.routing import Match, Table, every_route, full


def test_the_sdk_finds_the_workspace_through_the_environment(emulator: Emulated) -> None:
    found = emulator.ml_client().workspaces.get(emulator.workspace_name)
    assert found.name == emulator.workspace_name
    assert found.discovery_url == f"{emulator.url}/discovery"


def test_a_workspace_has_the_keys_of_azures(emulator: Emulated) -> None:
    with emulator.client() as client:
        reply = client.get(emulator.ws)
    assert reply.status_code == 200
    body = reply.json()
    assert body["etag"] is None
    assert body["properties"]["provisioningState"] == "Succeeded"
    assert body["systemData"]["createdAt"].endswith("Z")
    assert body["properties"]["mlFlowTrackingUri"] == f"azureml://localhost:{emulator.port}/mlflow/v1.0{body['id']}"


def test_msal_signs_in_by_a_tenants_own_authority_too(emulator: Emulated, monkeypatch: pytest.MonkeyPatch) -> None:
    from azure.identity import ClientSecretCredential

    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(emulator.bundle))
    credential = ClientSecretCredential(
        emulator.names.tenant,
        emulator.application.client_id,
        emulator.secret,
        authority=emulator.url,
        disable_instance_discovery=True,
    )
    for resource in (emulator.url, f"{emulator.url}/", "https://ml.azure.localhost"):
        claims = jwt.decode(credential.get_token(f"{resource}/.default").token, options={"verify_signature": False})
        assert claims["aud"] == resource
        assert (claims["tid"], claims["oid"]) == (emulator.names.tenant, emulator.application.object_id)


def test_every_route_is_said_once_and_can_be_reached() -> None:
    said = [(route.method, full(route.template).lower()) for route in every_route()]
    assert sorted(said) == sorted(set(said))
    table = Table(every_route())
    for route in every_route():
        path = re.sub(r"\{(\w+)(?::path)?\}", "x", full(route.template))
        found = table.find(route.method, path)
        assert isinstance(found, Match), route
        assert found.route.template == route.template, (found.route.template, route.template)


def test_what_an_answer_tells_besides_its_body(emulator: Emulated) -> None:
    with emulator.client() as client:
        found = client.get(emulator.ws)
        refused = client.get(f"{emulator.ws}/jobs/none")
        history = client.get(f"/history/v1.0{emulator.ws}/runs/none")
        without = client.get(emulator.ws, params={"api-version": "latest"})
    assert found.headers["x-ms-response-type"] == "standard"
    assert refused.headers["x-ms-response-type"] == "error"
    assert found.headers["x-ms-routing-request-id"].endswith(found.headers["x-ms-correlation-request-id"])
    assert "x-ms-request-id" not in found.headers
    assert "x-ms-ratelimit-remaining-subscription-reads" in found.headers
    assert "x-ms-correlation-request-id" not in history.headers
    assert (without.status_code, without.json()["error"]["code"]) == (400, "InvalidApiVersionParameter")


def test_clients_that_keep_their_connections_do_not_hold_up_its_end(tmp_path: Path) -> None:
    with emulated(tmp_path, grace_seconds=15) as made:
        waiting = made.plain()
        assert waiting.get("/metadata/endpoints", params={"api-version": "2019-05-01"}).status_code == 200
        begun = time.monotonic()
    assert time.monotonic() - begun < 10, "it waited for connections that nobody uses"
    waiting.close()
