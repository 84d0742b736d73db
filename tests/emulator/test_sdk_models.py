"""The bodies of both directions agree with the SDK's own models: what the SDK sends is accepted, and what it reads fits.

The real SDK does a user's whole work: data, training, model, endpoint, pipeline, schedule. Each of its answers is compared with
the model that the SDK reads it by (sdk_models.py)."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from oracle_support import new_name
from sdk_models import listening

pytestmark = pytest.mark.slow

EXAMPLE = Path(__file__).parents[2] / "examples" / "sdk"


@contextmanager
def agreeing(*models: str) -> Iterator[None]:
    """Every answer read in the block fits its model; answers of `models` are among them."""
    with listening() as spoken:
        yield
    assert spoken.models() >= set(models)
    faults = spoken.faults()
    assert not faults, "\n".join(faults)


def until(seconds: float, look: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + seconds
    while (found := look()) is None:
        assert time.monotonic() < deadline, "not in time"
        time.sleep(0.2)
    return found


@pytest.fixture(scope="module")
def client(emulator: Any) -> Any:
    return emulator.ml_client()


@pytest.fixture(scope="module")
def table(client: Any) -> str:
    from azure.ai.ml.entities import Data

    return str(client.data.create_or_update(Data(name=new_name(), version="1", type="mltable", path=str(EXAMPLE / "loans"))).id)


@pytest.fixture(scope="module")
def trained(client: Any, table: str) -> str:
    """The name of a training that completed."""
    from azure.ai.ml import Input, automl

    job = automl.classification(
        training_data=Input(type="mltable", path=table), target_column_name="paid_back", primary_metric="AUC_weighted",
        n_cross_validations=2, experiment_name="models",
    )  # fmt: skip
    job.set_limits(timeout_minutes=15, max_trials=1, max_concurrent_trials=1)
    job.set_training(enable_stack_ensemble=False, enable_vote_ensemble=False, enable_model_explainability=False)
    name = str(client.jobs.create_or_update(job).name)

    def ended() -> Any:
        found = client.jobs.get(name)
        return found if found.status in {"Completed", "Failed", "Canceled"} else None

    assert until(240, ended).status == "Completed"
    return name


def test_workspace(client: Any, emulator: Any) -> None:
    with agreeing("Workspace"):
        client.workspaces.get(emulator.workspace_name)


def test_datastores(client: Any) -> None:
    with agreeing("Datastore"):
        client.datastores.get_default()
        list(client.datastores.list())
        client.datastores.get("workspaceblobstore", include_secrets=True)


def test_data(client: Any, tmp_path: Path) -> None:
    from azure.ai.ml.entities import Data

    file = tmp_path / "t.csv"
    file.write_text("a,b\n1,2\n")
    name = new_name()
    with agreeing("DataVersionBase", "DataContainer"):
        client.data.create_or_update(Data(name=name, type="uri_file", path=str(file), tags={"a": "b"}))
        client.data.create_or_update(Data(name=name, type="uri_folder", path=str(tmp_path)))
        assert client.data.get(name, label="latest").version == "2"
        client.data.archive(name, version="1")
        assert [each.version for each in client.data.list(name)] == ["2"]
        list(client.data.list())


def test_environments_codes_and_components(client: Any, tmp_path: Path) -> None:
    from azure.ai.ml import load_component
    from azure.ai.ml.entities import Environment

    with agreeing("EnvironmentVersion", "CodeVersion", "ComponentVersion"):
        client.environments.create_or_update(Environment(name=new_name(), image="python:3.11"))
        list(client.environments.list())
        made = client.components.create_or_update(load_component(EXAMPLE / "pipeline" / "pipeline.yml"))
        client.components.get(made.name, made.version)
        list(client.components.list())


def test_computes(client: Any) -> None:
    from azure.ai.ml.entities import AmlCompute

    name = new_name()
    with agreeing("ComputeResource"):
        client.compute.begin_create_or_update(AmlCompute(name=name, size="Standard_DS3_v2", max_instances=2)).result()
        client.compute.get(name)
        list(client.compute.list())


def test_training(client: Any, trained: str) -> None:
    with agreeing("JobBase"):
        job = client.jobs.get(trained)
        assert job.tags["automl_best_child_run_id"].startswith(trained)
        list(client.jobs.list())
        children = list(client.jobs.list(parent_job_name=trained))
    assert children


def test_what_a_training_made(client: Any, trained: str, tmp_path: Path) -> None:
    with agreeing("JobBase"):
        client.jobs.stream(trained)
        client.jobs.download(trained, download_path=tmp_path)


def test_models(client: Any, trained: str, tmp_path: Path) -> None:
    from azure.ai.ml.entities import Model

    name = new_name()
    with agreeing("ModelVersion"):
        given = Model(name=name, type="mlflow_model", path=f"azureml://jobs/{trained}/outputs/best_model")
        client.models.create_or_update(given)
        client.models.get(name, label="latest")
        list(client.models.list())
        client.models.download(name, "1", download_path=tmp_path)
    assert list(tmp_path.rglob("MLmodel"))


def test_online_endpoint(client: Any, trained: str) -> None:
    from azure.ai.ml.entities import ManagedOnlineDeployment, ManagedOnlineEndpoint, Model

    model = client.models.create_or_update(
        Model(name=new_name(), type="mlflow_model", path=f"azureml://jobs/{trained}/outputs/best_model")
    )
    name = f"e-{new_name()}"
    with agreeing("OnlineEndpoint", "OnlineDeployment", "EndpointAuthKeys"):
        endpoint = ManagedOnlineEndpoint(name=name, auth_mode="key", tags={"a": "b"})
        client.online_endpoints.begin_create_or_update(endpoint).result()
        deployment = ManagedOnlineDeployment(
            name="blue", endpoint_name=name, model=model.id, instance_type="Standard_DS3_v2", instance_count=1
        )
        client.online_deployments.begin_create_or_update(deployment).result()
        endpoint.traffic = {"blue": 100}
        client.online_endpoints.begin_create_or_update(endpoint).result()
        answered = json.loads(client.online_endpoints.invoke(endpoint_name=name, request_file=str(EXAMPLE / "request.json")))
        assert len(answered) == 2
        client.online_endpoints.get_keys(name)
        client.online_endpoints.begin_regenerate_keys(name, key_type="primary").result()
        assert client.online_deployments.get_logs(name="blue", endpoint_name=name, lines=5)
        list(client.online_endpoints.list())
        list(client.online_deployments.list(name))
        client.online_endpoints.begin_delete(name).result()


def test_batch_endpoint_and_pipeline(client: Any, table: str, tmp_path: Path) -> None:
    from azure.ai.ml import Input, load_component
    from azure.ai.ml.entities import BatchEndpoint, PipelineComponentBatchDeployment

    name = f"b-{new_name()}"
    with agreeing("BatchEndpoint", "BatchDeployment", "JobBase"):
        endpoint = BatchEndpoint(name=name)
        client.batch_endpoints.begin_create_or_update(endpoint).result()
        component = client.components.create_or_update(load_component(EXAMPLE / "pipeline" / "pipeline.yml"))
        deployment = PipelineComponentBatchDeployment(name="default", endpoint_name=name, component=component.id, settings={})
        client.batch_deployments.begin_create_or_update(deployment).result()
        endpoint.defaults = {"deployment_name": "default"}
        client.batch_endpoints.begin_create_or_update(endpoint).result()
        run = client.batch_endpoints.invoke(endpoint_name=name, inputs={"table": Input(type="mltable", path=table)})
        client.jobs.stream(run.name)
        assert client.jobs.get(run.name).status == "Completed"
        steps = list(client.jobs.list(parent_job_name=run.name))
        list(client.batch_endpoints.list())
        list(client.batch_deployments.list(name))
        client.batch_endpoints.begin_delete(name).result()
    assert steps


def test_schedule(client: Any, table: str) -> None:
    from azure.ai.ml import Input, load_component
    from azure.ai.ml.dsl import pipeline
    from azure.ai.ml.entities import CronTrigger, JobSchedule, RecurrenceTrigger

    count = load_component(EXAMPLE / "pipeline" / "count.yml")

    @pipeline(default_compute="serverless")
    def weekly(table):
        count(table=table)

    name = new_name()
    with agreeing("Schedule"):
        job = weekly(table=Input(type="mltable", path=table))
        made = JobSchedule(name=name, trigger=CronTrigger(expression="0 6 * * 1"), create_job=job)
        client.schedules.begin_create_or_update(made).result()
        made.trigger = RecurrenceTrigger(frequency="day", interval=1)
        client.schedules.begin_create_or_update(made).result()
        assert name in [each.name for each in client.schedules.list()]
        assert client.schedules.trigger(name).job_name
        client.schedules.begin_disable(name).result()
        client.schedules.begin_delete(name).result()
