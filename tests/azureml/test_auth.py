"""Signing in, each way, against real servers on loopback: the token endpoint, a CI's OIDC service, a machine's identity."""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs

import pytest
from azure_server import Asked, AzureServer, Say
from pydantic import SecretStr

from opsml_cli.azureml.auth import Identity
from opsml_cli.azureml.cloud import find_cloud
from opsml_cli.domain.errors import ConfigError, NotSignedInError
from opsml_cli.settings import AzureSettings

SCOPE = "https://management.example/.default"
# What other programs, or this machine's own, could sign in with.
FOREIGN = ("AZURE_TENANT_ID", "AZURE_CLIENT_ID", "AZURE_CLIENT_SECRET", "AZURE_AUTHORITY_HOST", "AZURE_FEDERATED_TOKEN_FILE",
           "IDENTITY_ENDPOINT", "IDENTITY_HEADER", "MSI_ENDPOINT", "ACTIONS_ID_TOKEN_REQUEST_URL", "AZURE_TOKEN_CREDENTIALS",
           "ACTIONS_ID_TOKEN_REQUEST_TOKEN", "SYSTEM_OIDCREQUESTURI", "SYSTEM_ACCESSTOKEN")  # fmt: skip


@pytest.fixture(autouse=True)
def _nobody_signed_in(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in FOREIGN:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "bin").mkdir()


def identity(server: AzureServer, environment: dict[str, str] | None = None, **settings: object) -> Identity:
    given = AzureSettings(ca_bundle=str(server.bundle), authority=server.url, **settings)  # type: ignore[arg-type]
    return Identity(given, find_cloud(given, {}), environment or {})


def _form(asked: Asked) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(asked.body.decode()).items()}


def principal(server: AzureServer, **more: object) -> Identity:
    return identity(
        server,
        auth="service-principal",
        tenant_id="adfs",
        client_id="client",
        client_secret=SecretStr("canary-s3cret"),
        **more,
    )


# --- service principal


def test_a_service_principal_of_the_settings(server: AzureServer) -> None:
    found = principal(server)
    assert found.token(SCOPE) == "token-1"
    form = _form(server.tokens[0])
    assert (form["client_id"], form["client_secret"], form["grant_type"]) == ("client", "canary-s3cret", "client_credentials")
    assert found.told() == "signed in by service principal (auth service-principal)"
    # From memory, until it is refused.
    assert found.token(SCOPE) == "token-1"
    found.renew()
    assert found.token(SCOPE) == "token-2"
    found.close()


def test_the_sdk_takes_it_as_a_credential(server: AzureServer) -> None:
    found = principal(server)
    token = found.get_token(SCOPE)
    info = found.get_token_info(SCOPE, options={})
    assert (token.token, info.token) == ("token-1", "token-1")
    assert token.expires_on > time.time() + 3000
    found.close()


def test_a_secret_that_is_refused(server: AzureServer) -> None:
    server.refuse_tokens = Say(
        401, {"error": "invalid_client", "error_description": "AADSTS7000215: Invalid client secret. Trace ID: 1"}
    )
    found = principal(server)
    with pytest.raises(NotSignedInError) as caught:
        found.token(SCOPE)
    error = caught.value
    assert error.exit_code == 4
    assert "AADSTS7000215" in str(error.cause)
    assert "OPSML_AZURE__CLIENT_SECRET" in str(error.fix)
    assert "canary" not in f"{error} {error.cause} {error.fix}"
    assert "Trace ID" not in str(error.cause)
    assert found.told().startswith("not signed in (auth service-principal); not by service principal: ")


@pytest.mark.parametrize("missing", ["tenant_id", "client_id", "client_secret"])
def test_what_a_service_principal_needs(server: AzureServer, missing: str) -> None:
    given = {"tenant_id": "t", "client_id": "c", "client_secret": SecretStr("s"), missing: None}
    with pytest.raises(ConfigError, match=f"azure.{missing}") as caught:
        identity(server, auth="service-principal", **given).token(SCOPE)
    assert f"OPSML_AZURE__{missing.upper()}" in str(caught.value.fix)
    assert f"AZURE_{missing.upper()}" in str(caught.value.fix)
    environment = {"AZURE_TENANT_ID": "adfs", "AZURE_CLIENT_ID": "c", "AZURE_CLIENT_SECRET": "s"}
    found = identity(server, environment, auth="service-principal", **(given | {"tenant_id": "adfs", missing: None}))
    assert found.token(SCOPE) == "token-1"
    found.close()


def test_the_token_endpoint_that_is_not_there(server: AzureServer) -> None:
    given = AzureSettings(
        auth="service-principal", tenant_id="adfs", client_id="c", client_secret=SecretStr("s"), authority="https://localhost:1"
    )
    with pytest.raises(NotSignedInError) as caught:
        Identity(given, find_cloud(given, {}), {}).token(SCOPE)
    assert "localhost" in str(caught.value.cause)


# --- a CI's own identity


def github(server: AzureServer) -> dict[str, str]:
    return {"ACTIONS_ID_TOKEN_REQUEST_URL": f"{server.url}/oidc?run=1", "ACTIONS_ID_TOKEN_REQUEST_TOKEN": "ci-token"}


def test_github_actions(server: AzureServer) -> None:
    count = 0

    def answer(asked: Asked) -> Say:
        nonlocal count
        count += 1
        return Say(value={"value": f"assertion-{count}"})

    server.answer = answer
    found = identity(server, github(server), auth="oidc", tenant_id="tenant-a", client_id="client")
    assert found.token(SCOPE) == "token-1"
    asked = server.asked[0]
    assert (asked.method, asked.path) == ("GET", "/oidc?run=1&audience=api://AzureADTokenExchange")
    assert asked.headers["authorization"] == "bearer ci-token"
    assert server.tokens[0].path.startswith("/tenant-a/")
    assert _form(server.tokens[0])["client_assertion"] == "assertion-1"
    # In a long wait the assertion has ended long ago: a new token means a new assertion.
    found.renew()
    assert found.token(SCOPE) == "token-2"
    assert _form(server.tokens[1])["client_assertion"] == "assertion-2"
    assert found.told() == "signed in by GitHub Actions OIDC (auth oidc)"
    found.close()


@pytest.mark.parametrize(
    ("cloud", "audience"),
    [("AzureUSGovernment", "api://AzureADTokenExchangeUSGov"), ("AzureChinaCloud", "api://AzureADTokenExchangeChina")],
)
def test_sovereign_clouds_have_an_audience_of_their_own(server: AzureServer, cloud: str, audience: str) -> None:
    server.answer = lambda _: Say(value={"value": "a"})
    found = identity(server, github(server), auth="oidc", tenant_id="tenant-a", client_id="client", cloud=cloud)
    found.token(SCOPE)
    assert server.asked[0].path.endswith(f"audience={audience}")
    found.close()


def test_azure_pipelines(server: AzureServer) -> None:
    server.answer = lambda _: Say(value={"oidcToken": f"assertion-{len(server.asked)}"})
    environment = {
        "SYSTEM_OIDCREQUESTURI": f"{server.url}/pipelines/oidctoken",
        "SYSTEM_ACCESSTOKEN": "system-token",
        "AZURESUBSCRIPTION_SERVICE_CONNECTION_ID": "connection",
        "AZURESUBSCRIPTION_TENANT_ID": "tenant-b",
        "AZURESUBSCRIPTION_CLIENT_ID": "client-b",
    }
    found = identity(server, environment, auth="oidc")
    assert found.token(SCOPE) == "token-1"
    asked = server.asked[0]
    assert (asked.method, asked.path) == ("POST", "/pipelines/oidctoken?api-version=7.1&serviceConnectionId=connection")
    assert asked.headers["authorization"] == "Bearer system-token"
    form = _form(server.tokens[0])
    assert (form["client_id"], form["client_assertion"]) == ("client-b", "assertion-1")
    assert server.tokens[0].path.startswith("/tenant-b/")
    found.renew()
    assert found.token(SCOPE) == "token-2"
    assert _form(server.tokens[1])["client_assertion"] == "assertion-2"
    found.close()
    for missing in ("SYSTEM_ACCESSTOKEN", "AZURESUBSCRIPTION_SERVICE_CONNECTION_ID"):
        with pytest.raises(ConfigError, match=missing):
            identity(server, {**environment, missing: ""}, auth="oidc").token(SCOPE)


def test_oidc_outside_of_any_ci(server: AzureServer) -> None:
    with pytest.raises(ConfigError, match="ACTIONS_ID_TOKEN_REQUEST_URL") as caught:
        identity(server, auth="oidc", tenant_id="t", client_id="c").token(SCOPE)
    assert "id-token: write" in str(caught.value.fix)


@pytest.mark.parametrize("say", [Say(403, {"message": "no"}), Say(200, text="<html>"), Say(200, {"other": 1}), Say(drop=True)])
def test_an_assertion_that_is_not_given(server: AzureServer, say: Say) -> None:
    server.answer = lambda _: say
    with pytest.raises(NotSignedInError, match="no OIDC assertion") as caught:
        identity(server, github(server), auth="oidc", tenant_id="t", client_id="c").token(SCOPE)
    assert "ci-token" not in f"{caught.value} {caught.value.cause}"
    assert server.tokens == []


def test_an_application_that_does_not_trust_this_repository(server: AzureServer) -> None:
    server.answer = lambda _: Say(value={"value": "a"})
    server.refuse_tokens = Say(
        400, {"error": "invalid_request", "error_description": "AADSTS70021: No matching federated identity record"}
    )
    with pytest.raises(NotSignedInError) as caught:
        identity(server, github(server), auth="oidc", tenant_id="t", client_id="c").token(SCOPE)
    assert "AADSTS70021" in str(caught.value.cause)
    assert "federated credential" in str(caught.value.fix)


# --- the Azure CLI, and the machine's identity


def fake_az(folder: Path, text: str, code: int = 0) -> None:
    az = folder / "az"
    az.write_text(f"#!/bin/sh\ncat <<'END'\n{text}\nEND\nexit {code}\n")
    az.chmod(0o755)


def test_the_azure_cli(server: AzureServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    fake_az(tmp_path / "bin", json.dumps({"accessToken": "az-token", "expires_on": int(time.time()) + 3600}))
    found = identity(server, auth="cli")
    assert found.token(SCOPE) == "az-token"
    assert found.told() == "signed in by Azure CLI (auth cli)"


def test_nobody_at_the_azure_cli(server: AzureServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(NotSignedInError, match="auth cli") as caught:
        identity(server, auth="cli").token(SCOPE)
    assert "az login" in str(caught.value.fix)


@pytest.fixture
def machine() -> Iterator[tuple[str, list[str]]]:
    """The identity service of an App Service machine: its URL and what was asked."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            right = self.headers.get("x-identity-header") == "header"
            body = json.dumps(
                {"access_token": "machine-token", "expires_on": int(time.time()) + 3600, "resource": "r"}
            ).encode()
            self.send_response(200 if right else 401)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: object) -> None: ...

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{http.server_address[1]}/msi/token", asked
    http.shutdown()
    http.server_close()
    thread.join(60)


def test_a_managed_identity(server: AzureServer, machine: tuple[str, list[str]], monkeypatch: pytest.MonkeyPatch) -> None:
    url, asked = machine
    monkeypatch.setenv("IDENTITY_ENDPOINT", url)
    monkeypatch.setenv("IDENTITY_HEADER", "header")
    found = identity(server, auth="managed-identity")
    assert found.token(SCOPE) == "machine-token"
    assert found.told() == "signed in by managed identity (auth managed-identity)"
    assert "client_id" not in asked[0]
    identity(server, auth="managed-identity", client_id="chosen").token(SCOPE)
    assert "client_id=chosen" in asked[-1]


# --- default


def test_default_takes_the_environment_and_says_so(
    server: AzureServer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    for name, value in server.environment.items():
        monkeypatch.setenv(name, value)
    found = identity(server)
    with caplog.at_level(logging.DEBUG, "opsml.azure.auth"):
        assert found.token(SCOPE) == "token-1"
    assert found.told() == "signed in by environment (auth default)"
    assert found.told() in caplog.text
    found.close()


def test_default_goes_on_to_the_azure_cli_and_tells_why(
    server: AzureServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    fake_az(tmp_path / "bin", json.dumps({"accessToken": "az-token", "expires_on": int(time.time()) + 3600}))
    monkeypatch.setenv("IDENTITY_ENDPOINT", "http://127.0.0.1:1/none")  # no probe of a machine's identity
    monkeypatch.setenv("IDENTITY_HEADER", "h")
    found = identity(server)
    assert found.token(SCOPE) == "az-token"
    told = found.told()
    assert told.startswith("signed in by Azure CLI (auth default); not by environment: ")
    assert "workload identity: " in told
    assert "managed identity: " in told


def test_values_that_somebody_gave_and_azure_refuses_end_the_search(
    server: AzureServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    fake_az(tmp_path / "bin", json.dumps({"accessToken": "az-token", "expires_on": int(time.time()) + 3600}))
    for name, value in server.environment.items():
        monkeypatch.setenv(name, value)
    server.refuse_tokens = Say(401, {"error": "invalid_client", "error_description": "AADSTS7000222: expired secret"})
    with pytest.raises(NotSignedInError) as caught:
        identity(server).token(SCOPE)
    assert "AADSTS7000222" in str(caught.value.cause)
    assert "Azure CLI" not in str(caught.value.cause)


def test_default_knows_a_principal_of_the_settings(server: AzureServer) -> None:
    found = identity(server, tenant_id="adfs", client_id="client", client_secret=SecretStr("s"))
    assert found.token(SCOPE) == "token-1"
    assert found.told() == "signed in by service principal of the settings (auth default)"
    found.close()


def test_nobody_is_signed_in(server: AzureServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AZURE_TOKEN_CREDENTIALS", "dev")  # no probe of a machine's identity
    with pytest.raises(NotSignedInError, match="auth default") as caught:
        identity(server).token(SCOPE)
    assert "az login" in str(caught.value.fix)
    assert "Azure CLI: " in str(caught.value.cause)
