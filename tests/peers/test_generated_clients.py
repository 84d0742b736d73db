"""Clients that generators make of an endpoint's documents score on it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

sys.path.insert(0, str(Path(__file__).parent.parent))
from telemetry_live import PRIMARY, Elders, serving

from opsml_cli.domain.contract import Column, Schema
from opsml_cli.guard import Guard, loopback_names
from opsml_cli.local.serving.app import ScoringApp
from opsml_cli.local.serving.routing import Live, Routing

pytestmark = pytest.mark.slow

KEY = {"Authorization": f"Bearer {PRIMARY}"}
# openapi-generator makes an identifier of a name by leaving out what fits into none, and nothing is left of this one.
_NAMES = "\U0001f600=emoji"


class Awkward(Elders):
    """Columns whose names are no identifiers, or words of the languages of clients."""

    schema = Schema(
        [
            Column("age", "integer", minimum=18, maximum=95, example=56),
            Column("job", "string", categories=("admin.", "blue collar", "class"), example="admin."),
            Column("class", "string", example="first"),
            Column("two words", "number", example=1.5),
            Column("emp.var.rate", "number", example=-1.1),
            Column('quo"te', "string", example="x"),
            Column("\U0001f600", "number", example=2.0),
            Column("default", "boolean", example=True),
            Column("when", "datetime", example="2026-01-31T00:00:00Z"),
            Column("left out", "integer", example=1, required=False),
            Column("unknown", "integer", example=1, missing=("NA", "?")),
            *(Column(f"c{number}", "number", example=float(number)) for number in range(60)),
        ]
    )


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    app = ScoringApp("bank")
    app.routing = Routing(
        (PRIMARY.encode(),), {"blue": Live("blue", "r1", "elders", "1", Awkward(), ("yes",))}, {}, {"blue": 100}
    )
    with serving(lambda port: Guard(app, loopback_names(port))) as port:
        yield f"http://127.0.0.1:{port}"


def document(address: str, version: str, folder: Path) -> Path:
    path = folder / f"v{version}.json"
    path.write_bytes(httpx.get(f"{address}/swagger.json?version={version}", headers=KEY).content)
    return path


def run(*command: str | Path, folder: Path, script: str = "", path: str = "") -> str:
    environment = {**os.environ, "PATH": f"{path}{os.pathsep}{os.environ['PATH']}"} if path else dict(os.environ)
    done = subprocess.run(
        [*map(str, command)],
        input=script,
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout


_ROW = json.dumps({column.name: column.example for column in Awkward.schema.columns})

_OPENAPI_PYTHON_CLIENT = f"""
import json, sys
from bank_client import AuthenticatedClient
from bank_client.api.default import health, score
from bank_client.models import AutoMLScoringV1, AutoMLScoringV2, MLflow, MLflowInputDataType0
row = json.loads({_ROW!r})
client = AuthenticatedClient(base_url=sys.argv[1], token="{PRIMARY}")
split = MLflowInputDataType0(columns=list(row), data=[list(row.values())])
for body in (
    AutoMLScoringV2.from_dict({{"Inputs": {{"data": [row]}}}}),
    AutoMLScoringV1.from_dict({{"data": [row]}}),
    MLflow(input_data=split),
):
    reply = score.sync_detailed(client=client, body=body)
    print(int(reply.status_code), json.loads(reply.content))
print(int(health.sync_detailed(client=client).status_code))
"""

_OPENAPI_GENERATOR = f"""
import json, sys
import openapi_client
from openapi_client import models
row = json.loads({_ROW!r})
new = hasattr(models, "AutoMLv2")
settings = {{"access_token": "{PRIMARY}"}} if new else {{"api_key": {{"Bearer": "Bearer {PRIMARY}"}}}}
api = openapi_client.DefaultApi(openapi_client.ApiClient(openapi_client.Configuration(host=sys.argv[1], **settings)))
body = {{"Inputs": {{"data": [row]}}}}
request = models.Request(models.AutoMLv2.from_dict(body)) if new else models.Request.from_dict(body)
reply = api.score_without_preload_content(request)
print(reply.status, json.loads(reply.data))
print(api.health())
"""

_DATAMODEL = f"""
import json, sys
import httpx
import client
row = json.loads({_ROW!r})
for body in ({{"Inputs": {{"data": [row]}}}}, *([{{"data": [row]}}] if hasattr(client, "AutoMLv1") else [])):
    request = client.Request.model_validate(body)
    content = request.model_dump_json(by_alias=True, exclude_unset=True)
    reply = httpx.post(sys.argv[1] + "/score", content=content, headers={{"Authorization": "Bearer {PRIMARY}"}})
    print(reply.status_code, reply.json())
"""


def test_openapi_python_client(address: str, generators_python: Path, tmp_path: Path) -> None:
    made = document(address, "3", tmp_path)
    programs = generators_python.parent
    command = (programs / "openapi-python-client", "generate", "--path", made, "--output-path", "made", "--fail-on-warning")
    run(*command, folder=tmp_path, path=str(programs))
    out = run(generators_python, "-", address, folder=tmp_path / "made", script=_OPENAPI_PYTHON_CLIENT).splitlines()
    assert out == ["200 {'Results': ['yes']}", """200 {"result": ["yes"]}""", "200 ['yes']", "200"]


@pytest.mark.parametrize("version", ["2", "3"])
def test_openapi_generator(address: str, generators_python: Path, tmp_path: Path, version: str) -> None:
    made = document(address, version, tmp_path)
    generator = (generators_python.parent / "openapi-generator-cli", "generate", "-i", made, "--name-mappings", _NAMES)
    for language in ("typescript-fetch", "go"):
        run(*generator, "-g", language, "-o", language, folder=tmp_path)
    run(*generator, "-g", "python", "-o", "made", folder=tmp_path)
    out = run(generators_python, "-", address, folder=tmp_path / "made", script=_OPENAPI_GENERATOR).splitlines()
    assert out == ["200 {'Results': ['yes']}", "Healthy"]


@pytest.mark.parametrize("version", ["2", "3"])
def test_datamodel_code_generator(address: str, generators_python: Path, tmp_path: Path, version: str) -> None:
    kind = {"2": "jsonschema", "3": "openapi"}[version]
    program = generators_python.parent / "datamodel-codegen"
    options = ("--input-file-type", kind, "--output", "client.py", "--output-model-type", "pydantic_v2.BaseModel")
    run(program, "--input", document(address, version, tmp_path), *options, folder=tmp_path)
    out = run(generators_python, "-", address, folder=tmp_path, script=_DATAMODEL).splitlines()
    assert out[0] == "200 {'Results': ['yes']}"
    assert all(line.startswith("200") for line in out)
