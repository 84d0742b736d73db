"""Azure's YAML of endpoints and deployments: every key, what is refused, `--set`; the SDK gives the true values."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from opsml_cli.cli import deployment_files
from opsml_cli.domain import overrides
from opsml_cli.domain.deployment import EndpointSpec
from opsml_cli.domain.deployment_wire import duration, settings_on_wire
from opsml_cli.domain.deployment_yaml import DeploymentFile, read_file
from opsml_cli.domain.errors import InvalidInputError, OpsmlError, UsageError
from opsml_cli.domain.fields import FieldError

DEPLOYMENT: dict[str, Any] = {
    "$schema": "https://azuremlschemas.azureedge.net/latest/managedOnlineDeployment.schema.json",
    "name": "blue",
    "endpoint_name": "bank",
    "model": "azureml:bank:3",
    "code_configuration": {"code": "./src", "scoring_script": "./app/score.py"},
    "environment": {"image": "mcr.microsoft.com/base:1", "conda_file": {"dependencies": ["python=3.11"]}},
    "environment_variables": {"A": "text", "N": 1, "EMPTY": ""},
    "instance_type": "Standard_DS3_v2",
    "instance_count": 2,
    "app_insights_enabled": True,
    "request_settings": {
        "request_timeout_ms": 90000,
        "max_concurrent_requests_per_instance": 4,
        "max_queue_wait_ms": 500,
    },
    "liveness_probe": {"initial_delay": 10, "period": 90, "timeout": 2, "success_threshold": 1, "failure_threshold": 30},
    "readiness_probe": {"initial_delay": 3700},
    "scale_settings": {"type": "default"},
    "egress_public_network_access": "disabled",
    "model_mount_path": "/var/models",
    "description": "about",
    "tags": {"team": "a"},
    "properties": {"mine": "1"},
    "data_collector": {
        "collections": {"model_inputs": {"enabled": "True"}},
        "sampling_rate": 0.5,
        "rolling_rate": "hour",
        "request_logging": {"capture_headers": ["x-a"]},
    },
}
ENDPOINT: dict[str, Any] = {
    "$schema": "https://azuremlschemas.azureedge.net/latest/managedOnlineEndpoint.schema.json",
    "name": "bank",
    "auth_mode": "aml_token",
    "description": "about",
    "tags": {"team": "a"},
    "traffic": {"blue": 90, "green": 10},
    "mirror_traffic": {"red": 20},
    "public_network_access": "disabled",
}


def read(value: object) -> DeploymentFile:
    found = read_file(value, Path("/project"))
    assert isinstance(found, DeploymentFile)
    return found


@given(st.permutations(list(DEPLOYMENT)))
def test_the_order_of_keys_means_nothing(order: list[str]) -> None:
    assert read({key: DEPLOYMENT[key] for key in order}) == read(DEPLOYMENT)


def test_a_deployment_is_read_whole() -> None:
    found = read(DEPLOYMENT)
    assert (found.name, found.endpoint, str(found.model.ref if found.model else "")) == ("blue", "bank", "bank:3")
    assert found.code is not None and (found.code.folder, found.code.entry) == ("/project/src", "app/score.py")
    assert found.environment is not None and json.loads(found.environment.conda or "") == {"dependencies": ["python=3.11"]}
    assert found.variables == {"A": "text", "N": "1", "EMPTY": ""}
    assert (found.instance_type, found.instance_count, found.insights) == ("Standard_DS3_v2", 2, True)
    assert set(found.settings.without_local_effect) == {
        "request_settings.max_queue_wait_ms",
        "description",
        "tags",
        "properties",
        "liveness_probe",
        "readiness_probe",
        "model_mount_path",
        "egress_public_network_access",
        "data_collector",
    }


def test_an_endpoint_is_read_whole() -> None:
    expected = EndpointSpec(
        "bank",
        auth_mode="AMLToken",
        description="about",
        tags={"team": "a"},
        traffic={"blue": 90, "green": 10},
        mirror_traffic={"red": 20},
        public_network_access="Disabled",
    )
    assert read_file(ENDPOINT, Path()) == expected
    assert read_file({key: value for key, value in ENDPOINT.items() if key != "$schema"}, Path()) == expected


def test_the_wire_is_what_the_sdk_sends() -> None:
    """The SDK's own reader and mapping on the same file."""
    from azure.ai.ml.entities import OnlineDeployment

    loaded = OnlineDeployment._load(json.loads(json.dumps({**DEPLOYMENT, "environment": "azureml:env:1"})))
    loaded.code_configuration = None
    sent = json.loads(json.dumps(loaded._to_rest_object(location="eastus").as_dict()))
    properties = {name: value for name, value in sent["properties"].items() if value is not None}
    ours = settings_on_wire(read(DEPLOYMENT).settings)
    # Words of an enumeration are sent as they are written in the file, and read without case.
    assert _plain({name: properties.get(name) for name in ours}) == _plain(ours)
    rest = set(properties) - set(ours)
    known = {"environmentId", "environmentVariables", "model", "appInsightsEnabled", "instanceType", "scaleSettings"}
    assert rest <= {*known, "endpointComputeType"}, rest


def _plain(value: object) -> object:
    if isinstance(value, dict):
        return {name: _plain(each) for name, each in value.items() if each is not None}
    return value.casefold() if isinstance(value, str) else value


@given(st.integers(1, 10**9))
def test_durations_are_written_as_the_sdk_does(milliseconds: int) -> None:
    from datetime import timedelta

    import isodate

    assert duration(milliseconds) == isodate.duration_isoformat(timedelta(milliseconds=milliseconds))


@pytest.mark.parametrize(
    ("path", "value", "where", "word"),
    [
        ("instance_count", 0, "instance_count", "at least 1"),
        ("instance_count", "two", "instance_count", "at least 1"),
        ("name", "b", "name", "3 to 32"),
        ("endpoint_name", "-x-", "endpoint_name", "3 to 32"),
        ("instance_typ", "x", "instance_typ", "did you mean 'instance_type'"),
        ("request_settings.request_timeout", 5, "request_settings.request_timeout", "did you mean"),
        ("type", "kubernetes", "type", "Kubernetes"),
        ("resources", {"requests": {"cpu": "1"}}, "resources", "Kubernetes"),
        ("scale_settings.type", "target_utilization", "scale_settings.type", "autoscale"),
        ("code_configuration.scoring_script", "../score.py", "code_configuration.scoring_script", "inside the code folder"),
        ("code_configuration.scoring_script", None, "code_configuration", "expected the script"),
        ("environment.image", None, "environment", "installed into an image"),
        ("environment.dependencies", ["a"], "environment", "conda_file"),
        ("environment.build", {"path": "./docker"}, "environment.build", "keep one"),
        ("model", "azureml:b@d:1", "model", "expected"),
        ("model", {"name": "x"}, "model", "azureml:NAME:VERSION"),
        ("model", {"path": "m", "type": "onnx"}, "model.type", "custom_model"),
        ("data_collector.sampling_rate", 2, "data_collector.sampling_rate", "between 0 and 1"),
        ("liveness_probe", [1], "liveness_probe", "mapping|key: value"),
        ("environment_variables.A=B", "x", "environment_variables.A=B", "variable's name"),
    ],
)
def test_what_is_wrong_is_named(path: str, value: object, where: str, word: str) -> None:
    changed = _with(DEPLOYMENT, path, value)
    with pytest.raises(FieldError) as caught:
        read(changed)
    assert ".".join(map(str, caught.value.where)) == where
    assert any(each in f"{caught.value.message} {caught.value.cause}" for each in word.split("|"))


@pytest.mark.parametrize(
    ("path", "value", "word"),
    [
        ("traffic", {"blue": 90}, "90 percent"),
        ("traffic", {"blue": 101}, "percentage"),
        ("mirror_traffic", {"red": 60}, "0 to 50"),
        ("mirror_traffic", {"red": 10, "black": 10}, "one at most"),
        ("auth_mode", "none", "key or aml_token or aad_token"),
        ("compute", "azureml:k8s", "Kubernetes"),
        ("name", None, "missing"),
        ("trafic", {"blue": 100}, "did you mean 'traffic'"),
        ("identity", {"type": "user_assigned"}, "user_assigned_identities"),
        ("$schema", "https://x/kubernetesOnlineEndpoint.schema.json", "Kubernetes"),
    ],
)
def test_what_is_wrong_of_an_endpoint_is_named(path: str, value: object, word: str) -> None:
    with pytest.raises(FieldError) as caught:
        read_file(_with(ENDPOINT, path, value), Path())
    assert word in f"{caught.value.message} {caught.value.cause}"


def _with(document: dict[str, Any], path: str, value: object) -> object:
    return overrides.apply(document, [(path, value)]) if "=" not in path else _exactly(document, path, value)


def _exactly(document: dict[str, Any], path: str, value: object) -> object:
    section, _, key = path.partition(".")
    return {**document, section: {**document[section], key: value}}


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=20), inner, max_size=3),
    max_leaves=10,
)


@given(st.sampled_from(sorted({*DEPLOYMENT, *ENDPOINT, "identity", "resources"})), JSON, st.booleans())
def test_any_value_is_read_or_refused_by_name(key: str, value: object, of_endpoint: bool) -> None:
    try:
        read_file({**(ENDPOINT if of_endpoint else DEPLOYMENT), key: value}, Path("/project"))
    except FieldError as problem:
        assert problem.message


@given(JSON)
def test_any_document_is_read_or_refused_by_name(value: object) -> None:
    try:
        read_file(value, Path("/project"))
    except FieldError as problem:
        assert problem.message


def test_set_changes_what_the_file_says(tmp_path: Path) -> None:
    file = tmp_path / "deployment.yml"
    file.write_text(yaml.safe_dump(DEPLOYMENT, sort_keys=False))
    sets = ["instance_count=5", "environment_variables.B=true", "tags={a: b}", "model=azureml:bank@latest", "description=null",
            "request_settings.request_timeout_ms=1000", "data_collector.sampling_rate=0.25"]  # fmt: skip
    endpoint, found = deployment_files.read([str(file)], sets)
    assert endpoint is None and found is not None and found.model is not None
    assert (found.instance_count, found.variables["B"], found.settings.tags) == (5, "true", {"a": "b"})
    assert (str(found.model.ref), found.settings.description) == ("bank", None)
    assert found.settings.requests is not None and found.settings.requests.timeout_ms == 1000
    before = deployment_files.read([str(file)], [])[1]
    assert before is not None and before.settings.requests is not None and before.settings.collector is not None
    unset = replace(
        found.settings,
        description="about",
        tags={"team": "a"},
        requests=before.settings.requests,
        collector=before.settings.collector,
    )
    assert unset == before.settings


@pytest.mark.parametrize(
    ("sets", "words"),
    [
        (["instance_count=0"], "--set instance_count"),
        (["instance_count"], "key.path=value"),
        (["=1"], "key.path=value"),
        (["a..b=1"], "key.path=value"),
        (["instance_type.x=1"], "--set instance_type.x"),
        (["model_mount_pat=1"], "--set model_mount_pat"),
    ],
)
def test_a_wrong_set_is_named(tmp_path: Path, sets: list[str], words: str) -> None:
    file = tmp_path / "deployment.yml"
    file.write_text(yaml.safe_dump(DEPLOYMENT, sort_keys=False))
    with pytest.raises(UsageError) as caught:
        deployment_files.read([str(file)], sets)
    assert words in caught.value.message


def test_a_wrong_file_is_named_with_its_line(tmp_path: Path) -> None:
    file = tmp_path / "deployment.yml"
    file.write_text("name: blue\nendpoint_name: bank\nprobes:\n  a: 1\n")
    with pytest.raises(InvalidInputError, match=r"deployment\.yml, line 3: unknown key 'probes'"):
        deployment_files.read([str(file)], [])
    other = tmp_path / "other.yml"
    other.write_text("name: green\nendpoint_name: bank\n")
    file.write_text("name: blue\nendpoint_name: bank\n")
    with pytest.raises(UsageError, match="one endpoint's file and one deployment's"):
        deployment_files.read([str(file), str(other)], [])
    other.write_text("name: shop\nauth_mode: key\n")
    with pytest.raises(OpsmlError, match=r"'bank'.*'shop'"):
        deployment_files.read([str(file), str(other)], [])
