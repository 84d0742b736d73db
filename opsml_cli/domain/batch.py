"""Batch endpoints: named entries to runs over whole files, with deployments of a model, a scoring script or a pipeline."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

from opsml_cli.domain.errors import UsageError

if TYPE_CHECKING:
    from opsml_cli.domain.job import JobState
    from opsml_cli.domain.names import AssetRef
    from opsml_cli.domain.pipeline import Step
    from opsml_cli.domain.pointer import ModelPointer

PREDICTIONS = "predictions.csv"
SCORE = "score"  # the name of the output that holds the predictions, on Azure and here


class BatchState(StrEnum):
    """Azure's spellings."""

    CREATING = "Creating"
    UPDATING = "Updating"
    SUCCEEDED = "Succeeded"
    FAILED = "Failed"
    DELETING = "Deleting"

    @property
    def finished(self) -> bool:
        return self in (BatchState.SUCCEEDED, BatchState.FAILED)


class OutputAction(StrEnum):
    """What becomes of results: written to the output file, or only counted (a script writes files itself)."""

    APPEND_ROW = "append_row"
    SUMMARY_ONLY = "summary_only"


@dataclass(frozen=True, slots=True)
class RetrySettings:
    """Of each mini-batch. `timeout` in seconds."""

    max_retries: int = 3
    timeout: float = 30.0


@dataclass(frozen=True, slots=True)
class BatchSettings:
    """How a deployment scores, in Azure's words and with its defaults. `mini_batch_size`: files that a scoring script is
    handed at once; `error_threshold`: files that may fail (-1: any number)."""

    mini_batch_size: int = 10
    max_concurrency_per_instance: int = 1
    instance_count: int = 1
    error_threshold: int = -1
    retry_settings: RetrySettings = RetrySettings()
    output_action: OutputAction = OutputAction.APPEND_ROW
    output_file_name: str = PREDICTIONS
    logging_level: str = "info"
    environment_variables: Mapping[str, str] = field(default_factory=dict)

    def check(self) -> None:
        """UsageError for a setting that no deployment may have."""
        least = {"mini_batch_size": 1, "max_concurrency_per_instance": 1, "instance_count": 1, "error_threshold": -1}
        for name, lowest in least.items():
            if getattr(self, name) < lowest:
                raise UsageError(f"{name} is {getattr(self, name)}", cause=f"expected at least {lowest}")
        if self.retry_settings.max_retries < 0 or self.retry_settings.timeout <= 0:
            raise UsageError("retry_settings need max_retries of at least 0 and a timeout above 0")
        name = self.output_file_name
        if not name or name in (".", "..") or set(name) & set('/\\\0<>:"|?*'):
            raise UsageError(f"output_file_name is {name!r}", cause="expected the name of a file, without a folder")
        if self.logging_level not in ("warning", "info", "debug"):
            raise UsageError(f"logging_level is {self.logging_level!r}", cause="expected warning, info or debug")


@dataclass(frozen=True, slots=True)
class ScriptCode:
    """A folder with a scoring script: `init()` and `run(mini_batch)`. `scoring_script` is a path inside `code`."""

    code: str
    scoring_script: str


@dataclass(frozen=True, slots=True)
class DeployBatch:
    """Deploy a model, a scoring script (maybe with a model), or the pipeline component at the path `component`. `default`:
    make it the deployment of calls that name none (None: when the endpoint has none). `environment` is the path of a YAML
    file, a name with version, or an inline document; a local workspace runs scripts in its own Python."""

    endpoint: str
    deployment: str
    model: AssetRef | None = None
    code: ScriptCode | None = None
    component: str | None = None
    environment: object = None
    compute: str | None = None
    settings: BatchSettings = BatchSettings()
    default: bool | None = None
    description: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    trust: bool = False
    dry_run: bool = False


@dataclass(frozen=True, slots=True)
class BatchDeployment:
    """One deployment. `type` is model or pipeline; `component` and `settings` are of the one or the other; `detail` says why
    when `state` is Failed."""

    name: str
    endpoint: str
    type: str
    state: BatchState
    created_at: str
    model: ModelPointer | None = None
    scoring_script: str | None = None
    component: str | None = None
    compute: str | None = None
    settings: BatchSettings | None = None
    description: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    detail: str | None = None


@dataclass(frozen=True, slots=True)
class BatchEndpoint:
    """An endpoint as it is now. `default` is the deployment of a call that names none. `scoring_uri` is None in a local
    workspace whose emulator does not run."""

    name: str
    state: BatchState
    default: str | None
    deployments: tuple[BatchDeployment, ...]
    created_at: str
    scoring_uri: str | None = None
    description: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    auth_mode: str = "AADToken"


@dataclass(frozen=True, slots=True)
class PutBatchEndpoint:
    """Make the endpoint, or change it. None leaves a value as it is."""

    name: str
    default: str | None = None
    description: str | None = None
    tags: Mapping[str, str] | None = None
    dry_run: bool = False


@dataclass(frozen=True, slots=True)
class BatchDeployed:
    """What `batch deploy` ends with."""

    endpoint: BatchEndpoint
    deployment: BatchDeployment
    unchanged: bool


@dataclass(frozen=True, slots=True)
class InvokeBatch:
    """Call an endpoint. `data` is the one data input of a model deployment; `inputs` by name are those of a pipeline:
    literals, or registered data as `azureml:NAME:VERSION`. `deployment` None: the default one."""

    endpoint: str
    deployment: str | None = None
    data: AssetRef | None = None
    inputs: Mapping[str, str] = field(default_factory=dict)
    experiment: str | None = None
    dry_run: bool = False


@dataclass(frozen=True, slots=True)
class BatchRun:
    """A run of a batch endpoint, which is a job. `results`, `failed_files` and `mini_batches` are counted so far; None where
    the workspace does not tell. `outputs` are URIs or paths by name."""

    run: str
    endpoint: str
    deployment: str
    status: JobState
    experiment: str
    workspace: str
    created_at: str
    inputs: Mapping[str, object] = field(default_factory=dict)
    outputs: Mapping[str, str] = field(default_factory=dict)
    results: int | None = None
    failed_files: int | None = None
    mini_batches: int | None = None
    steps: tuple[Step, ...] = ()
    started_at: str | None = None
    ended_at: str | None = None
    duration_seconds: float | None = None
    error: str | None = None
