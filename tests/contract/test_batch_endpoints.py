"""The promises of BatchEndpointOperations, on both kinds of workspace: real runs score real files behind both."""

from __future__ import annotations

import csv
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent.parent))
from azure_live import KINDS, workspace_of
from serving_support import register_own, trained_once
from waiting import until

from opsml_cli.azureml.workspace import AzureWorkspace
from opsml_cli.domain.batch import (
    BatchDeployed,
    BatchEndpoint,
    BatchRun,
    BatchSettings,
    BatchState,
    DeployBatch,
    InvokeBatch,
    OutputAction,
    PutBatchEndpoint,
    RetrySettings,
    ScriptCode,
)
from opsml_cli.domain.compute import CreateCompute
from opsml_cli.domain.data import DataType, RegisterData
from opsml_cli.domain.errors import ConflictError, InvalidInputError, NotAllowedError, NotFoundError, UsageError
from opsml_cli.domain.job import JobState
from opsml_cli.domain.names import AssetRef
from opsml_cli.domain.progress import Silent
from opsml_cli.local.workspace import LocalWorkspace
from opsml_cli.services import batch as services

Workspace = LocalWorkspace | AzureWorkspace
ROWS = "age,job,balance\n41,technician,12.5\n70,retired,0\n"
SCRIPT = """
import os
from pathlib import Path
from helper import shout

def init():
    global word
    word = os.environ["WORD"]

def run(mini_batch):
    return [f"{Path(path).name} {shout(word)} {len(mini_batch)}" for path in mini_batch]
"""
COMPONENT = """
type: pipeline
name: counting
inputs:
  source: {type: uri_file}
  word: {type: string, default: rows}
outputs:
  counted: {type: uri_folder}
jobs:
  count:
    type: command
    component: ./count.yml
    inputs:
      source: ${{parent.inputs.source}}
      word: ${{parent.inputs.word}}
    outputs:
      counted: ${{parent.outputs.counted}}
"""
STEP = """
type: command
name: count
version: "1"
inputs:
  source: {type: uri_file}
  word: {type: string}
outputs:
  counted: {type: uri_folder}
command: >-
  echo "$(cat ${{inputs.source}} | wc -l) ${{inputs.word}}" > ${{outputs.counted}}/count.txt
environment: {image: "python:3.11", name: plain, version: "1"}
"""


@pytest.fixture(scope="module", params=KINDS)
def workspace(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workspace]:
    """A workspace with the model `bank` in two versions, the data `rows` and `folder`, and the compute `cpu`."""
    folder = tmp_path_factory.mktemp(request.param)
    options = {} if request.param == "local" else {"trust": True}
    with workspace_of(request.param, folder, **options) as (found, local):
        for _ in range(2):
            register_own(local, trained_once(tmp_path_factory.getbasetemp()))
        content = folder / "content"
        content.mkdir()
        (content / "one.csv").write_text(ROWS)
        found.data.register(RegisterData("rows", str(content / "one.csv"), type=DataType.URI_FILE), Silent())
        (content / "two.csv").write_text("age,job\n1,x\n")
        found.data.register(RegisterData("folder", str(content), type=DataType.URI_FOLDER), Silent())
        found.computes.begin_create(CreateCompute("cpu"))
        yield found


@pytest.fixture
def name(workspace: Workspace) -> Iterator[str]:
    """A name for the endpoint of one test; it goes with the test."""
    found = f"night-{time.monotonic_ns() % 10**9}"
    yield found
    try:
        workspace.batch_endpoints.delete(found)
    except NotFoundError:
        return


def deploy(workspace: Workspace, endpoint: str, **options: object) -> BatchDeployed:
    words: dict[str, object] = {"deployment": "main", "model": AssetRef("bank", "1"), "compute": "cpu", **options}
    spec = DeployBatch(endpoint, **words)  # type: ignore[arg-type]
    return services.deploy(workspace, spec, None, Silent())


def run(workspace: Workspace, endpoint: str, data: str = "rows", **options: object) -> BatchRun:
    """The finished run."""
    begun = workspace.batch_endpoints.begin_invoke(InvokeBatch(endpoint, data=AssetRef(data), **options))  # type: ignore[arg-type]
    return ended(workspace, begun.run)


def ended(workspace: Workspace, name: str) -> BatchRun:
    def finished() -> BatchRun | None:
        found = workspace.batch_endpoints.run(name)
        return found if found.status.finished else None

    return until(finished, 90.0)


def predictions(workspace: Workspace, run: str, folder: Path, name: str = "predictions.csv") -> list[str]:
    files = [Path(each) for each in workspace.jobs.download(run, str(folder), "score")]
    return next(each for each in files if each.name == name).read_text().splitlines()


def log(workspace: Workspace, run: str) -> str:
    return workspace.jobs.logs(run)[0]


def test_a_model_is_deployed_and_scores(workspace: Workspace, name: str, tmp_path: Path) -> None:
    first = deploy(workspace, name)
    assert not first.unchanged
    assert (first.deployment.state, first.deployment.type) == (BatchState.SUCCEEDED, "model")
    assert (first.endpoint.name, first.endpoint.default, first.endpoint.auth_mode) == (name, "main", "AADToken")
    assert first.deployment.model is not None
    assert (first.deployment.model.name, first.deployment.model.version) == ("bank", "1")
    assert first.deployment.settings == BatchSettings()
    assert deploy(workspace, name).unchanged
    found = run(workspace, name)
    assert (found.status, found.endpoint, found.deployment, found.experiment) == (JobState.COMPLETED, name, "main", name)
    assert "score" in found.outputs
    lines = [line.split(",") for line in predictions(workspace, found.run, tmp_path)]
    assert lines == [["0", "no", "one.csv"], ["1", "yes", "one.csv"]]
    assert workspace.jobs.get(found.run).status is JobState.COMPLETED
    if workspace.kind == "local":
        assert (found.results, found.failed_files, found.mini_batches) == (2, 0, 1)


def test_settings_are_kept_and_a_changed_one_changes_the_deployment(workspace: Workspace, name: str) -> None:
    settings = BatchSettings(
        mini_batch_size=3,
        max_concurrency_per_instance=2,
        error_threshold=4,
        retry_settings=RetrySettings(1, 90.0),
        output_action=OutputAction.APPEND_ROW,
        output_file_name="out.csv",
        logging_level="debug",
        environment_variables={"A": "b"},
    )
    deploy(workspace, name, settings=settings, description="at night")
    (shown,) = workspace.batch_endpoints.get(name).deployments
    assert (shown.settings, shown.description, shown.compute) == (settings, "at night", "cpu")
    assert deploy(workspace, name, settings=settings, description="at night").unchanged
    changed = deploy(workspace, name, settings=settings, description="by day")
    assert not changed.unchanged
    assert workspace.batch_endpoints.get(name).deployments[0].description == "by day"


def test_a_second_deployment_and_the_default(workspace: Workspace, name: str) -> None:
    deploy(workspace, name)
    second = deploy(workspace, name, deployment="second", model=AssetRef("bank", "2"))
    assert second.endpoint.default == "main"
    assert [each.name for each in second.endpoint.deployments] == ["main", "second"]
    found = run(workspace, name, deployment="second", experiment="other")
    assert (found.deployment, found.experiment) == ("second", "other")
    changed = workspace.batch_endpoints.put(PutBatchEndpoint(name, default="second", description="two", tags={"a": "b"}))
    assert (changed.default, changed.description, changed.tags) == ("second", "two", {"a": "b"})
    assert workspace.batch_endpoints.put(PutBatchEndpoint(name, dry_run=True)).default == "second"
    assert deploy(workspace, name, default=True).endpoint.default == "main"
    workspace.batch_endpoints.delete(name, "main")
    left = workspace.batch_endpoints.get(name)
    assert (left.default, [each.name for each in left.deployments]) == (None, ["second"])
    with pytest.raises(ConflictError, match="no default deployment"):
        workspace.batch_endpoints.begin_invoke(InvokeBatch(name, data=AssetRef("rows")))


def test_files_that_fail_are_named(workspace: Workspace, name: str, tmp_path: Path) -> None:
    deploy(workspace, name)
    found = run(workspace, name, "folder")
    assert found.status is JobState.COMPLETED
    lines = list(csv.reader(predictions(workspace, found.run, tmp_path)))
    assert {line[2] for line in lines} == {"one.csv"}
    assert "two.csv has no column 'balance'" in log(workspace, found.run)
    deploy(workspace, name, settings=BatchSettings(error_threshold=0))
    strict = run(workspace, name, "folder")
    assert strict.status is JobState.FAILED
    assert "more than 0 files failed" in (strict.error or "") or "more than 0 files" in log(workspace, strict.run)


def test_a_dry_run_makes_nothing(workspace: Workspace, name: str) -> None:
    planned = deploy(workspace, name, dry_run=True)
    assert (planned.unchanged, planned.deployment.name) == (False, "main")
    with pytest.raises(NotFoundError):
        workspace.batch_endpoints.get(name)
    deploy(workspace, name)
    begun = workspace.batch_endpoints.begin_invoke(InvokeBatch(name, data=AssetRef("rows"), dry_run=True))
    assert (begun.run, begun.deployment, begun.status) == ("", "main", JobState.NOT_STARTED)


def test_what_is_not_there(workspace: Workspace, name: str) -> None:
    with pytest.raises(NotFoundError, match="no batch endpoint"):
        workspace.batch_endpoints.get(name)
    with pytest.raises(NotFoundError):
        workspace.batch_endpoints.delete(name)
    with pytest.raises(NotFoundError):
        deploy(workspace, name, model=AssetRef("nobody"))
    deploy(workspace, name)
    for spec in (InvokeBatch(name, "other", AssetRef("rows")), InvokeBatch(name, data=AssetRef("nothing"))):
        with pytest.raises(NotFoundError):
            workspace.batch_endpoints.begin_invoke(spec)
    with pytest.raises(UsageError, match="one data input"):
        workspace.batch_endpoints.begin_invoke(InvokeBatch(name))
    with pytest.raises(NotFoundError):
        workspace.batch_endpoints.put(PutBatchEndpoint(name, default="other"))
    with pytest.raises(NotFoundError):
        workspace.batch_endpoints.delete(name, "other")
    with pytest.raises(NotFoundError):
        workspace.batch_endpoints.run("nothing")
    assert name in [each.name for each in workspace.batch_endpoints.list()]


def test_names_and_settings_are_checked(workspace: Workspace) -> None:
    for options in ({"deployment": "x"}, {"settings": BatchSettings(output_file_name="../up")}):
        with pytest.raises(UsageError):
            deploy(workspace, "fine", **options)
    with pytest.raises(UsageError):
        deploy(workspace, "1x")


@pytest.fixture
def code(tmp_path: Path) -> Path:
    folder = tmp_path / "src"
    (folder / "app").mkdir(parents=True)
    (folder / "app" / "score.py").write_text(SCRIPT)
    (folder / "helper.py").write_text("def shout(text):\n    print('shouting')\n    return text.upper()\n")
    return folder


def test_a_scoring_script_runs_with_its_variables_and_its_code_root(
    workspace: Workspace, name: str, code: Path, tmp_path: Path
) -> None:
    (tmp_path / "env.yml").write_text("name: plain\nversion: '1'\nimage: python:3.11\n")
    options: dict[str, object] = {
        "model": None,
        "code": ScriptCode(str(code), "app/score.py"),
        "environment": str(tmp_path / "env.yml"),
        "settings": BatchSettings(mini_batch_size=1, output_file_name="words.txt", environment_variables={"WORD": "hey"}),
    }
    if workspace.kind == "local":
        with pytest.raises(NotAllowedError, match="foreign code"):
            deploy(workspace, name, **options)
    made = deploy(workspace, name, trust=True, **options)
    assert made.deployment.scoring_script == "app/score.py"
    assert deploy(workspace, name, trust=True, **options).unchanged
    found = run(workspace, name, "folder")
    assert found.status is JobState.COMPLETED, log(workspace, found.run)
    assert predictions(workspace, found.run, tmp_path, "words.txt") == ["one.csv HEY 1", "two.csv HEY 1"]
    assert "shouting" in log(workspace, found.run)


def test_a_pipeline_component_runs_with_the_inputs_of_the_call(workspace: Workspace, name: str, tmp_path: Path) -> None:
    (tmp_path / "pipeline.yml").write_text(COMPONENT)
    (tmp_path / "count.yml").write_text(STEP)
    options: dict[str, object] = {"model": None, "component": str(tmp_path / "pipeline.yml")}
    made = deploy(workspace, name, **options)
    assert made.deployment.type == "pipeline"
    assert deploy(workspace, name, **options).unchanged
    spec = InvokeBatch(name, data=AssetRef("rows"), inputs={"word": "lines"})
    found = ended(workspace, workspace.batch_endpoints.begin_invoke(spec).run)
    assert (found.status, found.endpoint, found.deployment) == (JobState.COMPLETED, name, "main")
    files = [Path(each) for each in workspace.jobs.download(found.run, str(tmp_path / "got"))]
    assert next(each for each in files if each.name == "count.txt").read_text().split() == ["3", "lines"]
    with pytest.raises(InvalidInputError, match="no input"):
        workspace.batch_endpoints.begin_invoke(InvokeBatch(name, data=AssetRef("rows"), inputs={"wrod": "lines"}))


def test_the_story_of_a_run_copies_its_results(workspace: Workspace, name: str, tmp_path: Path) -> None:
    """The service: a path is registered first, the run is waited for, and its results lie in a folder."""
    deploy(workspace, name)
    (tmp_path / "new.csv").write_text(ROWS)
    given = services.BatchInput(str(tmp_path / "new.csv"))
    done = services.run(workspace, InvokeBatch(name), given, Silent(), out=str(tmp_path / "out"))
    assert done.run.status is JobState.COMPLETED
    assert [Path(each).name for each in done.files] == ["predictions.csv"]
    assert len((tmp_path / "out" / "predictions.csv").read_text().splitlines()) == 2
    assert workspace.data.get(AssetRef(f"{name}-input")).version == "1"
    with pytest.raises(ConflictError, match="exists"):
        services.run(workspace, InvokeBatch(name), given, Silent(), out=str(tmp_path / "out"))
    with pytest.raises(NotFoundError, match="no file or folder"):
        services.run(workspace, InvokeBatch(name), services.BatchInput(str(tmp_path / "no.csv")), Silent())
    planned = services.run(workspace, InvokeBatch(name, dry_run=True), services.BatchInput(str(tmp_path)), Silent())
    assert (planned.run.run, planned.run.deployment) == ("", "main")


def _endpoint(workspace: Workspace, name: str) -> BatchEndpoint:
    return workspace.batch_endpoints.get(name)


def test_azure_wants_a_compute(workspace: Workspace, name: str) -> None:
    if workspace.kind == "local":
        assert deploy(workspace, name, compute=None).deployment.compute is None
        return
    with pytest.raises(UsageError, match="runs on a compute"):
        deploy(workspace, name, compute=None)
