"""Pipelines: a graph of steps, published behind a REST endpoint, triggered as runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from opsml_cli.domain.job import JobState


@dataclass(frozen=True, slots=True)
class PublishPipeline:
    """Publish the pipeline YAML at `path` as `name`. `version` None means the next one; `default` makes it the version
    that a trigger without version runs (the first always is)."""

    path: str
    name: str
    version: str | None = None
    default: bool = True
    description: str | None = None
    dry_run: bool = False


@dataclass(frozen=True, slots=True)
class PipelineInput:
    """An input of a published pipeline. `type` as in Azure's YAML; `default` None and not `optional`: must be set."""

    name: str
    type: str
    default: object | None = None
    optional: bool = False


@dataclass(frozen=True, slots=True)
class PipelineEndpoint:
    """One published version and the URL that triggers it. `notes`: what its YAML asks for without effect here."""

    name: str
    version: str
    default_version: str
    url: str | None
    inputs: tuple[PipelineInput, ...]
    steps: tuple[str, ...]
    created_at: str
    description: str | None = None
    versions: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Published:
    pipeline: PipelineEndpoint
    unchanged: bool


@dataclass(frozen=True, slots=True)
class TriggerPipeline:
    """Start a run. `inputs` by name: literals or `azureml:name:version`."""

    name: str
    version: str | None = None
    inputs: Mapping[str, str] = field(default_factory=dict)
    experiment: str | None = None
    dry_run: bool = False


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a run. `reused`: the outputs of an earlier, identical step were taken; `job` is the child job."""

    name: str
    status: JobState
    duration_seconds: float | None = None
    reused: bool = False
    type: str = "command"
    needs: tuple[str, ...] = ()
    job: str | None = None
    detail: str | None = None


@dataclass(frozen=True, slots=True)
class PipelineRun:
    """A run of a pipeline; a job of kind pipeline. `outputs` are URIs or paths by name."""

    run: str
    pipeline: str | None
    version: str | None
    status: JobState
    steps: tuple[Step, ...]
    outputs: Mapping[str, str]
    experiment: str
    created_at: str
    workspace: str
    started_at: str | None = None
    ended_at: str | None = None
    duration_seconds: float | None = None
    inputs: Mapping[str, object] = field(default_factory=dict)
    error: str | None = None
