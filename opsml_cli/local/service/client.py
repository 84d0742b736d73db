"""Talking to the local service over HTTP, with its token. `http.client` keeps it cheap."""

from __future__ import annotations

import json
import secrets
import shlex
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from opsml_cli.domain.errors import (
    BusyError,
    ConflictError,
    InvalidInputError,
    NotFoundError,
    NotSignedInError,
    OpsmlError,
)
from opsml_cli.local.layout import Layout
from opsml_cli.local.service.place import ServicePlace
from opsml_cli.local.service.requests import JOB_INPUT_TYPES

if TYPE_CHECKING:
    from opsml_cli.domain.pipeline import PipelineEndpoint, PipelineInput

_LITERALS = ("string", "integer", "number", "boolean")


class ServiceClient:
    """Requests to the service of one workspace, which must be up."""

    def __init__(self, layout: Layout, timeout: float = 60.0) -> None:
        self._place = ServicePlace(layout)
        self._timeout = timeout

    def request(self, method: str, path: str, body: object = None, headers: Mapping[str, str] | None = None) -> tuple[int, Any]:
        """Status and parsed body. OSError when nobody answers."""
        import http.client

        address, token = self._place.address(), self._place.token()
        if address is None or token is None:
            raise BusyError("the local service is not up", fix="opsml local up")
        connection = http.client.HTTPConnection("127.0.0.1", address.port, timeout=self._timeout)
        try:
            sent = {"Authorization": f"Bearer {token}", **(headers or {})}
            content = None
            if body is not None:
                content = json.dumps(body).encode()
                sent["Content-Type"] = "application/json"
            connection.request(method, path, body=content, headers=sent)
            reply = connection.getresponse()
            text = reply.read()
        except http.client.HTTPException as error:
            raise ConnectionError(str(error)) from error
        finally:
            connection.close()
        try:
            return reply.status, json.loads(text)
        except ValueError:
            return reply.status, None

    def trigger(
        self, endpoint: PipelineEndpoint, inputs: Mapping[str, str], experiment: str | None, version: str | None
    ) -> str:
        """Start a run; its name. Sent a second time when the reply was lost, it is still one run."""
        declared = {item.name: item for item in endpoint.inputs}
        data = {name: _input_data(declared.get(name), text) for name, text in inputs.items()}
        properties: dict[str, object] = {"InputData": data}
        if experiment is not None:
            properties["ExperimentName"] = experiment
        path = f"/pipelines/{endpoint.name}/jobs" + (f"?version={version}" if version else "")
        headers = {"x-ms-client-request-id": secrets.token_hex(16)}
        for attempt in (1, 2):
            try:
                status, body = self.request("POST", path, {"properties": properties}, headers)
                break
            except OSError as error:
                if attempt == 2:
                    raise BusyError("the local service does not answer", cause=str(error), fix="opsml local status") from error
        if status not in (200, 201):
            raise _error(status, body)
        return str(body["run"])


def _input_data(declared: PipelineInput | None, text: str) -> dict[str, object]:
    if declared is None or declared.type in _LITERALS:
        return {"JobInputType": "Literal", "Value": text}
    return {"JobInputType": JOB_INPUT_TYPES[declared.type], "Uri": text}


def _error(status: int, body: Any) -> OpsmlError:
    """The error that the service sent, as it was."""
    error = body.get("error") if isinstance(body, dict) else None
    if not isinstance(error, dict):
        return OpsmlError(f"the local service answered with status {status}", fix="opsml local status")
    kinds: dict[int, type[OpsmlError]] = {400: InvalidInputError, 401: NotSignedInError, 404: NotFoundError, 409: ConflictError}
    kind = kinds.get(status, OpsmlError)
    return kind(str(error.get("message")), cause=error.get("cause"), fix=error.get("fix"))


def curl_command(endpoint: PipelineEndpoint, workspace: str) -> str:
    """A command for a POSIX shell that triggers the pipeline. Its token comes from `opsml local token`."""
    token = "opsml local token" if workspace == "local" else f"opsml local token -w {shlex.quote(workspace)}"
    data: dict[str, object] = {}
    for item in endpoint.inputs:
        default = item.default
        if default is None and item.optional:
            continue
        text = str(default) if default is not None else f"<{item.name}>" if item.type in _LITERALS else "azureml:NAME:VERSION"
        if item.type in _LITERALS:
            data[item.name] = {"JobInputType": "Literal", "Value": default if default is not None else text}
        elif text.startswith("azureml:"):
            data[item.name] = {"JobInputType": JOB_INPUT_TYPES[item.type], "Uri": text}
    body = json.dumps({"properties": {"InputData": data}})
    return (
        f"curl --fail-with-body --silent --show-error -X POST {shlex.quote(str(endpoint.url))} "
        f'-H "Authorization: Bearer $({token})" '
        f"-H 'Content-Type: application/json' -d {shlex.quote(body)}"
    )
