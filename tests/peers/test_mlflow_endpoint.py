"""MLflow folders as deployments of an endpoint: the whole way by HTTP, and documents that the endpoint keeps to."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import hypothesis
import pytest
import schemathesis
from schemathesis.generation import GenerationMode

sys.path.insert(0, str(Path(__file__).parent))
import mlflow_suite
from mlflow_cases import CASES
from serving_support import deploy, end_all

from opsml_cli.domain.model import RegisterModel
from opsml_cli.local.workspace import LocalWorkspace
from opsml_cli.services.swagger import Comparison

pytestmark = pytest.mark.slow

# One of each kind of signature and of result; a deployment is a process, so that they are not all.
DEPLOYED = (
    "echo_mixed", "echo_optional", "echo_binary", "echo_datetime", "echo_objects", "echo_any", "echo_unnamed", "echo_none",
    "tensor_float", "tensor_named", "returns", "factor", "hinted", "sk_pipeline", "lgb_classifier",
    "sk_isolation", "lgb_single", "shift_1", "shift_2",
)  # fmt: skip
# Nothing in these folders says what a request looks like.
UNKNOWN = ("echo_none", "hinted")


@pytest.fixture(scope="module")
def folder(mlflow_python: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("mlflow") / "models"
    mlflow_suite.make_models(mlflow_python, place)
    return place


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalWorkspace]:
    found = LocalWorkspace(tmp_path_factory.mktemp("workspace") / ".opsml")
    yield found
    end_all(found)


@pytest.fixture(scope="module")
def endpoint(workspace: LocalWorkspace, folder: Path) -> Iterator[httpx.Client]:
    """Versions of a model whose code has one name are deployments of one endpoint, as all others."""
    for name in DEPLOYED:
        spec = RegisterModel(name.replace("_", "-"), str(folder / name), trust=True)
        deploy(workspace, workspace.models.register(spec).model, "peers", name.replace("_", "-"))
    found = workspace.online_endpoints.get("peers")
    assert found.scoring_uri is not None
    key = workspace.online_endpoints.keys("peers").primary
    headers = {"authorization": f"Bearer {key}", "content-type": "application/json"}
    with httpx.Client(
        base_url=found.scoring_uri.removesuffix("/score"), headers=headers, trust_env=False, timeout=60
    ) as client:
        yield client


def document(client: httpx.Client, model: str, version: str = "3") -> dict[str, Any]:
    headers = {"azureml-model-deployment": model.replace("_", "-")}
    return client.get(f"/swagger.json?version={version}", headers=headers).json()


def test_the_endpoint_answers_as_the_models_do(endpoint: httpx.Client, folder: Path) -> None:
    """What the models answer by themselves is compared with MLflow's server in test_mlflow_conformance.py."""
    with ExitStack() as stack:
        models = mlflow_suite.Responders(folder, stack)
        wrong = []
        for case in CASES:
            if case.model not in DEPLOYED:
                continue
            headers = {"azureml-model-deployment": case.model.replace("_", "-")}
            reply = endpoint.post("/score", content=json.dumps(case.ours), headers=headers)
            status, text = models.answer(case.model, case.ours)
            # A compiled form has words of its own for what it refuses, and refuses true for 1.
            if case.label == "sk_pipeline: true in age" and reply.status_code == 400:
                continue
            if reply.status_code != status or (status == 200 and reply.json() != json.loads(text)):
                wrong.append((case.label, reply.status_code, reply.text, text))
        assert wrong == []


@pytest.mark.parametrize("model", DEPLOYED)
def test_the_document_is_kept_to(endpoint: httpx.Client, model: str) -> None:
    found = document(endpoint, model)
    key = endpoint.headers["authorization"].removeprefix("Bearer ")
    with httpx.Client(base_url=endpoint.base_url, trust_env=False, timeout=60) as client:
        comparison = Comparison(found, client, key)
        assert [f"{each.check}: {each.detail}" for each in comparison.findings()] == []
    examples = found["paths"]["/score"]["post"]["requestBody"]["content"]["application/json"].get("examples", {})
    assert bool(examples) == (model not in UNKNOWN)


@pytest.mark.parametrize("version", ["2", "3"])
@pytest.mark.parametrize("model", DEPLOYED)
def test_both_documents_are_valid(endpoint: httpx.Client, model: str, version: str) -> None:
    schemathesis.openapi.from_dict(document(endpoint, model, version)).validate()


# Not `echo_optional`: whole numbers and booleans may be left out of all rows, not of some, and no schema says that.
GENERATED = ("echo_mixed", "echo_any", "tensor_float", "tensor_named", "factor")


@pytest.mark.parametrize("model", GENERATED)
def test_requests_that_the_document_allows_are_answered(endpoint: httpx.Client, model: str) -> None:
    found = document(endpoint, model)
    for table in found["components"]["schemas"]["InputData"].get("anyOf", ()):
        table.get("properties", {}).pop("index", None)  # one label a row: no schema says that
    schema = schemathesis.openapi.from_dict(found)
    schema.config.update(base_url=str(endpoint.base_url))
    schema.config.generation.update(modes=[GenerationMode.POSITIVE])
    operation = schema["/score"]["POST"]

    @hypothesis.settings(
        max_examples=40, deadline=None, database=None, derandomize=True, suppress_health_check=list(hypothesis.HealthCheck)
    )
    @hypothesis.given(case=operation.as_strategy(generation_mode=GenerationMode.POSITIVE))
    def one(case: schemathesis.Case) -> None:
        headers = {"azureml-model-deployment": model.replace("_", "-"), "Authorization": endpoint.headers["authorization"]}
        case.call_and_validate(headers=headers)

    one()


def test_two_versions_run_their_own_code(endpoint: httpx.Client) -> None:
    """mlflow#1671, #5923, #12377, #4061, #12395: a module of one name in two versions."""
    body = json.dumps({"input_data": {"columns": ["x"], "data": [[5]]}})
    for model, added in (("shift-1", 100), ("shift-2", 200), ("shift-1", 100)):
        reply = endpoint.post("/score", content=body, headers={"azureml-model-deployment": model})
        assert reply.json() == [{"x": 5 + added}]
