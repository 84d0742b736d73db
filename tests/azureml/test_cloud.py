"""Which cloud the settings and the environment choose, and that tokens go nowhere else."""

from __future__ import annotations

import pytest
from azure_server import AzureServer, Say

from opsml_cli.azureml.cloud import CLOUDS, find_cloud
from opsml_cli.domain.errors import ConfigError, ContractError
from opsml_cli.settings import AzureSettings


@pytest.mark.parametrize(
    ("name", "manager", "authority", "storage"),
    [
        ("AzureCloud", "https://management.azure.com", "https://login.microsoftonline.com", "core.windows.net"),
        ("AzureChinaCloud", "https://management.chinacloudapi.cn", "https://login.chinacloudapi.cn", "core.chinacloudapi.cn"),
        (
            "azureusgovernment",
            "https://management.usgovcloudapi.net",
            "https://login.microsoftonline.us",
            "core.usgovcloudapi.net",
        ),
    ],
)
def test_clouds_by_name(name: str, manager: str, authority: str, storage: str) -> None:
    cloud = find_cloud(AzureSettings(cloud=name), {})
    assert (cloud.resource_manager, cloud.authority, cloud.storage_suffix) == (manager, authority, storage)
    assert cloud.scope("arm") == f"{manager}/.default"
    assert not cloud.private


def test_the_sdk_knows_the_same_clouds() -> None:
    from azure.ai.ml._azure_environments import _environments

    for name, cloud in CLOUDS.items():
        assert cloud.sdk_metadata() == _environments[name]


def test_the_public_cloud_unless_told_otherwise() -> None:
    assert find_cloud(AzureSettings(), {}).name == "AzureCloud"


def test_an_unknown_cloud_is_refused() -> None:
    with pytest.raises(ConfigError) as caught:
        find_cloud(AzureSettings(cloud="AzureChina"), {})
    assert "AzureChinaCloud" in str(caught.value.cause)


def test_a_cloud_by_its_metadata(server: AzureServer) -> None:
    environment = {"ARM_CLOUD_METADATA_URL": f"{server.url}/metadata/endpoints?api-version=2019-05-01"}
    settings = AzureSettings(ca_bundle=str(server.bundle))
    cloud = find_cloud(settings, environment)
    assert (cloud.name, cloud.resource_manager, cloud.authority) == ("TestCloud", server.url, server.url)
    assert (cloud.storage_suffix, cloud.graph, cloud.ml) == ("core.test", f"{server.url}/graph", "https://ml.azure.localhost")
    assert cloud.private
    assert find_cloud(AzureSettings(cloud="testcloud", ca_bundle=str(server.bundle)), environment) == cloud
    # A name that is known goes before the environment.
    assert find_cloud(AzureSettings(cloud="AzureChinaCloud"), environment).name == "AzureChinaCloud"


@pytest.mark.parametrize("document", [Say(500), Say(200, text="<html>"), Say(404)])
def test_metadata_that_cannot_be_had(server: AzureServer, document: Say) -> None:
    server.answer = lambda _: document
    environment = {"ARM_CLOUD_METADATA_URL": f"{server.url}/elsewhere"}
    with pytest.raises(ConfigError, match="metadata cannot be read") as caught:
        find_cloud(AzureSettings(ca_bundle=str(server.bundle)), environment)
    assert "ARM_CLOUD_METADATA_URL" in str(caught.value.cause)


@pytest.mark.parametrize("document", [[], [{"name": "x"}], {"name": "x"}, ["x"]])
def test_metadata_that_lacks_something(server: AzureServer, document: object) -> None:
    server.answer = lambda _: Say(value=document)
    with pytest.raises(ContractError):
        find_cloud(AzureSettings(ca_bundle=str(server.bundle)), {"ARM_CLOUD_METADATA_URL": f"{server.url}/elsewhere"})


def test_metadata_of_a_server_that_nobody_vouches_for(server: AzureServer, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(ConfigError, match="metadata cannot be read") as caught:
        find_cloud(AzureSettings(), {"ARM_CLOUD_METADATA_URL": f"{server.url}/metadata/endpoints"})
    assert "ca_bundle" in str(caught.value.fix)
    assert server.asked == []


def test_the_users_own_addresses_go_before() -> None:
    settings = AzureSettings(
        arm_url="https://arm.example/", authority="https://login.example", inference_url="https://score.example/base/"
    )
    cloud = find_cloud(settings, {"ARM_CLOUD_METADATA_URL": "https://localhost:1/none"})
    assert (cloud.resource_manager, cloud.authority, cloud.inference) == (
        "https://arm.example", "https://login.example", "https://score.example/base",
    )  # fmt: skip
    assert cloud.private


def test_the_authority_of_the_environment() -> None:
    assert find_cloud(AzureSettings(), {"AZURE_AUTHORITY_HOST": "login.example"}).authority == "https://login.example"


@pytest.mark.parametrize("url", ["http://arm.example", "https://", "https://a@arm.example", "https://arm.example/?x=1", "arm"])
@pytest.mark.parametrize("setting", ["arm_url", "authority", "inference_url"])
def test_tokens_go_only_over_https(setting: str, url: str) -> None:
    if setting == "authority" and "://" not in url:
        url = "http://login.example"
    with pytest.raises(ConfigError, match=f"azure.{setting}"):
        find_cloud(AzureSettings(**{setting: url}), {})
    with pytest.raises(ConfigError, match="ARM_CLOUD_METADATA_URL"):
        find_cloud(AzureSettings(), {"ARM_CLOUD_METADATA_URL": "http://localhost:1/metadata"})


def test_a_bundle_that_cannot_be_read(tmp_path) -> None:
    (tmp_path / "bad.pem").write_text("no certificate")
    for path in (tmp_path / "absent.pem", tmp_path / "bad.pem"):
        with pytest.raises(ConfigError, match=r"azure\.ca_bundle"):
            find_cloud(AzureSettings(ca_bundle=str(path)), {"ARM_CLOUD_METADATA_URL": "https://localhost:1/m"})
