"""How data assets and profiles are shown."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from opsml_cli.cli.render.base import Rendering
from opsml_cli.cli.text import escape_line, shorten
from opsml_cli.domain.data import ColumnProfile, DataAsset, DataProfile, Registered, TargetProfile, ValueCount

if TYPE_CHECKING:
    from rich.table import Table

_MAIN = ("name", "version", "type", "rows", "columns", "size_bytes", "created_at", "sha256", "uri")
_CLASSES = 5


def _asset(asset: DataAsset, unchanged: bool) -> dict[str, object]:
    return {
        "name": asset.name,
        "version": asset.version,
        "type": asset.type.value,
        "uri": asset.uri,
        "rows": asset.rows,
        "columns": asset.columns,
        "sha256": asset.sha256 or None,
        "unchanged": unchanged,
        "size_bytes": asset.size_bytes or None,
        "created_at": asset.created_at,
        "description": asset.description,
        "tags": dict(asset.tags),
        "target_column": asset.target_column,
        "source": asset.source,
        "unknown": dict(asset.unknown),
    }


def _shown(asset: DataAsset) -> dict[str, object]:
    # Looking at an asset changes nothing, so `unchanged` is true.
    return _asset(asset, True) | {"profile": None if asset.profile is None else _profile(asset.profile)}


def _profile(profile: DataProfile) -> dict[str, object]:
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
        else {"column": target.column, "task": target.task, "classes": _counts(target.classes)},
        "columns": [
            {
                "name": column.name,
                "type": column.type.value,
                "missing": column.missing,
                "unique": column.unique,
                "unique_estimated": column.unique_estimated,
                "minimum": column.minimum,
                "maximum": column.maximum,
                "mean": column.mean,
                "standard_deviation": column.standard_deviation,
                "top": _counts(column.top),
            }
            for column in profile.columns
        ],
    }


def _counts(counts: Sequence[ValueCount]) -> list[dict[str, object]]:
    return [{"value": one.value, "count": one.count} for one in counts]


def _size(rows: int | None, columns: int | None, size: int) -> str:
    shape = "" if rows is None else f"{rows:,} rows × {columns} columns, "  # noqa: RUF001
    for unit in ("bytes", "KiB", "MiB"):
        if size < 1024:
            return f"{shape}{size:,.0f} {unit}"
        size //= 1024
    return f"{shape}{size:,} GiB"


def _balance(target: TargetProfile, rows: int) -> str:
    """`target y (classification): no 88.8 %, yes 11.2 %`."""
    name = escape_line(target.column)
    shares = [f"{escape_line(one.value)} {100 * one.count / rows:.1f} %" for one in target.classes[:_CLASSES]]
    more = len(target.classes) - _CLASSES
    tail = ": " + ", ".join(shares) + (f" and {more} more" if more > 0 else "") if shares else ""
    return f"target {name} ({target.task}){tail}"


def _head(asset: DataAsset, did: str) -> str:
    lines = [f"{did}{asset.name}:{asset.version}  {asset.type.value}  {_size(asset.rows, asset.columns, asset.size_bytes)}"]
    if asset.profile is not None and asset.profile.target is not None:
        lines.append(_balance(asset.profile.target, asset.profile.rows))
    return "\n".join(lines)


def _registered_view(registered: Registered, _width: int) -> str:
    return _head(registered.asset, "unchanged: " if registered.unchanged else "registered ")


def _asset_view(asset: DataAsset, width: int) -> object:
    lines = [_head(asset, "")]
    if asset.description:
        lines.append(escape_line(asset.description))
    if asset.tags:
        lines.append("tags " + ", ".join(f"{escape_line(key)}={escape_line(value)}" for key, value in asset.tags.items()))
    lines.append(f"from {escape_line(asset.source or '?')} at {asset.created_at}")
    lines.append(asset.uri)
    if asset.profile is None:
        return "\n".join(lines)
    from rich.console import Group
    from rich.text import Text

    return Group(Text("\n".join(lines)), _table(asset.profile, width))


def _list_view(assets: Sequence[DataAsset], _width: int) -> object:
    if not assets:
        return "no data yet: opsml data register NAME FILE"
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for heading in ("name", "version", "type", "rows", "columns", "target", "created"):
        table.add_column(heading, justify="right" if heading in ("rows", "columns") else "left", no_wrap=True)
    for asset in assets:
        rows, columns = ("", "") if asset.rows is None else (f"{asset.rows:,}", str(asset.columns))
        cells = (asset.name, asset.version, asset.type.value, rows, columns, asset.target_column or "", asset.created_at[:19])
        table.add_row(*(Text(escape_line(cell)) for cell in cells))
    return table


def _profile_view(profile: DataProfile, width: int) -> object:
    from rich.console import Group
    from rich.text import Text

    details = [profile.format, profile.encoding, profile.compression]
    if profile.delimiter not in (None, ","):
        details.append(f"delimiter {profile.delimiter!r}")
    lines = [f"{_size(profile.rows, len(profile.columns), profile.size_bytes)}, {', '.join(one for one in details if one)}"]
    if profile.target is not None:
        lines.append(_balance(profile.target, profile.rows))
    return Group(Text("\n".join(lines)), _table(profile, width))


def _table(profile: DataProfile, width: int) -> Table:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for heading in ("column", "type", "missing", "unique", "values"):
        table.add_column(heading, justify="right" if heading in ("missing", "unique") else "left", no_wrap=True)
    for column in profile.columns:
        missing = f"{100 * column.missing / profile.rows:.1f} %" if column.missing else ""
        unique = f"{'~' if column.unique_estimated else ''}{column.unique:,}"
        cells = (column.name, column.type.value, missing, unique, _values(column))
        table.add_row(*(Text(shorten(escape_line(cell), max(24, width // 2))) for cell in cells))
    return table


def _values(column: ColumnProfile) -> str:
    if column.minimum is not None:
        low, high = (f"{end:.6g}" if isinstance(end, float) else str(end) for end in (column.minimum, column.maximum))
        mean = "" if column.mean is None else f", mean {column.mean:.4g}"
        return f"{low} … {high}{mean}"
    return ", ".join(one.value for one in column.top[:3])


def _outputs(registered: Registered) -> dict[str, str]:
    asset = registered.asset
    return {
        "name": asset.name,
        "version": asset.version,
        "sha256": asset.sha256,
        "rows": "" if asset.rows is None else str(asset.rows),
    }


RENDERINGS: dict[type, Rendering] = {
    Registered: Rendering(
        document=lambda registered: _asset(registered.asset, registered.unchanged),
        columns=_MAIN,
        view=_registered_view,
        outputs=_outputs,
    ),
    DataAsset: Rendering(document=_shown, columns=_MAIN, view=_asset_view, list_view=_list_view),
    DataProfile: Rendering(document=_profile, view=_profile_view),
}
