"""Which Azure it is: where its resource manager, sign-in and other hosts are.

The three public clouds are known by name; any other one is described by its metadata document (`ARM_CLOUD_METADATA_URL`, as
for Azure's own tools), or by the user's own settings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from opsml_cli.domain.errors import ConfigError, ContractError
from opsml_cli.domain.fields import did_you_mean

if TYPE_CHECKING:
    from opsml_cli.settings import AzureSettings

METADATA_URL = "ARM_CLOUD_METADATA_URL"
AUTHORITY_HOST = "AZURE_AUTHORITY_HOST"


@dataclass(frozen=True, slots=True)
class Cloud:
    """One cloud. URLs are without a slash at the end. `federation` is the audience of assertions for OIDC."""

    name: str
    resource_manager: str
    authority: str
    portal: str
    ml: str
    storage_suffix: str
    graph: str
    registry: str
    inference: str | None = None
    federation: str = "api://AzureADTokenExchange"
    private: bool = False  # described by a metadata document or the user: its sign-in host is not asked for by discovery

    def scope(self, audience: str) -> str:
        base = {
            "arm": self.resource_manager,
            "ml": self.ml,
            "storage": "https://storage.azure.com",
            "graph": self.graph,
        }[audience]
        return f"{base}/.default"

    def sdk_metadata(self) -> dict[str, str]:
        """What the SDK wants to know of a cloud."""
        return {
            "azure_portal": f"{self.portal}/",
            "resource_manager": f"{self.resource_manager}/",
            "active_directory": f"{self.authority}/",
            "aml_resource_id": f"{self.ml}/",
            "storage_endpoint": self.storage_suffix,
            "registry_discovery_endpoint": f"{self.registry}/",
        }


PUBLIC = Cloud(
    name="AzureCloud",
    resource_manager="https://management.azure.com",
    authority="https://login.microsoftonline.com",
    portal="https://portal.azure.com",
    ml="https://ml.azure.com",
    storage_suffix="core.windows.net",
    graph="https://graph.microsoft.com",
    registry="https://eastus.api.azureml.ms",
)
CLOUDS = {
    cloud.name: cloud
    for cloud in (
        PUBLIC,
        Cloud(
            name="AzureChinaCloud",
            resource_manager="https://management.chinacloudapi.cn",
            authority="https://login.chinacloudapi.cn",
            portal="https://portal.azure.cn",
            ml="https://ml.azure.cn",
            storage_suffix="core.chinacloudapi.cn",
            graph="https://microsoftgraph.chinacloudapi.cn",
            registry="https://chinaeast2.api.ml.azure.cn",
            federation="api://AzureADTokenExchangeChina",
        ),
        Cloud(
            name="AzureUSGovernment",
            resource_manager="https://management.usgovcloudapi.net",
            authority="https://login.microsoftonline.us",
            portal="https://portal.azure.us",
            ml="https://ml.azure.us",
            storage_suffix="core.usgovcloudapi.net",
            graph="https://graph.microsoft.us",
            registry="https://usgovarizona.api.ml.azure.us",
            federation="api://AzureADTokenExchangeUSGov",
        ),
    )
}


def find_cloud(settings: AzureSettings, environment: Mapping[str, str]) -> Cloud:
    """The cloud that the settings and the environment choose.

    `cloud` of the settings, else the one that `ARM_CLOUD_METADATA_URL` leads to, else Azure's public one; the user's own
    `arm_url`, `authority` and `inference_url` go before what it says. ConfigError for an unknown name, a plain http URL or
    a metadata document that cannot be had."""
    metadata_url = environment.get(METADATA_URL)
    cloud = PUBLIC
    if settings.cloud is not None:
        known = {name.casefold(): one for name, one in CLOUDS.items()}
        found = known.get(settings.cloud.casefold())
        if found is None and metadata_url:
            described = _described(metadata_url, settings)
            found = next((cloud for cloud in described if cloud.name.casefold() == settings.cloud.casefold()), None)
        if found is None:
            raise ConfigError(
                f"no Azure cloud is named {settings.cloud!r}",
                cause=did_you_mean(settings.cloud, sorted(CLOUDS)),
                fix=f"use one of them, or set {METADATA_URL} to the metadata document of your cloud",
            )
        cloud = found
    elif metadata_url and settings.arm_url is None:
        described = _described(metadata_url, settings)
        cloud = next((c for c in described if f"{c.resource_manager}/" in metadata_url), described[0])
    if settings.arm_url is not None:
        cloud = replace(cloud, resource_manager=_https(settings.arm_url, "azure.arm_url"), private=True)
    authority = settings.authority or environment.get(AUTHORITY_HOST)
    if authority:
        origin = "azure.authority" if settings.authority else AUTHORITY_HOST
        host = authority if "://" in authority else f"https://{authority}"
        cloud = replace(cloud, authority=_https(host, origin), private=cloud.private or bool(settings.authority))
    if settings.inference_url is not None:
        cloud = replace(cloud, inference=_https(settings.inference_url, "azure.inference_url"))
    return cloud


def _https(url: str, origin: str) -> str:
    """`url` without its last slash; ConfigError unless it is an https URL with a host."""
    parts = urlsplit(url)
    if parts.scheme != "https" or not parts.hostname or parts.query or parts.fragment or parts.username:
        raise ConfigError(
            f"{origin} is no https URL of a host: {url!r}", fix="tokens are sent there: it must be https://HOST[:PORT]"
        )
    return url.rstrip("/")


def _described(url: str, settings: AzureSettings) -> list[Cloud]:
    """The clouds of a metadata document."""
    from opsml_cli.azureml.tls import client_context, load_httpx

    load_httpx()
    import httpx

    _https(url.partition("?")[0], METADATA_URL)
    try:
        answer = httpx.get(url, verify=client_context(settings.ca_bundle), timeout=30.0)
        answer.raise_for_status()
        document = answer.json()
    except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
        raise ConfigError(
            f"the cloud's metadata cannot be read from {url.partition('?')[0]}: {_told(error)}",
            cause=f"{METADATA_URL} points there",
            fix="check that URL, and that azure.ca_bundle or REQUESTS_CA_BUNDLE names its certificate authority",
        ) from error
    try:
        found = [_cloud(one) for one in (document if isinstance(document, list) else [document])]
    except (KeyError, TypeError, AttributeError) as error:
        raise ContractError(f"the metadata document at {url.partition('?')[0]} lacks {error}") from error
    if not found:
        raise ContractError(f"the metadata document at {url.partition('?')[0]} names no cloud")
    return found


def _cloud(document: Mapping[str, Any]) -> Cloud:
    known = CLOUDS.get(document["name"])
    if known is not None:
        return known
    # As Azure's SDK derives it: the portal's domain behind its first two labels.
    suffix = ".".join(document["portal"].split(".")[2:]).strip("/")
    resource_manager = _https(document["resourceManager"], METADATA_URL)
    return replace(
        PUBLIC,
        name=document["name"],
        resource_manager=resource_manager,
        authority=_https(document["authentication"]["loginEndpoint"], METADATA_URL),
        portal=document["portal"].rstrip("/"),
        ml=f"https://ml.azure.{suffix}",
        storage_suffix=document["suffixes"]["storage"],
        graph=(document.get("microsoftGraphResourceId") or document.get("graph") or PUBLIC.graph).rstrip("/"),
        registry=f"https://{document['name'].lower()}.api.ml.azure.{suffix}",
        private=True,
    )


def _told(error: Exception) -> str:
    return str(error).partition("\n")[0] or type(error).__name__
