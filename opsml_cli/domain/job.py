"""Jobs: AutoML training, and the state names that every kind of job shares."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from opsml_cli.domain.names import AssetRef
from opsml_cli.domain.pointer import ModelPointer


class JobState(StrEnum):
    """Azure's spellings, on every workspace."""

    NOT_STARTED = "NotStarted"
    PREPARING = "Preparing"
    RUNNING = "Running"
    COMPLETED = "Completed"
    FAILED = "Failed"
    CANCEL_REQUESTED = "CancelRequested"
    CANCELED = "Canceled"

    @property
    def finished(self) -> bool:
        return self in (JobState.COMPLETED, JobState.FAILED, JobState.CANCELED)


class JobKind(StrEnum):
    AUTOML = "automl"
    PIPELINE = "pipeline"
    COMMAND = "command"


class Task(StrEnum):
    CLASSIFICATION = "classification"
    REGRESSION = "regression"


@dataclass(frozen=True, slots=True)
class TableSource:
    """Where rows come from: a registered asset, or a file or folder on this machine. Exactly one is set."""

    asset: AssetRef | None = None
    path: str | None = None  # or an address, where the workspace reads such (`azureml://…`)

    def __str__(self) -> str:
        return str(self.asset) if self.asset is not None else str(self.path)


@dataclass(frozen=True, slots=True)
class Limits:
    """Budgets, in seconds and counts. None: no limit of that kind."""

    timeout_seconds: float = 300.0
    max_trials: int | None = None
    trial_timeout_seconds: float | None = None
    max_concurrent_trials: int = 1
    exit_score: float | None = None
    enable_early_termination: bool = True


@dataclass(frozen=True, slots=True)
class AutoMLSpec:
    """One AutoML training job, in Azure AutoML's vocabulary; the same spec on every workspace.

    `task` and `metric` None are told from the target. At most one of `cross_validations`, `validation_data` and
    `validation_size` (a share of the rows, 0 to 1) is set. `features` holds the settings of Azure's YAML that have no
    field of their own here (limits, featurization, training, resources, …), as the YAML has them."""

    data: TableSource
    target_column: str
    task: Task | None = None
    metric: str | None = None
    limits: Limits = field(default_factory=Limits)
    cross_validations: int | None = None
    validation_data: TableSource | None = None
    validation_size: float | None = None
    test_data: TableSource | None = None
    test_size: float | None = None
    drop_columns: tuple[str, ...] = ()
    allowed_algorithms: tuple[str, ...] = ()
    blocked_algorithms: tuple[str, ...] = ()
    weight_column: str | None = None
    group_column: str | None = None  # rows with one value there stay together: all learned from, or all scored
    time_column: str | None = None  # rows are scored by models of earlier ones; the latest are held out
    positive_label: str | None = None
    threshold_for: str | None = None  # f1 | balanced_accuracy | cost:FP,FN
    serve: str = "small"  # small: the smallest form that the ensemble does not clearly beat | ensemble: always the ensemble
    gates: tuple[str, ...] = ()
    features: Mapping[str, object] = field(default_factory=dict)
    experiment: str = "Default"
    name: str | None = None
    compute: str | None = None
    seed: int = 0
    model_name: str | None = None
    model_of_trial: bool = False  # the registered model is called what Azure calls the best trial's output, where that is short
    description: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)

    @property
    def votes(self) -> bool:
        """Whether trials may be joined to an ensemble (`enable_vote_ensemble`)."""
        training = self.features.get("training")
        return not isinstance(training, Mapping) or training.get("enable_vote_ensemble") is not False


@dataclass(frozen=True, slots=True)
class Trial:
    """One finished or running trial. `metrics` are the validation (out-of-fold) metrics by Azure's names."""

    trial: str
    algorithm: str
    state: JobState
    metrics: Mapping[str, float]
    duration_seconds: float
    parameters: Mapping[str, object] = field(default_factory=dict)
    rank: int | None = None
    detail: str | None = None


@dataclass(frozen=True, slots=True)
class Guardrail:
    """One data check. `status` is `passed`, `warning` or `failed`."""

    check: str
    status: str
    detail: str


@dataclass(frozen=True, slots=True)
class BestTrial:
    trial: str
    algorithm: str
    metrics: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class AutoMLOutcome:
    """What training has found so far; complete when the job is. `threshold` None: not binary, or the default 0.5.
    `unknown`: why the workspace has no value for a field, by the field's name."""

    task: Task | None = None
    metric: str | None = None
    best: BestTrial | None = None
    leaderboard: tuple[Trial, ...] = ()
    guardrails: tuple[Guardrail, ...] = ()
    test_metrics: Mapping[str, float] | None = None
    baseline_metrics: Mapping[str, float] | None = None
    intervals: Mapping[str, tuple[float, float]] | None = None
    threshold: float | None = None
    model: ModelPointer | None = None
    unknown: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Job:
    """A job of any kind. Times are ISO 8601 UTC; `error` is the reason when `status` is Failed. `attempts` above 1: its
    process died, and the job went on from its finished trials. `notes`: what its workspace does otherwise than asked.
    `unknown`: why the workspace has no value for a field, by the field's name."""

    name: str
    kind: JobKind
    status: JobState
    experiment: str
    workspace: str
    created_at: str
    started_at: str | None = None
    ended_at: str | None = None
    duration_seconds: float | None = None
    error: str | None = None
    display_name: str | None = None
    parent: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    spec: Mapping[str, object] = field(default_factory=dict)
    automl: AutoMLOutcome | None = None
    attempts: int = 1
    notes: tuple[str, ...] = ()
    unknown: Mapping[str, str] = field(default_factory=dict)
