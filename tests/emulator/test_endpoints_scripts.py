"""Deployments with a scoring script: run when the user answers for what clients register, and only then."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent.parent))
from emulator_support import Emulated, emulated
from waiting import until

SCRIPT = """
import json, os
from helper import times

def init():
    global factor
    print("the script starts")
    with open(os.path.join(os.environ["AZUREML_MODEL_DIR"], MODEL)) as file:
        factor = json.load(file)["factor"]

def run(raw_data):
    rows = json.loads(raw_data)["data"]
    return {"results": [times(row, factor) for row in rows], "unit": UNIT}

MODEL, UNIT = "weights.json", os.environ["UNIT"]
"""


@pytest.fixture(scope="module")
def trusting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulated]:
    with emulated(tmp_path_factory.mktemp("trusting"), trust=True) as found:
        yield found
        for each in found.workspace.online_endpoints.list():
            found.workspace.online_endpoints.delete(each.name)


@pytest.fixture(scope="module")
def ml(trusting: Emulated) -> Any:
    return trusting.ml_client()


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """A folder with a model's file and the code of its script."""
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "score.py").write_text(SCRIPT)
    (tmp_path / "src" / "helper.py").write_text("def times(row, factor):\n    return [value * factor for value in row]\n")
    (tmp_path / "weights.json").write_text('{"factor": 3}')
    (tmp_path / "request.json").write_text('{"data": [[1, 2], [3]]}')
    return tmp_path


@pytest.fixture
def deployment(files: Path) -> Callable[..., Any]:
    def make(endpoint: str, script: str = "score.py", **options: Any) -> Any:
        from azure.ai.ml.entities import CodeConfiguration, Environment, ManagedOnlineDeployment, Model

        return ManagedOnlineDeployment(
            name="blue",
            endpoint_name=endpoint,
            model=Model(path=str(files / "weights.json"), name="weights", version="1", type="custom_model"),
            code_configuration=CodeConfiguration(code=str(files / "src"), scoring_script=script),
            environment=Environment(image="python:3.11", name="plain", version="1"),
            environment_variables={"UNIT": "cm"},
            instance_type="Standard_DS3_v2",
            instance_count=1,
            **options,
        )

    return make


def test_a_trusted_script_answers(trusting: Emulated, ml: Any, files: Path, deployment: Callable[..., Any]) -> None:
    from azure.ai.ml.entities import ManagedOnlineEndpoint

    endpoint = ml.online_endpoints.begin_create_or_update(ManagedOnlineEndpoint(name="script", auth_mode="key")).result()
    made = ml.online_deployments.begin_create_or_update(deployment("script")).result()
    assert made.provisioning_state == "Succeeded"
    assert made.code_configuration.scoring_script == "score.py"
    endpoint.traffic = {"blue": 100}
    ml.online_endpoints.begin_create_or_update(endpoint).result()
    answer = ml.online_endpoints.invoke("script", request_file=str(files / "request.json"))
    assert json.loads(answer) == {"results": [[3, 6], [9]], "unit": "cm"}
    assert "the script starts" in ml.online_deployments.get_logs(name="blue", endpoint_name="script", lines=50)
    # What the script raises is a failed dependency, as on Azure.
    key = ml.online_endpoints.get_keys("script").primary_key
    with trusting.plain() as plain:
        bad = plain.post(f"{trusting.url}/_online/script/score", content=b"[]", headers={"authorization": f"Bearer {key}"})
    assert (bad.status_code, bad.headers["ms-azureml-model-error-statuscode"]) == (424, "500")
    swagger = trusting.workspace.online_endpoints.swagger("script")
    assert list(swagger["paths"]) == ["/score"]  # type: ignore[call-overload]


def test_changed_files_are_not_loaded_again(trusting: Emulated, ml: Any, files: Path, deployment: Callable[..., Any]) -> None:
    from azure.ai.ml.entities import ManagedOnlineEndpoint

    ml.online_endpoints.begin_create_or_update(ManagedOnlineEndpoint(name="changed", auth_mode="key")).result()
    ml.online_deployments.begin_create_or_update(deployment("changed")).result()
    endpoints = trusting.workspace.online_endpoints
    endpoints.stop("changed")
    code = next((trusting.workspace.layout.endpoint("changed") / "code").glob("*/helper.py"))
    code.write_text("raise SystemExit(1)\n")
    endpoints.start("changed")
    found = until(lambda: next((each for each in endpoints.get("changed").deployments if each.state == "Failed"), None))
    assert "not those that were registered" in (found.detail or "")


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("def init(): raise ValueError('no weights')\ndef run(x): pass", "no weights"),
        ("import sys\ndef init(): sys.exit('no licence')\ndef run(x): pass", "no licence"),
        ("import os\ndef init(): os.abort()\ndef run(x): pass", "Fatal Python error: Aborted"),
        ("x = 1", "no function init"),
    ],
    ids=["raises", "exits", "crashes", "no-run"],
)
def test_a_script_that_does_not_start_fails_the_deployment(
    ml: Any, files: Path, deployment: Callable[..., Any], text: str, word: str
) -> None:
    from azure.ai.ml.entities import ManagedOnlineEndpoint
    from azure.core.exceptions import HttpResponseError

    (files / "src" / "score.py").write_text(text)
    ml.online_endpoints.begin_create_or_update(ManagedOnlineEndpoint(name="broken", auth_mode="key")).result()
    try:
        with pytest.raises(HttpResponseError, match=word):
            ml.online_deployments.begin_create_or_update(deployment("broken"), skip_script_validation=True).result()
    finally:
        ml.online_endpoints.begin_delete("broken").result()


def test_a_script_that_exits_while_it_answers_fails_that_request_alone(
    trusting: Emulated, ml: Any, files: Path, deployment: Callable[..., Any]
) -> None:
    from azure.ai.ml.entities import ManagedOnlineEndpoint

    (files / "src" / "score.py").write_text(
        "import sys\ndef init(): pass\ndef run(body): return 1 if body == '1' else sys.exit(body)"
    )
    endpoint = ml.online_endpoints.begin_create_or_update(ManagedOnlineEndpoint(name="exits", auth_mode="key")).result()
    ml.online_deployments.begin_create_or_update(deployment("exits"), skip_script_validation=True).result()
    endpoint.traffic = {"blue": 100}
    ml.online_endpoints.begin_create_or_update(endpoint).result()
    key = ml.online_endpoints.get_keys("exits").primary_key
    with trusting.plain() as plain:
        url, headers = f"{trusting.url}/_online/exits/score", {"authorization": f"Bearer {key}"}
        assert [plain.post(url, content=body, headers=headers).status_code for body in ("1", "2", "1")] == [200, 424, 200]


BATCH = """
import json, os
from pathlib import Path

def init():
    global factor
    with open(os.path.join(os.environ["AZUREML_MODEL_DIR"], "weights.json")) as file:
        factor = json.load(file)["factor"]

def run(mini_batch):
    return [f"{Path(path).name} {len(Path(path).read_text()) * factor}" for path in mini_batch]
"""


def batch_job(emulator: Emulated, ml: Any, files: Path, endpoint: str) -> Any:
    """The finished job of a deployment that scores two files by a script."""
    from azure.ai.ml import Input
    from azure.ai.ml.entities import (
        BatchEndpoint,
        CodeConfiguration,
        Environment,
        Model,
        ModelBatchDeployment,
        ModelBatchDeploymentSettings,
    )

    (files / "src" / "score.py").write_text(BATCH)
    (files / "in").mkdir()
    for name in ("a.txt", "b.txt"):
        (files / "in" / name).write_text(name)
    ml.batch_endpoints.begin_create_or_update(BatchEndpoint(name=endpoint)).result()
    deployment = ModelBatchDeployment(
        name="script",
        endpoint_name=endpoint,
        model=Model(path=str(files / "weights.json"), name="weights", version="1", type="custom_model"),
        code_configuration=CodeConfiguration(code=str(files / "src"), scoring_script="score.py"),
        environment=Environment(image="python:3.11", name="plain", version="1"),
        settings=ModelBatchDeploymentSettings(mini_batch_size=1, output_file_name="lines.txt"),
    )
    ml.batch_deployments.begin_create_or_update(deployment).result()
    given = {"texts": Input(path=str(files / "in"), type="uri_folder")}
    job = ml.batch_endpoints.invoke(endpoint_name=endpoint, deployment_name="script", inputs=given)
    jobs = emulator.workspace.jobs
    return until(lambda: found if (found := jobs.get(job.name)).status.finished else None, 60.0)


def test_a_trusted_batch_script_scores_files(trusting: Emulated, ml: Any, files: Path) -> None:
    job = batch_job(trusting, ml, files, "batch-script")
    assert job.status == "Completed", trusting.workspace.jobs.logs(job.name)[0]
    lines = (trusting.workspace.layout.job(job.name) / "outputs" / "score" / "lines.txt").read_text().splitlines()
    assert lines == ["a.txt 15", "b.txt 15"]


def test_a_batch_script_without_trust_never_runs(emulator: Emulated, files: Path) -> None:
    job = batch_job(emulator, emulator.ml_client(), files, "batch-untrusted")
    assert job.status == "Failed"
    assert "opsml local up --trust" in (job.error or "")


def test_a_script_without_trust_never_runs(
    emulator: Emulated, files: Path, deployment: Callable[..., Any], tmp_path: Path
) -> None:
    from azure.ai.ml.entities import ManagedOnlineEndpoint
    from azure.core.exceptions import HttpResponseError

    ml = emulator.ml_client()
    ran = tmp_path / "ran"
    (files / "src" / "score.py").write_text(f"open({str(ran)!r}, 'w')\ndef init(): pass\ndef run(raw_data): return 1\n")
    ml.online_endpoints.begin_create_or_update(ManagedOnlineEndpoint(name="untrusted", auth_mode="key")).result()
    with pytest.raises(HttpResponseError, match="opsml local up --trust"):
        ml.online_deployments.begin_create_or_update(deployment("untrusted")).result()
    assert ml.online_deployments.get("blue", "untrusted").provisioning_state == "Failed"
    assert not ran.exists()
    ml.online_endpoints.begin_delete("untrusted").result()
