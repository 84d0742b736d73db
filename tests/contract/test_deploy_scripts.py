"""`deploy` of scoring scripts and of Azure's YAML, on both kinds of workspace: real servers answer behind both."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from azure_live import KINDS, workspace_of
from serving_support import end_all
from waiting import until

from opsml_cli.azureml.workspace import AzureWorkspace
from opsml_cli.cli import deployment_files
from opsml_cli.domain.deployment import (
    CodeSource,
    DeploymentSettings,
    EndpointSpec,
    EnvironmentKind,
    EnvironmentSource,
    ModelSource,
    ProbeSettings,
    RequestSettings,
)
from opsml_cli.domain.endpoint import DeploymentState, RawRequest, ScoreRequest
from opsml_cli.domain.errors import InvalidInputError, NotAllowedError, NotFoundError, UsageError, WorkFailedError
from opsml_cli.domain.insights import LogQuery
from opsml_cli.domain.progress import Silent
from opsml_cli.local.workspace import LocalWorkspace
from opsml_cli.services.deploy import DeployRequest, deploy
from opsml_cli.services.deploy_files import configure, give_traffic, prepare
from opsml_cli.services.swagger import check

Workspace = LocalWorkspace | AzureWorkspace

SCRIPT = """
import json, os
from shared.helper import times

def init():
    global factor, unit
    unit = os.environ.get("UNIT", "none")
    with open(os.path.join(os.environ["AZUREML_MODEL_DIR"], {path!r})) as file:
        factor = json.load(file)["factor"]

def run(raw_data):
    return [times(value, factor) for value in json.loads(raw_data)["data"]] + [unit]
"""
CONDA = """
name: scoring
channels: [conda-forge]
dependencies:
  - python=3.11
  - pip
  - pip:
      - azureml-inference-server-http
"""


@pytest.fixture(scope="module", params=KINDS)
def workspace(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workspace]:
    options = {} if request.param == "local" else {"trust": True}
    with workspace_of(request.param, tmp_path_factory.mktemp(request.param), **options) as (found, local):
        yield found
        end_all(local)


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """A script with a module beside it, a model's file and folder, and a conda file."""
    (tmp_path / "src" / "shared").mkdir(parents=True)
    (tmp_path / "src" / "score.py").write_text(SCRIPT.format(path="weights.json"))
    (tmp_path / "src" / "shared" / "helper.py").write_text("def times(value, factor):\n    return value * factor\n")
    (tmp_path / "src" / ".amlignore").write_text("*.csv\n")
    (tmp_path / "src" / "large.csv").write_text("1")
    (tmp_path / "weights.json").write_text('{"factor": 3}')
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "weights.json").write_text('{"factor": 5}')
    (tmp_path / "conda.yml").write_text(CONDA)
    return tmp_path


def asked(workspace: Workspace, files: Path, endpoint: str, **options: object) -> DeployRequest:
    """A request to deploy the script; with the environment that Azure wants."""
    environment = EnvironmentSource(EnvironmentKind.INLINE, file=str(files / "conda.yml"), image="ubuntu:22.04")
    request = DeployRequest(
        model=str(files / "weights.json"),
        endpoint=endpoint,
        code=CodeSource(str(files / "src"), "score.py"),
        environment=environment if workspace.kind == "azure" else None,
        trust=True,
    )
    return replace(request, **options)  # type: ignore[arg-type]


def answer(workspace: Workspace, endpoint: str, deployment: str | None = None) -> object:
    reply = workspace.online_endpoints.send(endpoint, RawRequest(b'{"data": [1, 2]}', deployment=deployment))
    assert reply.status == 200, reply.body
    return json.loads(reply.body)


def test_a_script_answers_with_its_model_and_variables(workspace: Workspace, files: Path) -> None:
    request = asked(workspace, files, "scripted", variables={"UNIT": "cm"})
    planned = deploy(workspace, replace(request, dry_run=True), Silent())
    assert not planned.unchanged and planned.deployment.model.name == "weights"
    assert planned.endpoint.traffic == {"blue": 100}  # as it will be
    alone = deploy(workspace, replace(request, model=None, traffic=100, dry_run=True), Silent())
    assert alone.endpoint.traffic == {"blue": 100}
    with pytest.raises(NotFoundError):
        workspace.online_endpoints.get("scripted")
    done = deploy(workspace, request, Silent(), timeout=60)
    assert done.deployment.state is DeploymentState.SUCCEEDED
    assert (done.deployment.script, done.deployment.model.name) == ("score.py", "weights")
    assert done.endpoint.traffic == {"blue": 100}
    assert answer(workspace, "scripted") == [3, 6, "cm"]
    assert check(workspace, "scripted").findings == ()
    again = deploy(workspace, replace(request, trust=workspace.kind == "azure"), Silent(), timeout=60)
    assert again.unchanged
    # A file that the ignore file names makes no difference; another variable and other code do.
    (files / "src" / "large.csv").write_text("2")
    assert deploy(workspace, request, Silent(), timeout=60).unchanged
    changed = deploy(workspace, replace(request, variables={"UNIT": "mm"}), Silent(), timeout=60)
    assert not changed.unchanged and answer(workspace, "scripted") == [3, 6, "mm"]
    (files / "src" / "score.py").write_text(SCRIPT.format(path="weights.json").replace("times(value", "times(-value"))
    assert not deploy(workspace, request, Silent(), timeout=60).unchanged
    assert answer(workspace, "scripted") == [-3, -6, "cm"]
    shown = workspace.online_endpoints.get("scripted").deployments[0]
    assert (shown.script, shown.state) == ("score.py", DeploymentState.SUCCEEDED)


def test_a_folder_lies_below_its_own_name_and_a_script_may_do_without_a_model(workspace: Workspace, files: Path) -> None:
    (files / "src" / "score.py").write_text(SCRIPT.format(path="folder/weights.json"))
    deploy(workspace, asked(workspace, files, "folders", model=str(files / "folder")), Silent(), timeout=60)
    assert answer(workspace, "folders") == [5, 10, "none"]
    (files / "src" / "score.py").write_text("def init(): pass\ndef run(raw_data): return 'alone'\n")
    done = deploy(workspace, asked(workspace, files, "folders", model=None, deployment="green"), Silent(), timeout=60)
    assert (done.deployment.model.name, done.deployment.script) == ("", "score.py")
    assert answer(workspace, "folders", "green") == "alone"
    assert {each.name for each in workspace.online_endpoints.get("folders").deployments} == {"blue", "green"}


def test_a_sample_request_is_answered_before_traffic_comes(workspace: Workspace, files: Path) -> None:
    sample = RawRequest(b'{"data": [7]}')
    done = deploy(workspace, asked(workspace, files, "sampled", sample=sample), Silent(), timeout=60)
    assert done.endpoint.traffic == {"blue": 100}
    with pytest.raises(WorkFailedError, match="answered the sample request with"):
        wrong = asked(workspace, files, "sampled", deployment="green", traffic=50, sample=RawRequest(b"{}"))
        deploy(workspace, wrong, Silent(), timeout=60)
    assert workspace.online_endpoints.get("sampled").traffic == {"blue": 100, "green": 0}


@pytest.mark.parametrize("where", ["init", "run"])
def test_the_log_has_the_scripts_own_error_and_frames(workspace: Workspace, files: Path, where: str) -> None:
    code = "def load():\n    raise ValueError('the weights are odd')\n"
    code += "\n".join(f"def {name}: {'load()' if name.startswith(where) else 'pass'}" for name in ("init()", "run(raw_data)"))
    (files / "src" / "score.py").write_text(code + "\n")
    endpoint = f"odd-{where}"
    if where == "init":
        with pytest.raises(WorkFailedError) as caught:
            deploy(workspace, asked(workspace, files, endpoint, model=None), Silent(), timeout=60)
        assert "init() of the scoring script score.py failed: ValueError: the weights are odd" in str(caught.value.cause)
    else:
        deploy(workspace, asked(workspace, files, endpoint, model=None), Silent(), timeout=60)
        assert workspace.online_endpoints.send(endpoint, RawRequest(b"{}")).status == 500
    wanted = f"{where}() of the scoring script"

    def logged() -> str:
        text = "\n".join(line.message for line in workspace.insights.logs(endpoint, LogQuery()))
        return text if wanted in text and text.count("ValueError: the weights are odd") > 1 else ""

    text = until(logged)
    begun = text.index(wanted)
    assert "Traceback (most recent call last):" in text[begun:]
    assert 'score.py", line 2, in load' in text[begun:]
    for own in ("opsml_cli", "ContractError", "<frozen importlib", "the model could not be loaded"):
        assert own not in text[begun:], text


def test_what_is_wrong_is_refused_before_anything_is_made(workspace: Workspace, files: Path) -> None:
    (files / "folder" / "other.json").write_text("nobody has trusted this yet")
    wrong = [
        (
            asked(workspace, files, "refused", code=CodeSource(str(files / "src"), "missing.py")),
            InvalidInputError,
            "missing.py",
        ),
        (asked(workspace, files, "refused", code=CodeSource(str(files / "nowhere"), "score.py")), NotFoundError, "nowhere"),
        (asked(workspace, files, "refused", instance_count=0), UsageError, "instance count 0"),
        (asked(workspace, files, "refused", traffic=101), UsageError, "101"),
        (asked(workspace, files, "refused", model=ModelSource(path=str(files / "no.pkl"))), NotFoundError, "no.pkl"),
        (
            asked(workspace, files, "refused", trust=False, model=str(files / "folder")),
            NotAllowedError,
            "--trust|nobody trusts",
        ),
    ]
    for request, error, words in wrong:
        with pytest.raises(error) as caught:
            deploy(workspace, request, Silent(), timeout=60)
        told = f"{caught.value.message} {caught.value.cause} {caught.value.fix}"
        assert any(word in told for word in words.split("|")), told
    with pytest.raises(NotFoundError):
        workspace.online_endpoints.get("refused")


def test_an_endpoint_is_set_up_and_the_same_again_is_unchanged(workspace: Workspace) -> None:
    spec = EndpointSpec("settings", auth_mode="AMLToken", description="about", tags={"team": "a"})
    assert configure(workspace, replace(spec), Silent(), dry_run=True).unchanged is False
    with pytest.raises(NotFoundError):
        workspace.online_endpoints.get("settings")
    made = configure(workspace, spec, Silent(), timeout=60)
    assert (made.unchanged, made.endpoint.auth_mode, made.endpoint.tags) == (False, "AMLToken", {"team": "a"})
    assert configure(workspace, spec, Silent(), timeout=60).unchanged
    changed = configure(workspace, replace(spec, description="other"), Silent(), timeout=60)
    assert (changed.unchanged, changed.endpoint.description) == (False, "other")
    with pytest.raises(NotFoundError):
        configure(workspace, replace(spec, traffic={"blue": 100}), Silent(), traffic=True, timeout=60)


def test_azures_files_are_deployed(workspace: Workspace, files: Path) -> None:
    (files / "endpoint.yml").write_text("name: from-files\nauth_mode: key\ntags: {team: a}\ntraffic: {blue: 100}\n")
    (files / "deployment.yml").write_text(
        "$schema: https://azuremlschemas.azureedge.net/latest/managedOnlineDeployment.schema.json\n"
        "name: blue\nendpoint_name: from-files\n"
        "model: {path: ./folder}\n"
        "code_configuration: {code: src, scoring_script: score.py}\n"
        "environment: {image: 'ubuntu:22.04', conda_file: conda.yml}\n"
        "environment_variables: {UNIT: cm}\ninstance_type: Standard_DS3_v2\ninstance_count: 2\n"
        "request_settings: {request_timeout_ms: 90000, max_concurrent_requests_per_instance: 2}\n"
        "liveness_probe: {initial_delay: 30, period: 5}\n"
        "tags: {stage: test}\ndescription: of a file\n"
    )
    (files / "src" / "score.py").write_text(SCRIPT.format(path="folder/weights.json"))
    sets = ["instance_count=1", "environment_variables.UNIT=mm", "tags.team=b"]
    endpoint, deployment = deployment_files.read([str(files / "endpoint.yml"), str(files / "deployment.yml")], sets)
    assert endpoint is not None and deployment is not None
    assert (endpoint.tags, deployment.settings.tags) == ({"team": "a"}, {"stage": "test", "team": "b"})
    request = DeployRequest(
        model=deployment.model,
        endpoint=endpoint.name,
        deployment=deployment.name,
        instance_type=deployment.instance_type,
        instance_count=deployment.instance_count or 1,
        trust=True,
        code=deployment.code,
        environment=deployment.environment,
        variables=deployment.variables,
        settings=deployment.settings,
    )
    assert deployment.settings == DeploymentSettings(
        description="of a file",
        tags={"stage": "test", "team": "b"},
        requests=RequestSettings(90000, 2),
        liveness=ProbeSettings(initial_delay=30, period=5),
    )
    for unchanged in (False, True):
        prepared = prepare(workspace, endpoint, request, Silent(), timeout=60)
        done = give_traffic(workspace, endpoint, deploy(workspace, prepared, Silent(), timeout=60))
        assert done.unchanged is unchanged
        assert done.endpoint.traffic == {"blue": 100}
        assert answer(workspace, "from-files") == [5, 10, "mm"]


@pytest.mark.slow
def test_a_model_file_is_wrapped_and_answers(workspace: Workspace, tmp_path: Path) -> None:
    import lightgbm
    import numpy as np
    import pandas as pd

    frame = pd.DataFrame({"one": np.arange(100.0), "two": np.arange(100.0) % 7})
    booster = lightgbm.train({"verbose": -1, "min_data_in_leaf": 5}, lightgbm.Dataset(frame, frame["two"]), 3)
    booster.save_model(tmp_path / "booster.txt")
    request = DeployRequest(model=str(tmp_path / "booster.txt"), endpoint="wrapped", trust=True)
    done = deploy(workspace, request, Silent(), timeout=60)
    assert (done.deployment.state, done.deployment.model.name) == (DeploymentState.SUCCEEDED, "booster")
    found = workspace.online_endpoints.score("wrapped", ScoreRequest(frame.head(3).to_dict("records")))
    assert found.predictions == pytest.approx(booster.predict(frame.head(3)).tolist())


def test_the_same_file_through_the_sdk_is_the_same_resource(files: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    """The deployment that Azure's SDK makes of a file, and ours of the same file, as the resource manager shows both."""
    from azure.ai.ml import load_online_deployment
    from azure.ai.ml.entities import ManagedOnlineEndpoint
    from azure_live import azure_workspace

    (files / "deployment.yml").write_text(
        "name: blue\nendpoint_name: twice\nmodel: {path: ./weights.json, name: weights, type: custom_model}\n"
        "code_configuration: {code: src, scoring_script: score.py}\n"
        "environment: {image: 'ubuntu:22.04', conda_file: conda.yml}\n"
        "environment_variables: {UNIT: cm, N: '1'}\ninstance_type: Standard_DS3_v2\ninstance_count: 1\n"
        "request_settings: {request_timeout_ms: 90500, max_concurrent_requests_per_instance: 2, max_queue_wait_ms: 200}\n"
        "liveness_probe: {initial_delay: 30, period: 5}\nreadiness_probe: {timeout: 3}\napp_insights_enabled: true\n"
        "tags: {stage: test}\ndescription: of a file\negress_public_network_access: disabled\nmodel_mount_path: /models\n"
        "properties: {mine: '1'}\nscale_settings: {type: default}\n"
    )
    with azure_workspace(tmp_path_factory.mktemp("twice"), trust=True) as (workspace, emulator):
        shown = []
        ml = emulator.ml_client()
        for endpoint in ("by-sdk", "by-opsml"):
            if endpoint == "by-sdk":
                ml.online_endpoints.begin_create_or_update(ManagedOnlineEndpoint(name=endpoint, auth_mode="key")).result()
                loaded = load_online_deployment(files / "deployment.yml", params_override=[{"endpoint_name": endpoint}])
                ml.online_deployments.begin_create_or_update(loaded).result()
            else:
                _, file = deployment_files.read([str(files / "deployment.yml")], [f"endpoint_name={endpoint}"])
                assert file is not None
                request = DeployRequest(
                    model=file.model, endpoint=file.endpoint, deployment=file.name, instance_type=file.instance_type,
                    insights=file.insights, trust=True, code=file.code, environment=file.environment, variables=file.variables,
                    settings=file.settings,
                )  # fmt: skip
                deploy(workspace, request, Silent(), timeout=60)
            path = f"{{ws}}/onlineEndpoints/{endpoint}/deployments/blue"
            found = workspace.context.rest.find(path, "2024-10-01")
            assert found is not None
            shown.append(_comparable(found))
        assert shown[0] == shown[1]
        end_all(emulator.workspace)


def _comparable(resource: dict[str, object]) -> dict[str, object]:
    """A deployment without what names it, and without the ids of its assets."""
    properties = dict(resource["properties"])  # type: ignore[call-overload]
    own = {name: value for name, value in properties["properties"].items() if not name.lower().startswith("az")}
    code = dict(properties["codeConfiguration"])
    code.pop("codeId")  # each names it in its own way
    model = properties["model"].rpartition("/models/")[2]
    tags = {name: value for name, value in resource["tags"].items() if not name.startswith("opsml.")}  # type: ignore[attr-defined]
    return {
        **{name: resource[name] for name in ("kind", "location", "sku")},
        "tags": tags,
        "properties": {**properties, "properties": own, "codeConfiguration": code, "model": model.partition("/")[0]},
    }


@pytest.mark.parametrize("kind", ["folder", "file", "custom"])
def test_what_nobody_trusts_is_mended_by_the_same_command(workspace: Workspace, files: Path, kind: str) -> None:
    (files / "mlflow").mkdir()
    (files / "mlflow" / "MLmodel").write_text("flavors:\n  python_function:\n    loader_module: mlflow.sklearn\n")
    (files / "model.pkl").write_bytes(b"\x80\x04N.")
    path = {"folder": "mlflow", "file": "model.pkl", "custom": "folder"}[kind]
    for place in ("src", "folder"):  # content that no other test of this workspace has trusted
        (files / place / "strange.txt").write_text("strange")
    request = DeployRequest(
        model=f"{files}/src/../{path}",
        endpoint="nobody",
        code=CodeSource(str(files / "src"), "score.py") if kind == "custom" else None,
    )
    with pytest.raises(NotAllowedError) as caught:
        deploy(workspace, request, Silent())
    assert (caught.value.fix or "").endswith("run the same command with --trust")
    assert str(files / path) in caught.value.message and ".." not in caught.value.message
