"""`deploy -f`: Azure's YAML files of endpoints and deployments, with `--set` applied."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from opsml_cli.documents import Document, parse_document, read_document
from opsml_cli.domain import overrides
from opsml_cli.domain.deployment import EndpointSpec
from opsml_cli.domain.deployment_yaml import DeploymentFile, read_file
from opsml_cli.domain.errors import UsageError
from opsml_cli.domain.fields import FieldError

Override = tuple[str, object]

# With a file of each kind, `--set` of these is meant for the endpoint's.
_OF_ENDPOINTS = ("auth_mode", "traffic", "mirror_traffic", "public_network_access", "identity")


def read(paths: Sequence[str], sets: Sequence[str]) -> tuple[EndpointSpec | None, DeploymentFile | None]:
    """The endpoint and the deployment that the files describe, at most one of each. UsageError for a wrong `--set` and for two
    files of one kind; InvalidInputError names file, line and key."""
    given = [_override(text) for text in sets]
    documents = [(path, read_document(Path(path).expanduser(), source=path)) for path in paths]
    kinds = [_is_endpoint(document, given if len(documents) == 1 else ()) for _, document in documents]
    if len(documents) > 2 or (len(documents) == 2 and kinds[0] == kinds[1]):
        raise UsageError("-f takes one endpoint's file and one deployment's", cause=f"given are: {', '.join(paths)}")
    endpoint: EndpointSpec | None = None
    deployment: DeploymentFile | None = None
    for (_, document), is_endpoint in zip(documents, kinds, strict=True):
        mine = given
        if len(documents) == 2:
            mine = [each for each in given if (each[0].partition(".")[0] in _OF_ENDPOINTS) == is_endpoint]
        found = _read(document, mine)
        if isinstance(found, EndpointSpec):
            endpoint = found
        else:
            deployment = found
    if endpoint is not None and deployment is not None and deployment.endpoint not in (None, endpoint.name):
        raise UsageError(
            f"the deployment's file names endpoint {deployment.endpoint!r}, the endpoint's {endpoint.name!r}",
            fix="make endpoint_name and name the same",
        )
    return endpoint, deployment


def _override(text: str) -> Override:
    """`key.path=value`. A value stays text, which every key reads as its own type; `null` takes the key out, and lists and
    mappings are written in JSON or YAML's flow style."""
    path, equals, value = text.partition("=")
    if not equals or not path or "" in path.split("."):
        raise UsageError(f"--set {text!r} is not of the form key.path=value")
    if value == "null":
        return path, None
    if value[:1] in ("[", "{"):
        return path, parse_document(value, source=f"--set {path}", folder=Path()).value
    return path, value


def _is_endpoint(document: Document, given: Sequence[Override]) -> bool:
    return isinstance(_read(document, given), EndpointSpec)


def _read(document: Document, given: Sequence[Override]) -> DeploymentFile | EndpointSpec:
    try:
        return read_file(overrides.apply(document.value, given), document.folder)
    except FieldError as problem:
        where = tuple(str(part) for part in problem.where)
        for path, _ in given:
            parts = tuple(path.split("."))
            if where and where[: len(parts)] == parts[: len(where)]:
                raise UsageError(f"--set {path}: {problem.message}", cause=problem.cause) from problem
        raise document.error(problem.where, problem.message, problem.cause) from problem
