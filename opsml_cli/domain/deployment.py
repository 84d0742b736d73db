"""What a deployment may be asked beside its model: code, environment, variables, limits and probes, in Azure ML's words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from opsml_cli.domain.names import AssetRef


class ModelFormat(StrEnum):
    """Azure's model types. A custom model is any file or folder, which a scoring script reads."""

    MLFLOW = "mlflow_model"
    CUSTOM = "custom_model"
    TRITON = "triton_model"


@dataclass(frozen=True, slots=True)
class ModelSource:
    """The model to deploy: a registered one (`ref`), or a file or folder at `path` that is registered first, as `name` and
    `version` where they are given. `format` None: what the content is."""

    ref: AssetRef | None = None
    path: str | None = None
    name: str | None = None
    version: str | None = None
    format: ModelFormat | None = None
    description: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    properties: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class CodeSource:
    """A scoring script: `folder` is a folder of this machine, or the id of a code version that Azure holds; `entry` is the
    script's path in it, with `/`."""

    folder: str
    entry: str

    @property
    def registered(self) -> bool:
        """Whether `folder` is an id and not a folder."""
        return self.folder.startswith(("azureml:", "/subscriptions/"))


class EnvironmentKind(StrEnum):
    """CURRENT: the Python that opsml runs in. ISOLATED: one made from the model's own requirements. FILE: one made from a
    conda file or a requirements file. NAMED: registered or curated. INLINE: an image or build context with its packages."""

    CURRENT = "current"
    ISOLATED = "isolated"
    FILE = "file"
    NAMED = "named"
    INLINE = "inline"


@dataclass(frozen=True, slots=True)
class Routes:
    """Where a container of one's own answers, each a port and a path."""

    liveness: tuple[int, str]
    readiness: tuple[int, str]
    scoring: tuple[int, str]


@dataclass(frozen=True, slots=True)
class EnvironmentSource:
    """Where a deployment's packages come from. `reference` names a registered environment (NAMED), `file` is a conda file or a
    requirements file; `conda` is a conda file's content as text, where it is written inline. `name` and `version` are what an
    INLINE one is registered as; without a name it is anonymous. `build` is a folder with a Dockerfile, or a URL."""

    kind: EnvironmentKind
    reference: str | None = None
    file: str | None = None
    conda: str | None = None
    image: str | None = None
    build: str | None = None
    dockerfile: str | None = None
    routes: Routes | None = None
    os_type: str | None = None
    name: str | None = None
    version: str | None = None
    description: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)

    @property
    def title(self) -> str:
        """How messages call it."""
        if self.kind in (EnvironmentKind.CURRENT, EnvironmentKind.ISOLATED):
            return self.kind.value
        return self.reference or self.file or self.name or self.image or self.build or "inline"


@dataclass(frozen=True, slots=True)
class RequestSettings:
    """Limits of requests; None: the workspace's own."""

    timeout_ms: int | None = None
    concurrency: int | None = None  # requests that one instance handles at once
    queue_wait_ms: int | None = None


@dataclass(frozen=True, slots=True)
class ProbeSettings:
    """How a container is probed: seconds and counts; None: Azure's own."""

    initial_delay: int | None = None
    period: int | None = None
    timeout: int | None = None
    success_threshold: int | None = None
    failure_threshold: int | None = None


@dataclass(frozen=True, slots=True)
class Collection:
    """One of the data collector's collections. `data` is the registered data that it writes to."""

    enabled: bool
    data: str | None = None
    client_id: str | None = None


@dataclass(frozen=True, slots=True)
class DataCollector:
    """What Azure writes down of requests and replies."""

    collections: Mapping[str, Collection]
    rolling_rate: str | None = None
    sampling_rate: float | None = None
    headers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class DeploymentSettings:
    """The rest of a deployment. None: what the workspace does by itself."""

    description: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    properties: Mapping[str, str] = field(default_factory=dict)
    requests: RequestSettings | None = None
    liveness: ProbeSettings | None = None
    readiness: ProbeSettings | None = None
    model_mount_path: str | None = None
    egress: str | None = None  # Enabled or Disabled
    private_network: bool | None = None
    default_scale: bool = False
    collector: DataCollector | None = None

    @property
    def without_local_effect(self) -> tuple[str, ...]:
        """The keys that are given and mean nothing on one machine."""
        queue = None if self.requests is None else self.requests.queue_wait_ms
        given = {
            "request_settings.max_queue_wait_ms": queue,
            "liveness_probe": self.liveness,
            "readiness_probe": self.readiness,
            "model_mount_path": self.model_mount_path,
            "egress_public_network_access": self.egress,
            "private_network_connection": self.private_network,
            "data_collector": self.collector,
            "description": self.description,
            "tags": self.tags or None,
            "properties": self.properties or None,
        }
        return tuple(key for key, value in given.items() if value is not None)


@dataclass(frozen=True, slots=True)
class EndpointSpec:
    """An endpoint without its deployments. `traffic` and `mirror_traffic` are percent by deployment; None: as they are.
    `identities` are the ids of user-assigned identities; none: the system's."""

    name: str
    auth_mode: str = "Key"
    description: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    properties: Mapping[str, str] = field(default_factory=dict)
    traffic: Mapping[str, int] | None = None
    mirror_traffic: Mapping[str, int] | None = None
    public_network_access: str | None = None
    identities: tuple[str, ...] = ()
    dry_run: bool = False

    @property
    def without_local_effect(self) -> tuple[str, ...]:
        given = {
            "public_network_access": self.public_network_access,
            "identity": self.identities or None,
            "properties": self.properties or None,
        }
        return tuple(key for key, value in given.items() if value is not None)
