"""The promises of ModelOperations, asserted on the port: on this machine, and on Azure over an emulator."""

from __future__ import annotations

import base64
import hashlib
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from azure_live import KINDS, workspace_of
from foreign_model import foreign
from jobs_live import ending_jobs, spec, until, write_table

from opsml_cli.azureml.storage import parse_location
from opsml_cli.azureml.workspace import AzureWorkspace
from opsml_cli.domain.comparison import CompareModels
from opsml_cli.domain.data import RegisterData
from opsml_cli.domain.endpoint import ScoreRequest
from opsml_cli.domain.errors import (
    ConflictError,
    ContractError,
    InvalidInputError,
    NotAllowedError,
    NotFoundError,
    UnsupportedError,
    UsageError,
)
from opsml_cli.domain.explanation import ExplainModel
from opsml_cli.domain.job import Job, JobState, TableSource
from opsml_cli.domain.model import Model, RegisterModel
from opsml_cli.domain.names import AssetRef
from opsml_cli.domain.progress import Silent
from opsml_cli.local.workspace import LocalWorkspace

Workspace = LocalWorkspace | AzureWorkspace
OWN = AssetRef("people-label")
# Every field that a workspace may have no source for.
FACTS = ("sha256", "size_bytes", "algorithm", "task", "metrics", "threshold", "signature", "data")


@pytest.fixture(scope="module", params=KINDS)
def workspace(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workspace]:
    """One workspace for all tests of a kind: each has names of its own."""
    folder = tmp_path_factory.mktemp(request.param)
    with workspace_of(request.param, folder / "place") as (found, local), ending_jobs(local.root):
        yield found


@pytest.fixture(scope="module")
def trained(workspace: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Job:
    """The job that made `people-label:1`."""
    folder = tmp_path_factory.mktemp("people")
    workspace.data.register(RegisterData("people", str(write_table(folder / "people.csv"))), Silent())
    name = workspace.jobs.begin_automl(spec(AssetRef("people", "1"))).name
    until(lambda: workspace.jobs.get(name).status.finished, f"the end of {name}")
    done = workspace.jobs.get(name)
    assert done.status is JobState.COMPLETED, done.error
    return done


@pytest.fixture
def strange(tmp_path: Path) -> Path:
    return foreign(tmp_path / "strange", tmp_path / "canary")


def assert_explained(workspace: Workspace, model: Model) -> None:
    """What Azure has no source for is empty and says why; what is there is not called unknown."""
    for name in FACTS:
        if getattr(model, name) in (None, "", 0, {}):
            assert workspace.kind == "local" or model.unknown.get(name), f"{name} is empty, and nothing says why"
        else:
            assert name not in model.unknown


def test_a_foreign_folder_needs_trust_and_its_code_does_not_run(workspace: Workspace, strange: Path, tmp_path: Path) -> None:
    with pytest.raises(NotAllowedError, match="not trained by opsml") as caught:
        workspace.models.register(RegisterModel("foreign", str(strange)))
    assert "--trust" in str(caught.value.fix)
    with pytest.raises(NotFoundError):
        workspace.models.list("foreign")
    wanted = RegisterModel("foreign", str(strange), trust=True, tags={"a": "b"}, description="d")
    found = workspace.models.register(wanted)
    assert not found.unchanged
    model = found.model
    assert (model.name, model.version, model.own, model.trusted) == ("foreign", "1", False, True)
    assert (dict(model.tags), model.description, model.job) == ({"a": "b"}, "d", None)
    assert model.signature is not None
    assert [column.name for column in model.signature.inputs] == ["x"]
    assert len(model.sha256) == 64 and model.size_bytes > 0
    assert workspace.models.get(AssetRef("foreign")) == model
    assert_explained(workspace, model)
    assert_explained(workspace, next(one for one in workspace.models.list() if one.name == "foreign"))
    assert not (tmp_path / "canary").exists()


def test_what_a_job_trained_is_registered_and_its_empty_facts_are_explained(workspace: Workspace, trained: Job) -> None:
    model = workspace.models.get(OWN)
    assert (model.version, model.own, model.job) == ("1", True, trained.name)
    assert model.signature is not None
    assert {column.name for column in model.signature.inputs} >= {"age", "income", "city"}
    assert model.metrics and model.task == "classification" and model.algorithm
    assert str(model.data) == "people:1"
    assert_explained(workspace, model)
    assert [one.version for one in workspace.models.list("people-label")] == ["1"]


def test_the_same_folder_again_is_unchanged_and_another_a_new_version(
    workspace: Workspace, strange: Path, tmp_path: Path
) -> None:
    first = workspace.models.register(RegisterModel("Again", str(strange), trust=True))
    repeated = workspace.models.register(RegisterModel("again", str(strange)))
    assert (repeated.unchanged, repeated.model) == (True, first.model)
    other = str(foreign(tmp_path / "other", tmp_path / "canary"))
    second = workspace.models.register(RegisterModel("AGAIN", other, trust=True)).model
    assert (second.name, second.version) == ("Again", "2")
    assert workspace.models.get(AssetRef("again")) == second
    assert workspace.models.get(AssetRef("again", "1")) == first.model
    assert [model.version for model in workspace.models.list("again")] == ["2", "1"]
    assert [model.version for model in workspace.models.list() if model.name == "Again"] == ["2"]
    with pytest.raises(ConflictError):
        workspace.models.register(RegisterModel("again", other, version="1", trust=True))
    assert workspace.models.register(RegisterModel("again", str(strange), version="v9", trust=True)).model.version == "v9"


def test_dry_run_registers_nothing(workspace: Workspace, strange: Path) -> None:
    found = workspace.models.register(RegisterModel("dry", str(strange), trust=True, dry_run=True))
    assert (found.model.version, found.unchanged) == ("1", False)
    with pytest.raises(NotFoundError):
        workspace.models.get(AssetRef("dry"))
    with pytest.raises(NotAllowedError):
        workspace.models.register(RegisterModel("dry", str(strange), dry_run=True))


def test_folders_that_are_no_models(workspace: Workspace, tmp_path: Path) -> None:
    def register(folder: Path, name: str = "none") -> None:
        workspace.models.register(RegisterModel(name, str(folder), trust=True))

    with pytest.raises(NotFoundError):
        register(tmp_path / "absent")
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(InvalidInputError, match="MLmodel"):
        register(empty)
    (empty / "MLmodel").write_text("flavors: []")
    with pytest.raises(InvalidInputError, match="flavors"):
        register(empty)
    (empty / "MLmodel").write_text("[" * 500)
    with pytest.raises(InvalidInputError, match="deep"):
        register(empty)
    linked = foreign(tmp_path / "linked", tmp_path / "canary")
    (linked / "secret").symlink_to("/etc/passwd")
    with pytest.raises(InvalidInputError, match="link"):
        register(linked)
    for name in ("../m", "a/b", "", "con"):
        with pytest.raises(UsageError):
            register(linked, name)
    with pytest.raises(NotFoundError):
        workspace.models.list("none")


def test_unknown_models_are_not_found(workspace: Workspace, trained: Job) -> None:
    with pytest.raises(NotFoundError) as caught:
        workspace.models.get(AssetRef("people-lable"))
    assert "people-label" in str(caught.value.cause)
    with pytest.raises(NotFoundError, match="no version 9"):
        workspace.models.get(AssetRef("people-label", "9"))
    with pytest.raises(NotFoundError):
        workspace.models.list("nothing")
    with pytest.raises(NotFoundError):
        workspace.models.download(AssetRef("people-label", "9"), "out")


def test_download_gives_what_was_registered_and_keeps_what_is_there(
    workspace: Workspace, strange: Path, tmp_path: Path
) -> None:
    workspace.models.register(RegisterModel("fetched", str(strange), trust=True))
    written = workspace.models.download(AssetRef("fetched"), str(tmp_path / "out"))
    folder = tmp_path / "out" / "fetched-1"
    files = sorted(path.relative_to(strange) for path in strange.rglob("*") if path.is_file())
    assert sorted(Path(path).relative_to(folder) for path in written) == files
    assert all((folder / name).read_bytes() == (strange / name).read_bytes() for name in files)
    assert workspace.models.download(AssetRef("fetched"), str(tmp_path / "out")) == written
    (folder / "MLmodel").write_text("changed")
    with pytest.raises(ConflictError):
        workspace.models.download(AssetRef("fetched"), str(tmp_path / "out"))


def test_the_model_of_a_job_can_be_downloaded(workspace: Workspace, trained: Job, tmp_path: Path) -> None:
    written = workspace.models.download(OWN, str(tmp_path / "out"))
    assert str(tmp_path / "out" / "people-label-1" / "MLmodel") in written


def test_what_was_changed_where_it_lies_is_not_downloaded(workspace: Workspace, strange: Path, tmp_path: Path) -> None:
    (strange / "data" / "values.txt").write_text("of this test alone")
    model = workspace.models.register(RegisterModel("touched", str(strange), trust=True)).model
    if isinstance(workspace, AzureWorkspace):
        place = parse_location(model.path)
        workspace.context.storage.container(place.datastore).write(
            f"{place.path.rstrip('/')}/data/values.txt", b"changed", base64.b64encode(hashlib.md5(b"changed").digest()).decode()
        )
    else:
        (Path(model.path) / "data" / "values.txt").write_text("changed")
    with pytest.raises(ContractError):
        workspace.models.download(AssetRef("touched"), str(tmp_path / "out"))
    assert not list((tmp_path / "out").glob("*"))


def test_many_at_once_get_a_version_each(workspace: Workspace, tmp_path: Path) -> None:
    folders = [str(foreign(tmp_path / f"m{number}", tmp_path / "canary")) for number in range(4)]

    def register(folder: str) -> str:
        if isinstance(workspace, AzureWorkspace):
            return workspace.models.register(RegisterModel("busy", folder, trust=True)).model.version
        mine = LocalWorkspace(workspace.root)  # a database connection belongs to its thread
        try:
            return mine.models.register(RegisterModel("busy", folder, trust=True)).model.version
        finally:
            mine.store.close()

    with ThreadPoolExecutor(len(folders)) as pool:
        versions = list(pool.map(register, folders))
    assert sorted(versions) == ["1", "2", "3", "4"]
    hashes = {model.sha256 for model in workspace.models.list("busy")}
    assert len(hashes) == len(folders)


def test_scoring_comparing_and_explaining_need_the_model_on_this_machine(workspace: Workspace, trained: Job) -> None:
    row = {"age": 60, "income": 80.0, "city": "Ulm"}
    if isinstance(workspace, LocalWorkspace):
        assert workspace.models.score(OWN, ScoreRequest([row])).rows == 1
        return
    table = TableSource(asset=AssetRef("people", "1"))
    for ask in (
        lambda: workspace.models.score(OWN, ScoreRequest([row])),
        lambda: workspace.models.compare(CompareModels(OWN, OWN, table)),
        lambda: workspace.models.explain(ExplainModel(OWN)),
    ):
        with pytest.raises(UnsupportedError) as caught:
            ask()
        assert "opsml -w local" in str(caught.value.fix)


def test_a_copy_of_what_was_downloaded_is_known_again(workspace: Workspace, strange: Path, tmp_path: Path) -> None:
    first = workspace.models.register(RegisterModel("copied", str(strange), trust=True)).model
    shutil.copytree(strange, tmp_path / "copy")
    again = workspace.models.register(RegisterModel("copied", str(tmp_path / "copy")))
    assert (again.unchanged, again.model.sha256) == (True, first.sha256)
