"""The emulator as tests use it: served by a thread of this process, with TLS, on a free port of loopback."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any

import httpx

from opsml_cli.emulator import tls
from opsml_cli.emulator.app import make_app
from opsml_cli.emulator.faults import Faults
from opsml_cli.emulator.listening import settings
from opsml_cli.local.azure_names import AzureNames, Directory
from opsml_cli.local.principals import Application, Principals
from opsml_cli.local.workspace import LocalWorkspace

START_SECONDS = 20.0


class MovedClock:
    """A clock that stands still until it is moved."""

    def __init__(self, at: datetime | None = None) -> None:
        self.at = at or datetime.now(UTC)

    def now(self) -> datetime:
        return self.at

    def move(self, seconds: float) -> None:
        self.at += timedelta(seconds=seconds)


@dataclass
class Emulated:
    """A running emulator. `url` is its base, without a slash at the end; `workspace` the local workspace behind it;
    `faults.add("throttle:verb=PUT")` rehearses a failure from now on."""

    url: str
    port: int
    workspace: LocalWorkspace
    names: AzureNames
    application: Application
    secret: str
    bundle: Path
    faults: Faults

    @property
    def subscription(self) -> str:
        return self.names.subscription

    @property
    def resource_group(self) -> str:
        return self.names.resource_group

    @property
    def workspace_name(self) -> str:
        return self.names.name

    @property
    def ws(self) -> str:
        """The workspace's ARM id."""
        return (
            f"/subscriptions/{self.subscription}/resourceGroups/{self.resource_group}"
            f"/providers/Microsoft.MachineLearningServices/workspaces/{self.workspace_name}"
        )

    @property
    def principals(self) -> Principals:
        return Principals(self.workspace.layout, self.workspace.store)

    @cached_property
    def environment(self) -> dict[str, str]:
        """What an unmodified script finds in its environment."""
        return {
            "ARM_CLOUD_METADATA_URL": f"{self.url}/metadata/endpoints?api-version=2019-05-01",
            "REQUESTS_CA_BUNDLE": str(self.bundle),
            "SSL_CERT_FILE": str(self.bundle),
            "AZURE_AUTHORITY_HOST": self.url,
            "AZURE_TENANT_ID": "adfs",
            "AZURE_CLIENT_ID": self.application.client_id,
            "AZURE_CLIENT_SECRET": self.secret,
        }

    def token(self, audience: str | None = None, *, client_id: str | None = None, secret: str | None = None) -> str:
        """A bearer token, from the token endpoint. `audience` None: the resource manager."""
        asked = {
            "grant_type": "client_credentials",
            "client_id": client_id or self.application.client_id,
            "client_secret": secret or self.secret,
            "scope": (audience or self.url) + "/.default",
        }
        with self.plain() as client:
            reply = client.post("/adfs/oauth2/token", data=asked)
        assert reply.status_code == 200, reply.text
        return str(reply.json()["access_token"])

    def plain(self, **options: Any) -> httpx.Client:
        """A client without a token."""
        import ssl

        context = ssl.create_default_context(cafile=str(self.bundle))
        return httpx.Client(**{"base_url": self.url, "verify": context, "trust_env": False, "timeout": 60.0, **options})

    def client(self, **options: Any) -> httpx.Client:
        """A signed-in client that sends `api-version` with every request which has none of its own."""
        headers = {"authorization": f"Bearer {self.token()}", **options.pop("headers", {})}

        # No default `params`: httpx would put them in place of the query that an absolute link brings along.
        def versioned(request: httpx.Request) -> None:
            if "api-version" not in request.url.params:
                request.url = request.url.copy_add_param("api-version", "2024-10-01-preview")

        return self.plain(headers=headers, event_hooks={"request": [versioned]}, **options)

    def ml_client(self, **options: Any) -> Any:
        """The real MLClient of azure-ai-ml, found through the environment as a user's script would."""
        from azure.ai.ml import MLClient
        from azure.ai.ml.constants._endpoint import EndpointInvokeFields
        from azure.identity import ClientSecretCredential

        # The SDK writes the deployment of one call into a header that the next call, of any client, still sends.
        EndpointInvokeFields.DEFAULT_HEADER.pop(EndpointInvokeFields.MODEL_DEPLOYMENT, None)
        os.environ.pop("AZUREML_CURRENT_CLOUD", None)  # the SDK's own memory of the cloud, of an earlier emulator
        os.environ.update(self.environment)
        credential = ClientSecretCredential("adfs", self.application.client_id, self.secret, authority=self.url)
        return MLClient(credential, self.subscription, self.resource_group, self.workspace_name, **options)


@contextmanager
def emulated(folder: Path, grace_seconds: int = 2, **options: Any) -> Iterator[Emulated]:
    """An emulator over a new local workspace in `folder`, which waits up to `grace_seconds` for its calls when it ends.

    Options are those of `make_app`: pace, clock, faults.
    """
    import uvicorn

    workspace = LocalWorkspace(folder / ".opsml")
    workspace.root.mkdir(mode=0o700, parents=True, exist_ok=True)
    names = Directory(workspace).first()
    application, secret = Principals(workspace.layout, workspace.store).default(f"/subscriptions/{names.subscription}")
    faults = options.setdefault("faults", Faults())
    served_with = settings(workspace.layout, datetime.now(UTC))
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.bind(("127.0.0.1", 0))
    listener.listen(128)
    port = int(listener.getsockname()[1])
    config = uvicorn.Config(
        make_app(workspace.root, port, **options),
        log_level="warning",
        lifespan="off",
        server_header=False,
        date_header=False,
        timeout_graceful_shutdown=grace_seconds,
        **served_with,
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, name="emulator-server", daemon=True)
    thread.start()
    deadline = time.monotonic() + START_SECONDS
    while not server.started:
        assert thread.is_alive(), "the server ended"
        assert time.monotonic() < deadline, "the server did not start"
        time.sleep(0.01)
    before = dict(os.environ)
    try:
        # Its authority alone: reading the public roots too takes longer than most requests.
        roots = tls.places(workspace.layout).authority
        yield Emulated(f"https://localhost:{port}", port, workspace, names, application, secret, roots, faults)
    finally:
        os.environ.clear()
        os.environ.update(before)
        server.should_exit = True
        thread.join(START_SECONDS)
        listener.close()
        workspace.store.close()
        assert not thread.is_alive(), "the server did not end"
