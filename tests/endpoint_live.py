"""An endpoint with scoring scripts as a test uses it: deploying, asking, load, and the processes behind it."""

from __future__ import annotations

import http.client
import json
import os
import shutil
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import psutil
from serving_support import wait_ready
from waiting import until

from opsml_cli.domain.endpoint import DeploymentState, DeploySpec
from opsml_cli.local.endpoint_records import RequestSettings, Script
from opsml_cli.local.endpoint_traffic import EndpointSettings
from opsml_cli.local.pipelines.snapshot import hash_path
from opsml_cli.local.workspace import LocalWorkspace


@dataclass
class Scripts:
    """Deploys scoring scripts into one endpoint, without the command line's ways to do so."""

    workspace: LocalWorkspace
    endpoint: str

    def __post_init__(self) -> None:
        self.workspace.online_endpoints.put(self.endpoint, EndpointSettings())

    def deploy(
        self,
        deployment: str,
        text: str,
        *,
        files: Mapping[str, str] | None = None,
        seconds: float | None = None,
        concurrency: int | None = None,
        environment: Mapping[str, str] | None = None,
        instances: int = 1,
    ) -> None:
        folder = self.workspace.layout.endpoint(self.endpoint)
        code = folder / "new"
        code.mkdir(parents=True)
        for name, content in {"score.py": text, **(files or {})}.items():
            (code / name).write_text(content)
        script = Script("score.py", hash_path(code), "")
        if not script.folder(folder).exists():
            script.folder(folder).parent.mkdir(exist_ok=True)
            code.rename(script.folder(folder))
        else:
            shutil.rmtree(code)
        operations = self.workspace.online_endpoints
        spec = DeploySpec(None, self.endpoint, deployment, instance_count=instances)
        settings = RequestSettings(seconds, concurrency)
        operations.attach(spec, script=script, environment=environment, request_settings=settings)
        found = wait_ready(self.workspace, self.endpoint, deployment)
        ready = next(each for each in found.deployments if each.name == deployment)
        assert ready.state is DeploymentState.SUCCEEDED, ready.detail


class Client:
    """Keeps connections; a deployment is named by header."""

    def __init__(self, workspace: LocalWorkspace, endpoint: str) -> None:
        self._uri = urlsplit(workspace.online_endpoints.get(endpoint).scoring_uri or "")
        self._key = workspace.online_endpoints.keys(endpoint).primary
        self._local = threading.local()

    def ask(self, body: bytes | str, deployment: str | None = None) -> tuple[int, Any, str | None]:
        """Status, the body's JSON, and the deployment that the reply names."""
        connection = getattr(self._local, "connection", None)
        if connection is None:
            connection = http.client.HTTPConnection(self._uri.hostname or "", self._uri.port, timeout=60)
            self._local.connection = connection
        headers = {"Authorization": f"Bearer {self._key}", "Content-Type": "application/json"}
        if deployment is not None:
            headers["azureml-model-deployment"] = deployment
        try:
            connection.request("POST", "/score", body, headers)
            reply = connection.getresponse()
            return reply.status, json.loads(reply.read() or b"null"), reply.headers["azureml-model-deployment"]
        except (OSError, http.client.HTTPException):
            connection.close()
            raise


def processes_of(workspace: LocalWorkspace) -> list[psutil.Process]:
    """Every process that works for the workspace: its folder is in their command lines."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if process.pid != os.getpid() and any(str(workspace.root) in word for word in process.cmdline()):
                found.append(process)
    return found


def fronts(workspace: LocalWorkspace) -> list[psutil.Process]:
    return [each for each in processes_of(workspace) if "opsml_cli.local.serving.server" in each.cmdline()]


def hosts(workspace: LocalWorkspace) -> list[psutil.Process]:
    return [each for each in processes_of(workspace) if any("bundle-" in word for word in each.cmdline())]


def leader(workspace: LocalWorkspace, endpoint: str) -> int:
    return int(json.loads((workspace.layout.endpoint(endpoint) / "server.json").read_text())["pid"])


@contextmanager
def load(client: Client, body: bytes | str, clients: int = 4) -> Iterator[tuple[list[Any], list[Exception]]]:
    """Requests without pause while the block runs: the replies, and what went wrong with connections."""
    end, replies, errors = threading.Event(), [], []  # type: ignore[var-annotated]

    def run() -> None:
        while not end.is_set():
            try:
                replies.append(client.ask(body))
            except (OSError, http.client.HTTPException) as error:
                errors.append(error)

    threads = [threading.Thread(target=run) for _ in range(clients)]
    for each in threads:
        each.start()
    try:
        until(lambda: len(replies) > clients)
        yield replies, errors
    finally:
        end.set()
        for each in threads:
            each.join()
