"""examples/sdk: plain SDK scripts, run unmodified by `opsml local run --`; then the same addresses by curl and httpx."""

from __future__ import annotations

import json
import shutil
import ssl
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from command_line import Opsml, Ran

EXAMPLE = Path(__file__).parents[2] / "examples" / "sdk"
SCRIPTS = sorted(path.name for path in EXAMPLE.glob("[0-9]_*.py"))
pytestmark = pytest.mark.slow


@pytest.fixture
def script(opsml: Opsml, tmp_path: Path) -> Iterator[Callable[[str], Ran]]:
    folder = shutil.copytree(EXAMPLE, tmp_path / "sdk")
    workspace = {"OPSML_LOCAL__PATH": str(tmp_path / ".opsml")}

    def run(name: str) -> Ran:
        ran = opsml("local", "run", "--", sys.executable, name, cwd=folder, env=workspace, timeout=420.0)
        assert ran.exit_code == 0, f"{name}: {ran.stderr[-3000:]}"
        return ran

    yield run
    opsml("local", "down", "--jobs", "--yes", env=workspace)


def test_a_users_scripts_run_unmodified(script: Callable[[str], Ran], opsml: Opsml, tmp_path: Path) -> None:
    said = {name: script(name).stdout for name in SCRIPTS}
    assert "completed best trial" in said["2_train.py"].lower()
    assert "SDK:" in said["4_invoke.py"]
    assert "HTTP: [" in said["4_invoke.py"]
    assert "Completed" in said["5_pipeline.py"]
    assert "triggered: loans-weekly-" in said["6_schedule.py"]

    # What the SDK made, the command line sees.
    workspace = {"OPSML_LOCAL__PATH": str(tmp_path / ".opsml")}
    for words, name in (("data", "loans"), ("models", "loans"), ("endpoints", "loans-api")):
        listed = json.loads(opsml(words, "list", "-o", "json", env=workspace).stdout)
        assert name in {each.get("name") or each.get("endpoint") for each in listed}, (words, listed)
    run = said["5_pipeline.py"].split("run: ")[1].split()[0]
    assert json.loads(opsml("jobs", "show", run, "-o", "json", env=workspace).stdout)["status"] == "Completed"

    # Plain clients: the scoring address with the endpoint's key, the pipeline's with a token.
    variables = json.loads(opsml("local", "env", "-o", "json", env=workspace).stdout)
    bundle = variables["REQUESTS_CA_BUNDLE"]
    signed_in = {"grant_type": "client_credentials", "client_id": variables["AZURE_CLIENT_ID"],
                 "client_secret": variables["AZURE_CLIENT_SECRET"]}  # fmt: skip
    url = variables["ARM_CLOUD_METADATA_URL"].partition("/metadata")[0]
    base = (
        f"{url}/subscriptions/{variables['AZURE_SUBSCRIPTION_ID']}/resourceGroups/{variables['AZURE_RESOURCE_GROUP']}"
        f"/providers/Microsoft.MachineLearningServices/workspaces/{variables['AZUREML_WORKSPACE_NAME']}"
    )
    request = (EXAMPLE / "request.json").read_bytes()
    with httpx.Client(verify=ssl.create_default_context(cafile=bundle), trust_env=False, timeout=60.0) as client:
        token = client.post(f"{url}/adfs/oauth2/token", data={**signed_in, "scope": f"{url}/.default"}).json()["access_token"]
        mine = {"Authorization": f"Bearer {token}"}
        version = {"api-version": "2023-10-01"}
        key = client.post(f"{base}/onlineEndpoints/loans-api/listKeys", params=version, headers=mine).json()["primaryKey"]
        scoring = client.get(f"{base}/onlineEndpoints/loans-api", params=version, headers=mine).json()["properties"][
            "scoringUri"
        ]
        pipeline = client.get(f"{base}/batchEndpoints/loans-count", params=version, headers=mine).json()["properties"][
            "scoringUri"
        ]
        by_httpx = client.post(
            scoring, content=request, headers={"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
        )
        assert by_httpx.status_code == 200, by_httpx.text
        asset = f"azureml:{base.removeprefix(url)}/data/loans/versions/1"
        table = {"table": {"jobInputType": "MLTable", "uri": asset}}
        begun = client.post(pipeline, json={"properties": {"inputData": table}}, headers=mine)
        assert begun.status_code == 201, begun.text
        assert client.post(pipeline, json={"properties": {}}).status_code == 401

    curl = shutil.which("curl")
    if curl is None:
        pytest.skip("no curl here")
    command = [curl, "--silent", "--fail", "--cacert", bundle, "--header", "Content-Type: application/json",
               "--header", "@-", "--data-binary", f"@{EXAMPLE / 'request.json'}", scoring]  # fmt: skip
    done = subprocess.run(
        command, input=f"Authorization: Bearer {key}\n", capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == by_httpx.json()
