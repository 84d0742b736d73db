"""What every group of the Azure adapter stands on: which workspace, how it is signed in, and the ways to reach it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from azure.ai.ml import MLClient


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer of Azure. `headers` names are lower case; `value` is the JSON body (None: empty)."""

    status: int
    headers: Mapping[str, str]
    value: Any
    text: str = ""


class Rest(Protocol):
    """HTTP to Azure, signed in, with retries (429, 5xx and dropped connections; `Retry-After` and jitter; only what is safe to
    repeat), every failure translated to the error tree. A path that begins with `/` lies below the resource manager; `{ws}` in
    it is this workspace's ARM id."""

    def get(self, path: str, version: str, **query: str) -> Any:
        """The JSON body. NotFoundError for 404."""
        ...

    def find(self, path: str, version: str, **query: str) -> Any | None:
        """As `get`, but None for 404."""
        ...

    def pages(self, path: str, version: str, **query: str) -> Iterator[dict[str, Any]]:
        """The items of every page, following `nextLink`."""
        ...

    def send(
        self,
        method: str,
        path: str,
        version: str,
        body: Any = None,
        *,
        audience: str | None = None,
        headers: Mapping[str, str] | None = None,
        repeatable: bool | None = None,
    ) -> Answer:
        """Any request. `audience` None: the resource manager's; `ml` the data plane's. `repeatable` None: by the method."""
        ...

    def operation(self, answer: Answer) -> OperationState:
        """How the long-running operation stands that `answer` began: one poll, no waiting."""
        ...


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


class Context(Protocol):
    """Made once for a workspace; everything in it on first use."""

    place: Place

    @property
    def rest(self) -> Rest: ...

    @property
    def region(self) -> str:
        """The workspace's Azure region."""
        ...

    @property
    def data_plane(self) -> str:
        """The base URL of run history and its kin, from the workspace's discovery document."""
        ...

    def sdk(self) -> MLClient:
        """Azure's SDK for this workspace, its noise caught in the debug log. Costs seconds: for YAML, upload and submit."""
        ...
