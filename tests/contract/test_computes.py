"""The promises of ComputeOperations, on both kinds of workspace."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path

import pytest
from command_line import Opsml

from opsml_cli.domain.compute import ComputeState, CreateCompute
from opsml_cli.domain.errors import ConflictError, NotFoundError, QuotaError, UsageError
from opsml_cli.domain.progress import Silent
from opsml_cli.domain.workspace import Workspace
from opsml_cli.services import computes


@pytest.fixture
def workspace(either_workspace: Workspace) -> Workspace:
    return either_workspace


def _ready(workspace: Workspace, name: str) -> None:
    deadline = time.monotonic() + 30
    while not workspace.computes.get(name).state.finished:
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_cluster_is_made_once_and_its_scale_changed(workspace: Workspace) -> None:
    spec = CreateCompute("cpu-cluster", max_nodes=2, description="small")
    made = workspace.computes.begin_create(spec)
    assert not made.unchanged
    _ready(workspace, "cpu-cluster")
    found = workspace.computes.get("cpu-cluster")
    assert (found.name, found.type, found.state) == ("cpu-cluster", "AmlCompute", ComputeState.SUCCEEDED)
    assert (found.size, found.min_nodes, found.max_nodes) == ("Standard_DS3_v2", 0, 2)
    assert (found.cores, found.memory_gb, found.description) == (4, 14.0, "small")
    assert found.created_at is not None
    assert workspace.computes.begin_create(spec).unchanged
    assert not workspace.computes.begin_create(CreateCompute("cpu-cluster", max_nodes=3, description="small")).unchanged
    _ready(workspace, "cpu-cluster")
    assert workspace.computes.get("cpu-cluster").max_nodes == 3
    assert [one.name for one in workspace.computes.list() if one.type == "AmlCompute"] == ["cpu-cluster"]


def test_a_size_is_for_ever(workspace: Workspace) -> None:
    workspace.computes.begin_create(CreateCompute("cpu"))
    _ready(workspace, "cpu")
    with pytest.raises(ConflictError, match="Standard_DS3_v2"):
        workspace.computes.begin_create(CreateCompute("cpu", size="Standard_F4s_v2"))


def test_a_dry_run_makes_nothing(workspace: Workspace) -> None:
    planned = workspace.computes.begin_create(CreateCompute("cpu", max_nodes=2, dry_run=True))
    assert (planned.compute.name, planned.compute.max_nodes, planned.unchanged) == ("cpu", 2, False)
    with pytest.raises(NotFoundError):
        workspace.computes.get("cpu")


def test_what_is_not_there_is_named(workspace: Workspace) -> None:
    workspace.computes.begin_create(CreateCompute("cpu-cluster"))
    with pytest.raises(NotFoundError) as caught:
        workspace.computes.get("cpu-clutser")
    assert "cpu-cluster" in str(caught.value.cause)


def test_more_cores_than_there_are(workspace: Workspace) -> None:
    with pytest.raises(QuotaError) as caught:
        workspace.computes.begin_create(CreateCompute("big", max_nodes=1000))
    assert "4000" in f"{caught.value} {caught.value.cause}"


def test_one_is_made_for_a_job_that_asks_for_it(workspace: Workspace) -> None:
    computes.ensure(workspace, CreateCompute("for-training", max_nodes=2, dry_run=True), Silent())
    with pytest.raises(NotFoundError):
        workspace.computes.get("for-training")
    computes.ensure(workspace, CreateCompute("for-training", max_nodes=2), Silent())
    found = workspace.computes.get("for-training")
    assert (found.state, found.max_nodes) == (ComputeState.SUCCEEDED, 2)
    computes.ensure(workspace, CreateCompute("for-training", "Standard_F4s_v2", max_nodes=1), Silent())
    assert workspace.computes.get("for-training") == found, "what is there stays as it is"
    computes.ensure(workspace, CreateCompute("serverless"), Silent())


def test_a_cluster_that_is_too_big_for_the_quota_is_told_with_one_that_fits(azure_workspace: Workspace) -> None:
    with pytest.raises(QuotaError) as caught:
        computes.ensure(azure_workspace, CreateCompute("for-training", max_nodes=1000), Silent())
    assert re.search(r"4000 cores are needed, \d+ there may be", str(caught.value))
    assert "one node of the size Standard_" in str(caught.value.fix)


@pytest.mark.slow
def test_training_on_a_cluster_that_is_not_there(opsml: Opsml, azure_environment: dict[str, str], tmp_path: Path) -> None:
    rows = "".join(f"{number},{number % 7},{'yes' if number % 3 else 'no'}\n" for number in range(60))
    (tmp_path / "rows.csv").write_text("a,b,y\n" + rows)
    ask = ("train", "automl", "--data", "rows.csv", "--target-column", "y", "--compute", "cpu-cluster", "-o", "json")
    missing = opsml(*ask, env=azure_environment)
    assert missing.exit_code == 3
    assert "opsml -w azure compute create cpu-cluster" in missing.stderr
    assert "--create-compute" in missing.stderr
    assert opsml(*ask, "--compute-size", "Standard_DS2_v2", env=azure_environment).exit_code == 2
    planned = opsml(*ask, "--create-compute", "--dry-run", env=azure_environment)
    assert planned.exit_code == 0, planned.stderr
    assert opsml("compute", "show", "cpu-cluster", env=azure_environment).exit_code == 3
    small = ("--timeout", "5s", "--max-trials", "1", "--no-wait")
    begun = opsml(*ask, "--create-compute", "--compute-max-nodes", "2", *small, env=azure_environment)
    assert begun.exit_code == 0, begun.stderr
    shown = json.loads(opsml("compute", "show", "cpu-cluster", "-o", "json", env=azure_environment).stdout)
    assert (shown["state"], shown["max_nodes"]) == ("Succeeded", 2)
    job = json.loads(begun.stdout)["job"]
    opsml("jobs", "cancel", job, "--yes", env=azure_environment)
    opsml("jobs", "watch", job, env=azure_environment)


@pytest.mark.parametrize("name", ["local", "serverless"])
def test_reserved_names(workspace: Workspace, name: str) -> None:
    with pytest.raises(UsageError):
        workspace.computes.begin_create(CreateCompute(name))


@pytest.mark.parametrize("name", ["", "a", "1a", "a_b", "-a", "a-", "a" * 33, "a/b", ".."])
def test_odd_names_are_refused(workspace: Workspace, name: str) -> None:
    with pytest.raises(UsageError):
        workspace.computes.begin_create(CreateCompute(name))


def test_this_machine_is_the_first_of_a_local_workspace(workspace_of_this_machine: Workspace) -> None:
    found = workspace_of_this_machine.computes.list()[0]
    assert (found.name, found.type, found.state, found.nodes) == ("local", "this machine", ComputeState.SUCCEEDED, 1)
    assert found.cores
    assert found.memory_gb
    assert workspace_of_this_machine.computes.get("LOCAL") == found
