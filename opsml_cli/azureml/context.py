"""What every group of the Azure adapter stands on: which workspace, how it is signed in, and the ways to reach it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from opsml_cli.domain.clock import Clock, SystemClock
from opsml_cli.domain.errors import ContractError, NotFoundError

if TYPE_CHECKING:
    from azure.ai.ml import MLClient

    from opsml_cli.azureml.auth import Identity
    from opsml_cli.azureml.cloud import Cloud
    from opsml_cli.azureml.rest import HttpRest
    from opsml_cli.azureml.storage import Storage
    from opsml_cli.settings import AzureSettings

WORKSPACE_VERSION = "2024-10-01"


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer of Azure. `headers` names are lower case; `value` is the JSON body (None: empty)."""

    status: int
    headers: Mapping[str, str]
    value: Any
    text: str = ""


@dataclass(frozen=True, slots=True)
class OperationState:
    """`done` None while it runs, True, or False with the translated reason in `error`."""

    done: bool | None
    error: Exception | None = None


@dataclass(frozen=True, slots=True)
class Place:
    """The workspace's names. `name` is the one in the user's settings."""

    name: str
    subscription_id: str
    resource_group: str
    workspace_name: str

    @property
    def arm_id(self) -> str:
        return (
            f"/subscriptions/{self.subscription_id}/resourceGroups/{self.resource_group}"
            f"/providers/Microsoft.MachineLearningServices/workspaces/{self.workspace_name}"
        )


class Context:
    """Made once for a workspace; everything in it on first use."""

    def __init__(
        self,
        place: Place,
        settings: AzureSettings,
        *,
        environment: Mapping[str, str] | None = None,
        clock: Clock | None = None,
    ) -> None:
        self.place = place
        self.settings = settings
        self.environment = os.environ if environment is None else environment
        self.clock: Clock = clock or SystemClock()

    @cached_property
    def cloud(self) -> Cloud:
        from opsml_cli.azureml.cloud import find_cloud

        return find_cloud(self.settings, self.environment)

    @cached_property
    def identity(self) -> Identity:
        from opsml_cli.azureml.auth import Identity

        return Identity(self.settings, self.cloud, self.environment)

    @cached_property
    def rest(self) -> HttpRest:
        from opsml_cli.azureml.rest import HttpRest

        return HttpRest(
            self.place,
            self.cloud,
            self.identity,
            ca_bundle=self.settings.ca_bundle,
            longest_wait=self.settings.longest_wait,
            clock=self.clock,
        )

    def close(self) -> None:
        """End every connection."""
        for held in ("rest", "identity"):
            if held in self.__dict__:
                self.__dict__[held].close()

    @cached_property
    def record(self) -> Mapping[str, Any]:
        """The workspace's own ARM resource."""
        found: Mapping[str, Any] | None = self.rest.find("{ws}", WORKSPACE_VERSION)
        if found is None:
            place = self.place
            raise NotFoundError(
                f"no workspace {place.workspace_name!r} in resource group {place.resource_group!r}",
                cause=f"looked in subscription {place.subscription_id} of {self.cloud.name}",
                fix="check the settings (opsml config show), or make it: opsml workspace create",
            )
        return found

    @property
    def region(self) -> str:
        """The workspace's Azure region."""
        return str(self.record["location"])

    @property
    def workspace_id(self) -> str:
        """The GUID in container names and asset ids."""
        return str(self.record["properties"]["workspaceId"])

    @cached_property
    def data_plane(self) -> str:
        """The base URL of run history and its kin, from the workspace's discovery document; without a slash at the end."""
        url = self.record["properties"]["discoveryUrl"]
        found = self.rest.send("GET", url, "", audience="none").value
        if not isinstance(found, Mapping) or not str(found.get("api", "")).startswith("https://"):
            raise ContractError("the workspace's discovery document names no https address of its data plane")
        return str(found["api"]).rstrip("/")

    @cached_property
    def storage(self) -> Storage:
        """The workspace's datastores."""
        from opsml_cli.azureml.storage import Storage

        return Storage(self)

    @cached_property
    def _client(self) -> MLClient:
        from opsml_cli.azureml.sdk import make_client

        return make_client(self)

    def renew(self) -> None:
        """Forget the tokens, the SDK's own among them."""
        self.identity.renew()
        self.__dict__.pop("_client", None)

    def sdk(self) -> MLClient:
        """Azure's SDK for this workspace. Costs seconds: for YAML, upload and submit. Its calls belong into
        `sdk.quiet(what)`, which keeps its noise out of the output and translates its errors."""
        return self._client
