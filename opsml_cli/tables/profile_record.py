"""A profile as a JSON document, and back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from opsml_cli.domain.data import ColumnProfile, ColumnType, DataProfile, TargetProfile, ValueCount

_COLUMN = ("name", "missing", "unique", "unique_estimated", "minimum", "maximum", "mean", "standard_deviation")


def profile_document(profile: DataProfile) -> dict[str, object]:
    """A profile as JSON-able values; `read_profile` is its inverse."""
    target = profile.target
    return {
        "rows": profile.rows,
        "size_bytes": profile.size_bytes,
        "format": profile.format,
        "delimiter": profile.delimiter,
        "encoding": profile.encoding,
        "compression": profile.compression,
        "target": None
        if target is None
        else {"column": target.column, "task": target.task, "classes": [[one.value, one.count] for one in target.classes]},
        "columns": [
            {name: getattr(column, name) for name in _COLUMN}
            | {"type": column.type.value, "top": [[one.value, one.count] for one in column.top]}
            for column in profile.columns
        ],
    }


def read_profile(held: Mapping[str, Any]) -> DataProfile:
    """The profile of a document that `profile_document` made; KeyError, TypeError or ValueError for another."""
    target = held["target"]
    return DataProfile(
        rows=held["rows"],
        size_bytes=held["size_bytes"],
        format=held["format"],
        delimiter=held["delimiter"],
        encoding=held["encoding"],
        compression=held["compression"],
        target=None if target is None else TargetProfile(target["column"], target["task"], _counts(target["classes"])),
        columns=tuple(
            ColumnProfile(
                **{name: column[name] for name in _COLUMN}, type=ColumnType(column["type"]), top=_counts(column["top"])
            )
            for column in held["columns"]
        ),
    )


def _counts(pairs: Sequence[Sequence[Any]]) -> tuple[ValueCount, ...]:
    return tuple(ValueCount(value, count) for value, count in pairs)
