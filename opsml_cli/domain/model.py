"""Registered models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from opsml_cli.domain.deployment import ModelFormat
from opsml_cli.domain.names import AssetRef


@dataclass(frozen=True, slots=True)
class ModelColumn:
    """One input column of a signature. `type` as in MLflow (long, double, string, boolean, datetime)."""

    name: str
    type: str
    required: bool = True


@dataclass(frozen=True, slots=True)
class Signature:
    inputs: tuple[ModelColumn, ...]
    outputs: tuple[ModelColumn, ...] = ()


@dataclass(frozen=True, slots=True)
class Model:
    """One immutable version of a model: a folder in MLflow format, or what a scoring script reads. `sha256` covers every file
    of the folder; `own` is true when opsml trained it; a foreign model is code, and `trusted` says that somebody took the
    responsibility. `unknown` tells, by field, why a value is None or empty that the workspace has no source for."""

    name: str
    version: str
    path: str
    sha256: str
    created_at: str
    own: bool
    trusted: bool
    algorithm: str | None = None
    task: str | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)
    threshold: float | None = None
    signature: Signature | None = None
    job: str | None = None
    size_bytes: int = 0
    description: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    data: AssetRef | None = None
    unknown: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RegisterModel:
    """Register a folder in MLflow format, or with `format` CUSTOM any file or folder, which only a scoring script can read.
    A model file of a known library is wrapped; rows of `example` show what it takes, where the file itself does not say.
    `properties` are kept on Azure alone.
    `trust` is needed for what opsml did not make."""

    name: str
    path: str
    version: str | None = None
    trust: bool = False
    description: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    dry_run: bool = False
    format: ModelFormat = ModelFormat.MLFLOW
    example: Sequence[Mapping[str, object]] = ()
    properties: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RegisteredModel:
    model: Model
    unchanged: bool
