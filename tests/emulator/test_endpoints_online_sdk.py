"""Online endpoints through the unmodified SDK, as a user's script works with them."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent.parent))
from emulator_support import Emulated
from serving_support import ROW, register_own, trained_once

from opsml_cli.domain.model import Model


@pytest.fixture(scope="module")
def model(emulator: Emulated, tmp_path_factory: pytest.TempPathFactory) -> Model:
    return register_own(emulator.workspace, trained_once(tmp_path_factory.getbasetemp()))


@pytest.fixture(scope="module")
def ml(emulator: Emulated) -> Any:
    return emulator.ml_client()


@pytest.fixture(scope="module", autouse=True)
def ended(emulator: Emulated) -> Iterator[None]:
    """No server of an endpoint outlives the module."""
    yield
    for each in emulator.workspace.online_endpoints.list():
        emulator.workspace.online_endpoints.delete(each.name)


@pytest.fixture
def request_file(tmp_path: Path) -> str:
    path = tmp_path / "request.json"
    path.write_text(json.dumps({"input_data": {"columns": list(ROW), "index": [0], "data": [list(ROW.values())]}}))
    return str(path)


def test_an_endpoint_from_its_creation_to_its_end(emulator: Emulated, ml: Any, model: Model, request_file: str) -> None:
    from azure.ai.ml.entities import ManagedOnlineDeployment, ManagedOnlineEndpoint
    from azure.core.exceptions import HttpResponseError, ResourceNotFoundError

    endpoint = ManagedOnlineEndpoint(name="by-sdk", auth_mode="key", description="from a script", tags={"team": "blue"})
    made = ml.online_endpoints.begin_create_or_update(endpoint).result()
    assert (made.provisioning_state, made.auth_mode, made.traffic) == ("Succeeded", "key", {})
    assert made.scoring_uri == f"{emulator.url}/_online/by-sdk/score"
    blue = ManagedOnlineDeployment(
        name="blue",
        endpoint_name="by-sdk",
        model=f"azureml:{model.name}:{model.version}",
        instance_type="Standard_DS3_v2",
        instance_count=1,
    )
    deployed = ml.online_deployments.begin_create_or_update(blue).result()
    assert (deployed.provisioning_state, deployed.app_insights_enabled) == ("Succeeded", False)
    assert deployed.scale_settings.type == "default"
    made.traffic = {"blue": 100}
    assert ml.online_endpoints.begin_create_or_update(made).result().traffic == {"blue": 100}
    for deployment in (None, "blue"):
        answer = ml.online_endpoints.invoke("by-sdk", request_file=request_file, deployment_name=deployment)
        assert json.loads(answer) in (["yes"], ["no"])
    assert "model" in ml.online_deployments.get_logs(name="blue", endpoint_name="by-sdk", lines=50)
    stored = ml.online_deployments.get_logs(name="blue", endpoint_name="by-sdk", lines=50, container_type="storage-initializer")
    assert f"model {model.name}:{model.version}" in stored
    # Insights go on by a full update of the deployment.
    deployed.app_insights_enabled = True
    assert ml.online_deployments.begin_create_or_update(deployed).result().app_insights_enabled is True
    assert emulator.workspace.online_endpoints.get("by-sdk").insights
    before = ml.online_endpoints.get_keys("by-sdk")
    ml.online_endpoints.begin_regenerate_keys("by-sdk", key_type="secondary").result()
    after = ml.online_endpoints.get_keys("by-sdk")
    assert (after.primary_key == before.primary_key, after.secondary_key == before.secondary_key) == (True, False)
    assert [each.name for each in ml.online_deployments.list("by-sdk")] == ["blue"]
    assert [each.name for each in ml.online_endpoints.list()] == ["by-sdk"]
    with pytest.raises(HttpResponseError, match="traffic"):
        ml.online_deployments.begin_delete(name="blue", endpoint_name="by-sdk").result()
    made.traffic = {"blue": 0}
    ml.online_endpoints.begin_create_or_update(made).result()
    ml.online_deployments.begin_delete(name="blue", endpoint_name="by-sdk").result()
    ml.online_endpoints.begin_delete("by-sdk").result()
    with pytest.raises(ResourceNotFoundError):
        ml.online_endpoints.get("by-sdk")


def test_a_token_endpoint_is_invoked(emulator: Emulated, ml: Any, model: Model, request_file: str) -> None:
    from azure.ai.ml.entities import ManagedOnlineDeployment, ManagedOnlineEndpoint

    for mode in ("aml_token", "aad_token"):
        name = mode.replace("_", "-")
        made = ml.online_endpoints.begin_create_or_update(ManagedOnlineEndpoint(name=name, auth_mode=mode)).result()
        blue = ManagedOnlineDeployment(name="blue", endpoint_name=name, model=f"azureml:{model.name}:{model.version}")
        ml.online_deployments.begin_create_or_update(blue).result()
        made.traffic = {"blue": 100}
        ml.online_endpoints.begin_create_or_update(made).result()
        assert json.loads(ml.online_endpoints.invoke(name, request_file=request_file)) in (["yes"], ["no"])
        assert ml.online_endpoints.get_keys(name).access_token
        ml.online_endpoints.begin_delete(name).result()


def test_a_failed_deployment_raises_what_azure_says(emulator: Emulated, ml: Any, model: Model) -> None:
    from azure.ai.ml.entities import ManagedOnlineDeployment, ManagedOnlineEndpoint
    from azure.core.exceptions import HttpResponseError

    ml.online_endpoints.begin_create_or_update(ManagedOnlineEndpoint(name="failing", auth_mode="key")).result()
    large = ManagedOnlineDeployment(
        name="large", endpoint_name="failing", model=f"azureml:{model.name}:{model.version}", instance_type="Standard_NC6s_v3"
    )
    with pytest.raises(HttpResponseError, match="Not enough quota available for Standard_NC6s_v3"):
        ml.online_deployments.begin_create_or_update(large)
    ml.online_endpoints.begin_delete("failing").result()
