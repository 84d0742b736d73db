"""Long verbs on Azure whose requests break before or after their effect, and whose client dies: run again, they finish, and
nothing is there twice."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import replace

import pytest
from azure_live import azure_workspace
from emulator_support import Emulated
from jobs_live import ending_jobs, spec, write_table
from serving_support import ROW, end_all, register_own, trained_once
from waiting import until

from opsml_cli.azureml.context import Context
from opsml_cli.azureml.workspace import AzureWorkspace
from opsml_cli.domain.data import RegisterData
from opsml_cli.domain.endpoint import DeploymentState, DeploySpec, OnlineEndpoint, ScoreRequest
from opsml_cli.domain.errors import OpsmlError, QuotaError
from opsml_cli.domain.job import JobState, Limits
from opsml_cli.domain.names import AssetRef
from opsml_cli.domain.progress import Silent

PEOPLE = AssetRef("people", "1")


class Impatient:
    """A clock on which every wait is over at once."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture(scope="module")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulated]:
    folder = tmp_path_factory.mktemp("resume")
    with azure_workspace(folder / "place") as (workspace, found), ending_jobs(found.workspace.root):
        workspace.data.register(RegisterData("people", str(write_table(folder / "people.csv"))), Silent())
        register_own(found.workspace, trained_once(tmp_path_factory.getbasetemp()))
        yield found
        end_all(found.workspace)


@pytest.fixture
def client(emulator: Emulated) -> Iterator[AzureWorkspace]:
    """A client that knows nothing of those before it."""
    made = new_client(emulator)
    yield made
    emulator.faults.clear()
    made.context.rest.close()


def new_client(emulator: Emulated) -> AzureWorkspace:
    from opsml_cli.azureml.context import Place
    from opsml_cli.settings import AzureSettings

    settings = AzureSettings(
        subscription_id=emulator.subscription,
        resource_group=emulator.resource_group,
        workspace_name=emulator.workspace_name,
    )
    place = Place("azure", emulator.subscription, emulator.resource_group, emulator.workspace_name)
    return AzureWorkspace(settings, context=Context(place, settings, clock=Impatient()))


def finish(workspace: AzureWorkspace, endpoint: str) -> OnlineEndpoint:
    """Look until the deployment is done, as a waiting command does."""

    def done() -> OnlineEndpoint | None:
        found = workspace.online_endpoints.get(endpoint)
        return found if found.deployments and all(each.state.finished for each in found.deployments) else None

    return until(done, 60.0)


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.slow
def test_a_training_whose_submission_breaks_is_there_once(emulator: Emulated, client: AzureWorkspace, when: str) -> None:
    wanted = spec(PEOPLE, limits=Limits(timeout_seconds=300, max_trials=1000), experiment=f"drop-{when}")
    wanted = replace(wanted, model_name=f"drop-{when}")
    emulator.faults.add(f"drop:verb=PUT,route=/jobs/,when={when},count=20")
    if when == "before":
        with pytest.raises(OpsmlError):
            client.jobs.begin_automl(wanted)
    else:  # every answer is lost, and what was asked is found
        client.jobs.begin_automl(wanted)
    assert emulator.faults.struck
    emulator.faults.clear()
    begun = new_client(emulator).jobs.begin_automl(wanted)
    assert [job.name for job in client.jobs.list(experiment=f"drop-{when}")] == [begun.name]
    client.jobs.cancel(begun.name)
    until(lambda: client.jobs.get(begun.name).status is JobState.CANCELED, 60.0)


@pytest.mark.parametrize(
    "fault",
    [
        "drop:verb=PUT,route=/onlineEndpoints/,when=after,count=20",
        "drop:verb=PUT,route=/onlineEndpoints/,when=before,count=20",
        "error:verb=PUT,route=/deployments/,when=after,count=20",
        "drop:verb=PUT,route=/onlineEndpoints/,when=after,skip=2,count=20",
        "throttle:verb=GET,count=3",
    ],
)
def test_a_deployment_that_breaks_is_finished_by_the_same_command(
    emulator: Emulated, client: AzureWorkspace, fault: str
) -> None:
    name = f"resume-{zlib.crc32(fault.encode())}"
    wanted = DeploySpec(AssetRef("bank", "1"), name, "blue", trust=True)
    emulator.faults.add(fault)
    try:
        client.online_endpoints.begin_deploy(wanted)
        finish(client, name)
    except OpsmlError:
        pass
    emulator.faults.clear()
    again = new_client(emulator)
    again.online_endpoints.begin_deploy(wanted)
    found = finish(again, name)
    assert [(each.name, each.state) for each in found.deployments] == [("blue", DeploymentState.SUCCEEDED)]
    assert found.traffic == {"blue": 100}
    assert [each.name for each in again.online_endpoints.list()].count(name) == 1
    assert again.online_endpoints.score(name, ScoreRequest([ROW])).deployment == "blue"
    assert again.online_endpoints.begin_deploy(wanted).unchanged
    again.online_endpoints.delete(name)


def test_whoever_looks_finishes_what_a_dead_client_began(emulator: Emulated, client: AzureWorkspace) -> None:
    client.online_endpoints.begin_deploy(DeploySpec(AssetRef("bank", "1"), "orphan", "blue", trust=True))
    found = finish(new_client(emulator), "orphan")
    assert (found.deployments[0].state, found.traffic) == (DeploymentState.SUCCEEDED, {"blue": 100})
    client.online_endpoints.delete("orphan")


def test_a_quota_is_told_and_leaves_no_deployment(emulator: Emulated, client: AzureWorkspace) -> None:
    wanted = DeploySpec(AssetRef("bank", "1"), "too-large", "blue", instance_count=4, trust=True)
    emulator.faults.add("quota:count=1")
    with pytest.raises(QuotaError):
        client.online_endpoints.begin_deploy(wanted)
        finish(client, "too-large")
    # It is told once; whoever looks later sees that it failed, and why.
    found = new_client(emulator).online_endpoints.get("too-large")
    assert found.deployments[0].state is DeploymentState.FAILED and "quota" in (found.deployments[0].detail or "")
    smaller = replace(wanted, instance_count=1)
    client.online_endpoints.begin_deploy(smaller)
    found = finish(client, "too-large")
    assert [(each.state, each.instance_count) for each in found.deployments] == [(DeploymentState.SUCCEEDED, 1)]
    client.online_endpoints.delete("too-large")
