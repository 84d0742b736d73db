"""Data assets and what is known of their columns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class DataType(StrEnum):
    """Azure ML's data asset types."""

    URI_FILE = "uri_file"
    URI_FOLDER = "uri_folder"
    MLTABLE = "mltable"


class ColumnType(StrEnum):
    """What a column holds, as the profile found it."""

    INTEGER = "integer"
    NUMBER = "number"
    BOOLEAN = "boolean"
    STRING = "string"
    DATETIME = "datetime"
    EMPTY = "empty"  # no value at all


@dataclass(frozen=True, slots=True)
class ValueCount:
    """A value as text and the number of rows that hold it."""

    value: str
    count: int


@dataclass(frozen=True, slots=True)
class ColumnProfile:
    """One column. `unique` is exact unless `unique_estimated`; minimum … standard_deviation only for numbers and dates
    (dates as ISO text); `top` holds the most frequent values of low-cardinality columns, most frequent first."""

    name: str
    type: ColumnType
    missing: int
    unique: int
    unique_estimated: bool = False
    minimum: float | str | None = None
    maximum: float | str | None = None
    mean: float | None = None
    standard_deviation: float | None = None
    top: tuple[ValueCount, ...] = ()


@dataclass(frozen=True, slots=True)
class TargetProfile:
    """Class balance of the target column: `classes` most frequent first; empty for a continuous target."""

    column: str
    task: str  # classification | regression: what the values look like
    classes: tuple[ValueCount, ...] = ()


@dataclass(frozen=True, slots=True)
class DataProfile:
    """A table's profile: sizes in bytes, counts of rows; `delimiter` and `encoding` only for delimited text."""

    rows: int
    size_bytes: int
    format: str  # csv | parquet | jsonl | mltable
    columns: tuple[ColumnProfile, ...]
    target: TargetProfile | None = None
    delimiter: str | None = None
    encoding: str | None = None
    compression: str | None = None


@dataclass(frozen=True, slots=True)
class DataAsset:
    """One immutable version of a data asset. `rows` and `columns` are counts, None where the content is no table. `unknown`
    tells, by field, why a value is None or empty that the workspace has no source for."""

    name: str
    version: str
    type: DataType
    uri: str
    rows: int | None
    columns: int | None
    sha256: str
    size_bytes: int
    created_at: str
    description: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    target_column: str | None = None
    source: str | None = None
    profile: DataProfile | None = None
    unknown: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RegisterData:
    """What `data register` was asked. `source` is a path, `-`, an http(s) URL or, on Azure, a datastore path; `type` None
    is told from the source; `version` None means the next one."""

    name: str
    source: str
    version: str | None = None
    type: DataType | None = None
    description: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    target_column: str | None = None
    dry_run: bool = False


@dataclass(frozen=True, slots=True)
class Registered:
    """The asset, and whether it was there already with the same content."""

    asset: DataAsset
    unchanged: bool
