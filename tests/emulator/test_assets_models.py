"""Models over the wire: what Azure answers, what the SDK makes of it, and that the workspace's registry holds the same."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from emulator_support import Emulated
from jobs_live import ending_jobs, register, spec, wait

from opsml_cli.domain.errors import NotAllowedError, NotFoundError
from opsml_cli.domain.job import JobState
from opsml_cli.domain.model import RegisterModel
from opsml_cli.domain.names import AssetRef


@pytest.fixture(scope="module")
def client(emulator: Emulated) -> Iterator[httpx.Client]:
    with emulator.client() as found:
        yield found


@pytest.fixture(scope="module")
def ml(emulator: Emulated) -> Any:
    return emulator.ml_client()


@pytest.fixture(scope="module")
def job(emulator: Emulated, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A training of the workspace, completed."""
    workspace = emulator.workspace
    with ending_jobs(workspace.root):
        asset = register(workspace, tmp_path_factory.mktemp("data"))
        begun = workspace.jobs.begin_automl(spec(asset, max_trials=1, name="models-training"))
        assert wait(workspace, begun.name).status is JobState.COMPLETED
        yield begun.name


def mlflow_folder(folder: Path, text: str = "1") -> Path:
    """A folder in MLflow format that nobody trained here."""
    (folder / "data").mkdir(parents=True)
    (folder / "data" / "values.txt").write_text(text)
    columns = json.dumps([{"type": "double", "name": "x", "required": True}])
    (folder / "MLmodel").write_text(
        f"flavors:\n  python_function:\n    loader_module: strange_loader\n    data: data\nsignature:\n  inputs: '{columns}'\n"
    )
    return folder


def put(client: httpx.Client, emulator: Emulated, name: str, version: str, **properties: Any) -> httpx.Response:
    body = {"properties": {"modelType": "custom_model", "modelUri": f"https://example.org/{name}", **properties}}
    return client.put(f"{emulator.ws}/models/{name}/versions/{version}", json=body)


def test_a_version_is_answered_with_every_member(emulator: Emulated, client: httpx.Client) -> None:
    flavors = {"sklearn": {"data": {"version": "1"}}}
    uri = "azureml://datastores/workspaceblobstore/paths/LocalUpload/x/model"
    reply = put(client, emulator, "shape", "3", modelType="mlflow_model", modelUri=uri, flavors=flavors)
    assert reply.status_code == 201
    found = reply.json()["properties"]
    assert found["modelUri"] == (
        f"azureml://subscriptions/{emulator.subscription}/resourceGroups/{emulator.resource_group}/workspaces/"
        f"{emulator.workspace_name}/datastores/workspaceblobstore/paths/LocalUpload/x/model"
    )
    assert found["flavors"] == flavors
    assert found["jobName"] is None
    assert (found["stage"], found["provisioningState"], found["modelType"]) == ("Development", "Succeeded", "mlflow_model")
    assert {"autoDeleteSetting", "intellectualProperty"} <= set(found)
    again = put(client, emulator, "shape", "3", modelType="mlflow_model", modelUri=uri, flavors=flavors)
    assert again.status_code == 200
    other = put(client, emulator, "shape", "3", modelUri=uri + "2")
    assert other.status_code == 409
    assert other.json()["error"]["message"].startswith("A model version with this name and version already exists.")
    assert put(client, emulator, "plain", "1").json()["properties"]["flavors"] == {}


def test_what_is_not_there(emulator: Emulated, client: httpx.Client) -> None:
    assert client.get(f"{emulator.ws}/models/none/versions").json() == {"value": []}
    reply = client.get(f"{emulator.ws}/models/none")
    assert (reply.status_code, reply.json()["error"]["message"]) == (404, "Model container with name: none not found.")
    assert client.get(f"{emulator.ws}/models/none/versions/1").status_code == 404


@pytest.mark.parametrize(
    "wrong", [{"modelType": "pickle"}, {"modelUri": None}, {"modelUri": 1}, {"flavors": []}, {"tags": "a"}]
)
def test_what_is_refused(emulator: Emulated, client: httpx.Client, wrong: dict[str, Any]) -> None:
    reply = put(client, emulator, "refused", "1", **wrong)
    assert reply.status_code == 400
    assert client.get(f"{emulator.ws}/models/refused").status_code == 404


def test_an_address_elsewhere_is_recorded_without_files(emulator: Emulated, client: httpx.Client) -> None:
    put(client, emulator, "elsewhere", "1")
    model = emulator.workspace.models.get(AssetRef("elsewhere"))
    assert model.sha256 == ""
    with pytest.raises((NotFoundError, NotAllowedError)):
        emulator.workspace.models.verified(AssetRef("elsewhere"))


def test_a_folder_of_the_sdk_is_recorded_and_not_trusted(emulator: Emulated, ml: Any, tmp_path: Path) -> None:
    from azure.ai.ml.entities import Model

    folder = mlflow_folder(tmp_path / "foreign")
    made = ml.models.create_or_update(
        Model(name="sdk-model", path=str(folder), type="mlflow_model", description="d", tags={"a": "b"})
    )
    assert made.version == "1"
    model = emulator.workspace.models.get(AssetRef("sdk-model"))
    assert (model.own, model.trusted, model.description, dict(model.tags)) == (False, False, "d", {"a": "b"})
    assert (Path(model.path) / "data" / "values.txt").read_text() == "1"
    assert model.signature is not None
    with pytest.raises(NotAllowedError, match="nobody trusts"):
        emulator.workspace.models.verified(AssetRef("sdk-model"))
    ml.models.download("sdk-model", "1", str(tmp_path / "down"))
    copied = tmp_path / "down" / "sdk-model" / "foreign"
    assert (copied / "MLmodel").read_bytes() == (folder / "MLmodel").read_bytes()
    assert ml.models.create_or_update(Model(name="sdk-model", path=str(folder), type="mlflow_model")).version == "2"
    assert [each.version for each in ml.models.list("sdk-model")] == ["2", "1"]
    assert "sdk-model" in [each.name for each in ml.models.list()]
    ml.models.archive("sdk-model", version="2")
    assert [each.version for each in ml.models.list("sdk-model")] == ["1"]


def test_a_file_of_the_sdk_keeps_its_name(emulator: Emulated, ml: Any, tmp_path: Path) -> None:
    from azure.ai.ml.entities import Model

    (tmp_path / "model.pkl").write_bytes(b"not really a pickle")
    ml.models.create_or_update(Model(name="sdk-file", version="5", path=str(tmp_path / "model.pkl"), type="custom_model"))
    model = emulator.workspace.models.get(AssetRef("sdk-file", "5"))
    assert [path.name for path in Path(model.path).iterdir()] == ["model.pkl"]
    ml.models.download("sdk-file", "5", str(tmp_path / "down"))
    assert (tmp_path / "down" / "sdk-file" / "model.pkl").read_bytes() == b"not really a pickle"


def test_the_user_may_answer_for_what_clients_register(emulate: Callable[..., Emulated], tmp_path: Path) -> None:
    from azure.ai.ml.entities import Model

    emulator = emulate(trust=True)
    folder = mlflow_folder(tmp_path / "mine")
    emulator.ml_client().models.create_or_update(Model(name="trusted", version="1", path=str(folder), type="mlflow_model"))
    assert emulator.workspace.models.get(AssetRef("trusted")).trusted
    emulator.workspace.models.verified(AssetRef("trusted"))


def test_a_model_of_the_command_line_is_downloaded_by_the_sdk(emulator: Emulated, ml: Any, tmp_path: Path) -> None:
    folder = mlflow_folder(tmp_path / "local", "cli")
    emulator.workspace.models.register(RegisterModel("cli-model", str(folder), trust=True, description="of the shell"))
    shown = ml.models.get("cli-model", version="1")
    assert (shown.type, shown.description) == ("mlflow_model", "of the shell")
    ml.models.download("cli-model", "1", str(tmp_path / "down"))
    copied = next((tmp_path / "down").rglob("values.txt"))
    assert copied.read_text() == "cli"
    shown.tags = {"seen": "yes"}
    ml.models.create_or_update(shown)
    model = emulator.workspace.models.get(AssetRef("cli-model"))
    assert (dict(model.tags), model.trusted) == ({"seen": "yes"}, True)


@pytest.mark.parametrize(
    "path",
    [
        "azureml://jobs/{job}/outputs/best_model",
        "azureml://jobs/{best}/outputs/artifacts/paths/outputs/mlflow-model/",
        "runs:/{best}/outputs/mlflow-model",
        "azureml://datastores/workspaceartifactstore/paths/ExperimentRun/dcid.{best}/outputs/mlflow-model",
    ],
)
def test_a_model_of_a_job_is_the_workspaces_own(emulator: Emulated, ml: Any, job: str, path: str, tmp_path: Path) -> None:
    from azure.ai.ml.entities import Model

    workspace = emulator.workspace
    best = workspace.history.best_child(workspace.history.get(job))
    assert best is not None
    name = f"of-job-{abs(hash(path)) % 10**6}"
    made = ml.models.create_or_update(
        Model(name=name, version="1", path=path.format(job=job, best=best.id), type="mlflow_model")
    )
    model = workspace.models.get(AssetRef(name))
    assert model.own
    assert "/datastores/workspace" in made.path
    workspace.models.verified(AssetRef(name))
    ml.models.download(name, "1", str(tmp_path / "down"))
    assert next((tmp_path / "down").rglob("MLmodel")).is_file()
