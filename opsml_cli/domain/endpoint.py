"""Online endpoints, their deployments, and scoring."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

from opsml_cli.domain.deployment import DeploymentSettings

if TYPE_CHECKING:
    import ssl

    from opsml_cli.domain.deployment import CodeSource, EnvironmentSource
    from opsml_cli.domain.names import AssetRef
    from opsml_cli.domain.pointer import ModelPointer

Row = Mapping[str, object]


class DeploymentState(StrEnum):
    """Azure's spellings, on every workspace."""

    CREATING = "Creating"
    UPDATING = "Updating"
    SUCCEEDED = "Succeeded"
    FAILED = "Failed"
    DELETING = "Deleting"

    @property
    def finished(self) -> bool:
        return self in (DeploymentState.SUCCEEDED, DeploymentState.FAILED)


@dataclass(frozen=True, slots=True)
class DeploySpec:
    """Deploy `model` behind `endpoint`. `traffic` (percent, 0 to 100) is what this deployment gets once it answered a
    real request; None: all of it on a new endpoint, none beside others. `insights` None: as the endpoint has it.

    With `code` a scoring script answers, which finds `variables` in its environment and may do without a model (None).
    `environment` None: what the workspace takes by itself."""

    model: AssetRef | None
    endpoint: str
    deployment: str
    traffic: int | None = None
    instance_type: str | None = None
    instance_count: int = 1
    insights: bool | None = None
    trust: bool = False
    dry_run: bool = False
    code: CodeSource | None = None
    environment: EnvironmentSource | None = None
    variables: Mapping[str, str] = field(default_factory=dict)
    settings: DeploymentSettings = field(default_factory=DeploymentSettings)


@dataclass(frozen=True, slots=True)
class Serving:
    """How a deployment is served on this machine, measured now. `mode`: `in-process` (opsml trained it), `compiled` (made
    into data, and answered in the endpoint's own processes), or `process` (hosts of its own); `reason` says why a foreign
    model is not compiled. `memory_bytes` is the resident memory of `processes` (pids) together; `start_seconds` went from the
    start of loading to its end; `python` is the version that runs it."""

    mode: str
    reason: str | None = None
    memory_bytes: int | None = None
    start_seconds: float | None = None
    python: str | None = None
    processes: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Deployment:
    """One deployment. `detail` says why when `state` is Failed; `created_at` is ISO 8601 UTC; `script` is the scoring script
    that answers, whose model may have no name. `serving` None: nobody knows, or nothing is running."""

    name: str
    endpoint: str
    state: DeploymentState
    model: ModelPointer
    created_at: str
    instance_count: int = 1
    instance_type: str | None = None
    insights: bool = False
    detail: str | None = None
    script: str | None = None
    serving: Serving | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class OnlineEndpoint:
    """An endpoint as it is now. `running` is None where the workspace has no notion of a stopped endpoint; `traffic`
    is percent by deployment, `previous_traffic` what a rollback goes to (None: never changed), `mirror_traffic` the percent of
    requests that a deployment gets a copy of; `scoring_uri` None until one is known. `auth_mode` as Azure has it: Key, AMLToken
    or AADToken. `unknown` tells, by field, why a value is None that the workspace has no source for."""

    name: str
    state: DeploymentState
    scoring_uri: str | None
    swagger_uri: str | None
    traffic: Mapping[str, int]
    deployments: tuple[Deployment, ...]
    insights: bool
    created_at: str
    running: bool | None = None
    detail: str | None = None
    auth_mode: str = "Key"
    description: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    mirror_traffic: Mapping[str, int] = field(default_factory=dict)
    previous_traffic: Mapping[str, int] | None = None
    unknown: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Baked:
    """How a canary went: its share of the traffic, how long and with how many requests it was watched, whether it now has
    all of the traffic, and each objective with what was found."""

    percent: int
    seconds: float
    requests: int
    failures: int
    promoted: bool
    objectives: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Deployed:
    """What `deploy` ends with. `canary` None: it was none. `notes` say what is not as it was asked for;
    `trial` is a command that tries it out, where one is known."""

    endpoint: OnlineEndpoint
    deployment: Deployment
    unchanged: bool
    canary: Baked | None = None
    notes: tuple[str, ...] = ()
    trial: str | None = None


@dataclass(frozen=True, slots=True)
class Configured:
    """What a change of an endpoint's own settings ends with."""

    endpoint: OnlineEndpoint
    unchanged: bool


@dataclass(frozen=True, slots=True)
class RawRequest:
    """A body for an endpoint, as a client would send it. `deployment` None: by traffic."""

    body: bytes
    media: str = "application/json"
    deployment: str | None = None


@dataclass(frozen=True, slots=True)
class RawReply:
    """`status` is the model's own where a front door stands before it."""

    status: int
    body: bytes
    deployment: str | None


@dataclass(frozen=True, slots=True)
class EndpointAccess:
    """What any client needs: `url` stands before `/score`, `credential` is a key or a token, `trust` is for https (None: the
    machine's own roots)."""

    url: str
    credential: str = field(repr=False)
    trust: ssl.SSLContext | None = None


@dataclass(frozen=True, slots=True)
class EndpointKeys:
    """Both keys in clear. Never rendered unless the user said `--reveal`; `repr` hides them."""

    primary: str = field(repr=False)
    secondary: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class ScoreRequest:
    """Rows to score. `deployment` None: by traffic. `proba`: probabilities too (classification)."""

    rows: Sequence[Row]
    proba: bool = False
    deployment: str | None = None


@dataclass(frozen=True, slots=True)
class ScoreResult:
    """Predictions in the order of the rows. `classes` names the columns of `probabilities`, one inner list a row;
    both empty without `proba` or for regression. `latency_ms` is the request's duration seen by the caller;
    `raw` is the reply's body, as text."""

    predictions: Sequence[object]
    rows: int
    deployment: str | None
    latency_ms: float
    classes: Sequence[object] = ()
    probabilities: Sequence[Sequence[float]] = ()
    raw: str | None = None


@dataclass(frozen=True, slots=True)
class SwaggerFinding:
    """Where the OpenAPI document and a live reply differ."""

    check: str
    detail: str
