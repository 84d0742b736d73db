"""The OpenAPI document of what answers: made from a model's columns, or the one that a host has of its own."""

from __future__ import annotations

import json
from typing import Any

from opsml_cli.domain import mlflow_signature, openapi, openapi_signature, swagger
from opsml_cli.local.serving.hosting.group import HostGroup
from opsml_cli.local.serving.routing import Live

_MOST = 32  # documents that are kept


class Documents:
    """The documents of one endpoint, kept as long as they are true."""

    def __init__(self, endpoint: str) -> None:
        self._endpoint = endpoint
        self._kept: dict[tuple[str, str, str, tuple[str, ...]], bytes] = {}

    def of(self, live: Live, version: str, host: str, deployments: tuple[str, ...]) -> bytes:
        """The document of `version` ("2", "3") for clients that reach the server as `host`."""
        place = (version, live.revision, host, deployments)
        if place not in self._kept:
            if len(self._kept) > _MOST:
                self._kept.clear()
            self._kept[place] = json.dumps(_made(self._endpoint, live, version, host, deployments), indent=1).encode()
        return self._kept[place]


def _made(endpoint: str, live: Live, version: str, host: str, deployments: tuple[str, ...]) -> dict[str, Any]:
    if isinstance(live.scorer, HostGroup):
        own = live.scorer.description.documents.get(version)
        if isinstance(own, dict):
            place: dict[str, Any] = (
                {"host": host, "schemes": ["http"]} if version == "2" else {"servers": [{"url": f"http://{host}"}]}
            )
            return {**own, **place}
        if live.scorer.description.signature is None and not live.scorer.schema.columns:
            return _of_a_script(endpoint, host, version)
    service = openapi.Service(
        endpoint=endpoint,
        deployment=live.deployment,
        model=live.model,
        version=live.version,
        schema=live.scorer.schema,
        classes=live.scorer.classes,
        deployments=deployments,
        url=f"http://{host}",
        example_results=live.example_results,
    )
    taken = _signature(live)
    if taken is not None:
        known, body, reply = taken
        example = None if body is None else json.loads(body)
        make = openapi_signature.swagger2 if version == "2" else openapi_signature.document
        return make(service, mlflow_signature.of_document(known), example, reply)
    return swagger.document(service) if version == "2" else openapi.document(service)


def _signature(live: Live) -> tuple[dict[str, Any], str | None, Any] | None:
    """The MLflow signature of a foreign model, a body that it answers, and its answer."""
    if isinstance(live.scorer, HostGroup):
        described = live.scorer.description
        return None if described.signature is None else (described.signature, described.example, described.reply)
    if live.compiled:
        from opsml_cli.local.serving.compiled.scorer import CompiledScorer

        assert isinstance(live.scorer, CompiledScorer)
        return live.scorer.signature, live.example, list(live.example_results) or None
    return None


def _of_a_script(endpoint: str, host: str, version: str) -> dict[str, Any]:
    """OpenAPI of a script, whose bodies nobody knows."""
    info = {"title": endpoint, "version": "1", "description": "A scoring script: it says itself what it takes and gives."}
    answers = {
        "200": {"description": "What the script gives."},
        "default": {"description": "What the script, or the server before it, refuses."},
    }
    if version == "2":
        body = [{"in": "body", "name": "data", "schema": {}}]
        score = {"consumes": ["application/json"], "produces": ["application/json"], "parameters": body, "responses": answers}
        return {"swagger": "2.0", "info": info, "host": host, "schemes": ["http"], "paths": {"/score": {"post": score}}}
    score = {"requestBody": {"content": {"application/json": {"schema": {}}}}, "responses": answers}
    return {"openapi": "3.1.0", "info": info, "servers": [{"url": f"http://{host}"}], "paths": {"/score": {"post": score}}}
