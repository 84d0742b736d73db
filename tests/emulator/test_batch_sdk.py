"""Batch endpoints through the unmodified SDK: a model and a pipeline component behind them."""

from __future__ import annotations

import csv
import sys
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent.parent))
from emulator_support import Emulated
from serving_support import register_own, trained_once
from waiting import until

from opsml_cli.domain.job import Job
from opsml_cli.domain.model import Model

ROWS = "age,job,balance\n41,technician,12.5\n70,retired,0\n"
PIPELINE = """
$schema: https://azuremlschemas.azureedge.net/latest/pipelineComponent.schema.json
type: pipeline
name: counting
version: "1"
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
COMMAND = """
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


@pytest.fixture(scope="module")
def ml(emulator: Emulated) -> Any:
    return emulator.ml_client()


@pytest.fixture(scope="module")
def model(emulator: Emulated, tmp_path_factory: pytest.TempPathFactory) -> Model:
    return register_own(emulator.workspace, trained_once(tmp_path_factory.getbasetemp()))


@pytest.fixture(scope="module")
def data(ml: Any, tmp_path_factory: pytest.TempPathFactory) -> str:
    from azure.ai.ml.entities import Data

    path = tmp_path_factory.mktemp("rows") / "rows.csv"
    path.write_text(ROWS)
    made = ml.data.create_or_update(Data(name="rows", version="1", path=str(path), type="uri_file"))
    return f"azureml:{made.name}:{made.version}"


def ended(emulator: Emulated, name: str) -> Job:
    def read() -> Job | None:
        found = emulator.workspace.jobs.get(name)
        return found if found.status.finished else None

    return until(read, 60.0)


@pytest.mark.slow
def test_a_model_scores_what_the_sdk_uploaded(emulator: Emulated, ml: Any, model: Model, data: str, tmp_path: Path) -> None:
    from azure.ai.ml import Input
    from azure.ai.ml.entities import BatchEndpoint, ModelBatchDeployment, ModelBatchDeploymentSettings
    from azure.core.exceptions import HttpResponseError, ResourceNotFoundError

    ml.compute.begin_create_or_update(_cluster()).result()
    endpoint = ml.batch_endpoints.begin_create_or_update(BatchEndpoint(name="scoring", description="at night")).result()
    assert endpoint.scoring_uri == f"{emulator.url}/_batch/scoring/jobs"
    deployment = ModelBatchDeployment(
        name="first",
        endpoint_name="scoring",
        model=f"azureml:{model.name}:{model.version}",
        compute="cpu",
        settings=ModelBatchDeploymentSettings(mini_batch_size=2, instance_count=1, output_action="append_row"),
    )
    made = ml.batch_deployments.begin_create_or_update(deployment).result()
    assert (made.name, made.provisioning_state, made.output_file_name) == ("first", "Succeeded", "predictions.csv")
    endpoint.defaults.deployment_name = "first"
    assert ml.batch_endpoints.begin_create_or_update(endpoint).result().defaults.deployment_name == "first"
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "a.csv").write_text(ROWS)
    for given in (Input(path=data, type="uri_file"), Input(path=str(tmp_path / "more"), type="uri_folder")):
        job = ml.batch_endpoints.invoke(endpoint_name="scoring", inputs={"heart": given})
        assert ended(emulator, job.name).status == "Completed", emulator.workspace.jobs.logs(job.name)[0]
        assert ml.jobs.get(job.name).status == "Completed"
        child = next(iter(ml.jobs.list(parent_job_name=job.name)))
        target = tmp_path / job.name
        ml.jobs.download(name=child.name, output_name="score", download_path=str(target))
        found = next(target.rglob("predictions.csv"))
        assert len(list(csv.reader(found.read_text().splitlines()))) == 2
    assert job.name in [each.name for each in ml.jobs.list() if each.experiment_name == "scoring"]
    with pytest.raises(HttpResponseError):
        list(ml.batch_endpoints.list_jobs("scoring"))
    ml.batch_deployments.begin_delete(name="first", endpoint_name="scoring").result()
    ml.batch_endpoints.begin_delete("scoring").result()
    with pytest.raises(ResourceNotFoundError):
        ml.batch_endpoints.get("scoring")


def test_a_pipeline_component_runs_with_the_calls_inputs(emulator: Emulated, ml: Any, data: str, tmp_path: Path) -> None:
    from azure.ai.ml import Input, load_component
    from azure.ai.ml.entities import BatchEndpoint, PipelineComponentBatchDeployment

    (tmp_path / "pipeline.yml").write_text(PIPELINE)
    (tmp_path / "count.yml").write_text(COMMAND)
    component = ml.components.create_or_update(load_component(str(tmp_path / "pipeline.yml")))
    ml.batch_endpoints.begin_create_or_update(BatchEndpoint(name="components")).result()
    deployment = PipelineComponentBatchDeployment(
        name="count",
        endpoint_name="components",
        component=component,
        settings={"continue_on_step_failure": False, "default_compute": "cpu"},
    )
    ml.batch_deployments.begin_create_or_update(deployment).result()
    shown = ml.batch_deployments.get("count", "components")
    assert shown.properties["deployment_configuration_type"] == "PipelineComponent"
    inputs = {"source": Input(path=data, type="uri_file"), "word": Input(type="string", default="lines")}
    job = ml.batch_endpoints.invoke(endpoint_name="components", deployment_name="count", inputs=inputs)
    assert "/batchEndpoints//jobs/" in job.id
    assert not job.name.startswith("batchjob-")
    assert ended(emulator, job.name).status == "Completed", emulator.workspace.jobs.get(job.name).error
    assert ml.jobs.get(job.name).properties["runSource"] == "BatchDeployment"
    folder = emulator.workspace.layout.job(job.name) / "outputs" / "counted"
    assert (folder / "count.txt").read_text().split() == ["3", "lines"]
    ml.batch_endpoints.begin_delete("components").result()


def _cluster() -> Any:
    from azure.ai.ml.entities import AmlCompute

    return AmlCompute(name="cpu", size="Standard_DS3_v2", min_instances=0, max_instances=1)
