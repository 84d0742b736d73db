"""What the SDK makes, the command line's port shows, and the other way round: one row a kind, names with hyphens.

Environments and components are not here: the command line has no words for them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from emulator_support import Emulated
from pipeline_support import cleaned, ended
from serving_support import deploy, end_all, foreign_folder, register_own, trained_once
from waiting import until

from opsml_cli.azureml.workspace import AzureWorkspace
from opsml_cli.domain.compute import CreateCompute
from opsml_cli.domain.data import RegisterData
from opsml_cli.domain.endpoint import DeploymentState, DeploySpec
from opsml_cli.domain.errors import NotAllowedError
from opsml_cli.domain.job import JobState
from opsml_cli.domain.names import AssetRef
from opsml_cli.domain.pipeline import PublishPipeline, TriggerPipeline
from opsml_cli.domain.progress import Silent
from opsml_cli.domain.schedule import CreateSchedule, CronTrigger
from opsml_cli.settings import AzureSettings

PIPELINE = """\
type: pipeline
description: says a word
inputs:
  word: {type: string, default: hello}
  times: {type: integer, default: 2}
outputs:
  said: {type: uri_folder}
jobs:
  only:
    type: command
    component: ./say.yml
    inputs: {word: "${{parent.inputs.word}}", times: "${{parent.inputs.times}}"}
    outputs: {out: "${{parent.outputs.said}}"}
"""
STEP = """\
type: command
inputs:
  word: {type: string}
  times: {type: integer}
outputs:
  out: {type: uri_folder}
command: echo "${{inputs.word}} ${{inputs.times}}" > ${{outputs.out}}/said.txt
environment: {image: "python:3.11", name: plain, version: "1"}
"""


@dataclass
class Place:
    """The workspace of the tests, from both sides, and a folder with files to make things of."""

    emulator: Emulated
    ml: Any
    folder: Path

    @property
    def local(self) -> Any:
        return self.emulator.workspace

    def said(self, run: str) -> str:
        """What the run of the pipeline wrote, once it has ended."""
        done = ended(self.local, run)
        assert done.status is JobState.COMPLETED, done
        return (self.local.layout.job(run) / "outputs" / "said" / "said.txt").read_text().strip()


@pytest.fixture(scope="module")
def place(emulator: Emulated, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("files")
    (folder / "rows.csv").write_text("a,b\n1,2\n3,4\n")
    (folder / "pipeline.yml").write_text(PIPELINE)
    (folder / "say.yml").write_text(STEP)
    register_own(emulator.workspace, trained_once(tmp_path_factory.getbasetemp()), "my-bank")
    with cleaned(emulator.workspace):
        yield Place(emulator, emulator.ml_client(), folder)
        end_all(emulator.workspace)


def data_of_the_sdk(place: Place) -> None:
    from azure.ai.ml.entities import Data

    place.ml.data.create_or_update(Data(name="sdk-rows", version="1", path=str(place.folder / "rows.csv"), type="uri_file"))
    found = place.local.data.get(AssetRef("sdk-rows"))
    assert (found.rows, found.columns) == (2, 2)
    assert "sdk-rows" in {each.name for each in place.local.data.list()}


def data_of_the_command_line(place: Place) -> None:
    place.local.data.register(RegisterData("cli-rows", str(place.folder / "rows.csv")), Silent())
    assert place.ml.data.get("cli-rows", label="latest").version == "1"
    assert "cli-rows" in {each.name for each in place.ml.data.list()}


def models_of_the_sdk(place: Place) -> None:
    from azure.ai.ml.entities import Model

    held = place.local.layout.model("my-bank", "1")
    place.ml.models.create_or_update(Model(name="sdk-bank", version="1", path=str(held), type="mlflow_model"))
    assert place.local.models.get(AssetRef("sdk-bank")).version == "1"
    assert "sdk-bank" in {each.name for each in place.local.models.list()}


def models_of_the_command_line(place: Place) -> None:
    assert place.ml.models.get("my-bank", version="1").type == "mlflow_model"
    assert "my-bank" in {each.name for each in place.ml.models.list()}


def jobs_of_the_sdk(place: Place) -> None:
    from azure.ai.ml import command

    asked = command(name="sdk-job", command="echo done", environment="azureml://registries/azureml/environments/x/versions/1")
    place.ml.jobs.create_or_update(asked)
    until(lambda: place.local.jobs.get("sdk-job").status.finished)
    assert place.local.jobs.get("sdk-job").status is JobState.COMPLETED
    assert "sdk-job" in {each.name for each in place.local.jobs.list()}


def jobs_of_the_command_line(place: Place) -> None:
    run = place.local.pipelines.begin_run(str(place.folder / "pipeline.yml"), {"word": "job"}, "by-hand").run
    assert place.said(run) == "job 2"
    assert (place.ml.jobs.get(run).status, place.ml.jobs.get(run).experiment_name) == ("Completed", "by-hand")
    assert run in {each.name for each in place.ml.jobs.list()}
    assert [each.display_name for each in place.ml.jobs.list(parent_job_name=run)] == ["only"]


def endpoints_of_the_sdk(place: Place) -> None:
    from azure.ai.ml.entities import ManagedOnlineDeployment, ManagedOnlineEndpoint

    place.ml.online_endpoints.begin_create_or_update(ManagedOnlineEndpoint(name="sdk-api", auth_mode="key")).result()
    deployment = ManagedOnlineDeployment(
        name="sdk-blue",
        endpoint_name="sdk-api",
        model="azureml:my-bank:1",
        instance_type="Standard_DS3_v2",
        instance_count=1,
    )
    place.ml.online_deployments.begin_create_or_update(deployment).result()
    found = place.local.online_endpoints.get("sdk-api")
    assert [(each.name, each.state) for each in found.deployments] == [("sdk-blue", "Succeeded")]
    assert "sdk-api" in {each.name for each in place.local.online_endpoints.list()}
    assert place.ml.online_endpoints.get_keys("sdk-api").primary_key == place.local.online_endpoints.keys("sdk-api").primary


def endpoints_of_the_command_line(place: Place) -> None:
    deploy(place.local, place.local.models.get(AssetRef("my-bank")), "cli-api")
    assert place.ml.online_endpoints.get("cli-api").provisioning_state == "Succeeded"
    assert "cli-api" in {each.name for each in place.ml.online_endpoints.list()}
    assert [each.name for each in place.ml.online_deployments.list("cli-api")] == ["blue"]


def pipelines_of_the_sdk(place: Place) -> None:
    from azure.ai.ml import load_component
    from azure.ai.ml.entities import BatchEndpoint, PipelineComponentBatchDeployment

    client, pipelines = place.ml, place.local.pipelines
    component = load_component(place.folder / "pipeline.yml", params_override=[{"name": "say", "version": "1"}])
    component = client.components.create_or_update(component)
    endpoint = client.batch_endpoints.begin_create_or_update(BatchEndpoint(name="sdk-say")).result()
    assert "sdk-say" not in {each.name for each in pipelines.list()}, "nothing is published yet"
    for name in ("my-first", "my-second"):
        deployment = PipelineComponentBatchDeployment(name=name, endpoint_name="sdk-say", component=component.id, settings={})
        client.batch_deployments.begin_create_or_update(deployment).result()
    endpoint.defaults.deployment_name = "my-second"
    client.batch_endpoints.begin_create_or_update(endpoint).result()

    found = pipelines.get("sdk-say")
    assert (found.default_version, found.versions, found.steps) == ("my-second", ("my-first", "my-second"), ("only",))
    assert {each.name: (each.type, each.default) for each in found.inputs} == {
        "word": ("string", "hello"),
        "times": ("integer", 2),
    }
    assert "sdk-say" in {each.name for each in pipelines.list()}
    begun = pipelines.begin_trigger(TriggerPipeline("sdk-say", inputs={"word": "ho"}))
    assert (begun.pipeline, begun.version) == ("sdk-say", "my-second")
    assert place.said(begun.run) == "ho 2"
    by_the_sdk = client.batch_endpoints.invoke(endpoint_name="sdk-say", deployment_name="my-first").name
    assert place.said(by_the_sdk) == "hello 2"
    run = pipelines.run(by_the_sdk)
    assert (run.pipeline, run.version) == ("sdk-say", "my-first")

    pipelines.delete("sdk-say", "my-first")
    assert [each.name for each in client.batch_deployments.list("sdk-say")] == ["my-second"]
    client.batch_endpoints.begin_delete("sdk-say").result()
    assert "sdk-say" not in {each.name for each in pipelines.list()}
    assert pipelines.run(begun.run).status is JobState.COMPLETED, "its runs stay"


def pipelines_of_the_command_line(place: Place) -> None:
    from azure.ai.ml import Input
    from azure.core.exceptions import ResourceNotFoundError

    client, pipelines = place.ml, place.local.pipelines
    for version in ("1.0", "1-0"):
        (place.folder / "other.yml").write_text(PIPELINE.replace("says a word", f"says {version}"))
        pipelines.publish(PublishPipeline(str(place.folder / "other.yml"), "cli-say", version))
    pipelines.publish(PublishPipeline(str(place.folder / "other.yml"), "no_endpoint"))
    assert "cli-say" in {each.name for each in client.batch_endpoints.list()}
    assert "no_endpoint" not in {each.name for each in client.batch_endpoints.list()}, "no name that Azure takes"
    assert client.batch_endpoints.get("cli-say").defaults.deployment_name == "version-1-0-2"
    assert {each.name for each in client.batch_deployments.list("cli-say")} == {"version-1-0", "version-1-0-2"}
    word, times = Input(type="string", default="hey"), Input(type="integer", default=5)
    # Named, for the SDK keeps the deployment of an earlier call in the headers of the next.
    call = client.batch_endpoints.invoke
    run = call(endpoint_name="cli-say", deployment_name="version-1-0-2", inputs={"word": word, "times": times}).name
    assert place.said(run) == "hey 5"
    assert client.jobs.get(run).status == "Completed"
    assert (pipelines.run(run).pipeline, pipelines.run(run).version) == ("cli-say", "1-0")

    endpoint = client.batch_endpoints.get("cli-say")
    endpoint.defaults.deployment_name = "version-1-0"
    client.batch_endpoints.begin_create_or_update(endpoint).result()
    assert pipelines.get("cli-say").default_version == "1.0"
    client.batch_deployments.begin_delete(name="version-1-0-2", endpoint_name="cli-say").result()
    assert pipelines.get("cli-say").versions == ("1.0",)
    pipelines.delete("cli-say")
    with pytest.raises(ResourceNotFoundError):
        client.batch_endpoints.get("cli-say")


def schedules_of_the_sdk(place: Place) -> None:
    from azure.ai.ml import load_job
    from azure.ai.ml.entities import CronTrigger as Cron
    from azure.ai.ml.entities import JobSchedule

    job = PIPELINE.replace("{type: string, default: hello}", "hello").replace("{type: integer, default: 2}", "2")
    (place.folder / "job.yml").write_text(job + "settings: {default_compute: azureml:serverless}\n")
    schedule = JobSchedule(
        name="sdk-nightly", trigger=Cron(expression="0 3 * * *"), create_job=load_job(place.folder / "job.yml")
    )
    place.ml.schedules.begin_create_or_update(schedule).result()
    assert place.local.schedules.get("sdk-nightly").enabled
    place.local.schedules.disable("sdk-nightly")
    assert not place.ml.schedules.get("sdk-nightly").is_enabled


def schedules_of_the_command_line(place: Place) -> None:
    pipelines = place.local.pipelines
    pipelines.publish(PublishPipeline(str(place.folder / "pipeline.yml"), "cli-nightly"))
    place.local.schedules.create_or_update(
        CreateSchedule("cli-nightly", CronTrigger("0 4 * * *", "UTC"), pipeline="cli-nightly")
    )
    assert place.ml.schedules.get("cli-nightly").is_enabled
    assert "cli-nightly" in {each.name for each in place.ml.schedules.list()}
    place.ml.schedules.begin_disable("cli-nightly").result()
    assert not place.local.schedules.get("cli-nightly").enabled


def computes_of_the_sdk(place: Place) -> None:
    from azure.ai.ml.entities import AmlCompute

    place.ml.compute.begin_create_or_update(AmlCompute(name="sdk-cpu", size="Standard_DS3_v2", max_instances=2)).result()
    assert place.local.computes.get("sdk-cpu").max_nodes == 2


def computes_of_the_command_line(place: Place) -> None:
    place.local.computes.begin_create(CreateCompute("cli-cpu", "Standard_DS3_v2", max_nodes=3))
    assert place.ml.compute.get("cli-cpu").max_instances == 3


ROWS = [each for name, each in list(globals().items()) if name.endswith(("_of_the_sdk", "_of_the_command_line"))]


@pytest.mark.parametrize("row", ROWS, ids=lambda each: each.__name__)
def test_each_sees_what_the_other_made(place: Place, row: Callable[[Place], None]) -> None:
    row(place)


def test_a_model_that_somebody_uploaded_is_foreign_whatever_it_says_of_itself(place: Place, tmp_path: Path) -> None:
    """Azure's SDK may name a job at a model; that it was trained here is known by this workspace's record alone."""
    from azure.ai.ml.entities import Model

    place.local.pipelines.begin_run(str(place.folder / "pipeline.yml"), {}, "claimed")
    foreign = foreign_folder(tmp_path / "foreign")
    claims = {"opsml.job": place.local.jobs.list()[0].name, "opsml.trusted": "true"}
    place.ml.models.create_or_update(
        Model(name="forged", version="1", path=str(foreign), type="mlflow_model", properties=claims)
    )
    found = place.local.models.get(AssetRef("forged"))
    assert (found.own, found.trusted) == (False, False)
    with pytest.raises(NotAllowedError):
        place.local.models.verified(AssetRef("forged"))
    settings = AzureSettings(
        subscription_id=place.emulator.subscription,
        resource_group=place.emulator.resource_group,
        workspace_name=place.emulator.workspace_name,
    )
    with pytest.MonkeyPatch.context() as patch:
        for name, value in place.emulator.environment.items():
            patch.setenv(name, value)
        azure = AzureWorkspace(settings)
        azure.online_endpoints.begin_deploy(DeploySpec(AssetRef("forged", "1"), "forged-api", "blue"))
        until(lambda: azure.online_endpoints.get("forged-api").deployments[0].state.finished)
        (made,) = azure.online_endpoints.get("forged-api").deployments
        azure.context.close()
    assert made.state is DeploymentState.FAILED
    assert "nobody trusts it" in str(made.detail)
