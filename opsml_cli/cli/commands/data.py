"""`opsml data …`"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from opsml_cli.cli import options
from opsml_cli.cli.result import Planned
from opsml_cli.cli.session import Session
from opsml_cli.domain.data import DataAsset, DataProfile, DataType, RegisterData, Registered
from opsml_cli.domain.errors import NotFoundError, UsageError
from opsml_cli.domain.names import AssetRef, parse_ref

Target = Annotated[
    str | None, typer.Option("--target-column", metavar="COLUMN", help="The column to predict; its class balance is shown.")
]


def register(
    session: Session,
    name: Annotated[str, typer.Argument(metavar="NAME", help="The data's name.")],
    source: Annotated[
        str,
        typer.Argument(metavar="SOURCE", help="A file (CSV, Parquet, JSON lines; gzip or zip), a folder, - or an http(s) URL."),
    ],
    version: Annotated[str | None, typer.Option("--version", help="The version; by default the next number.")] = None,
    kind: Annotated[
        DataType | None, typer.Option("--type", help="By default uri_file; for folders mltable, or uri_folder without MLTable.")
    ] = None,
    description: options.Description = None,
    tag: options.Tags = None,
    target_column: Target = None,
    dry_run: options.DryRun = False,
) -> Registered | Planned:
    """Register data as a new immutable version, unless the latest version holds the same content already.

    The table is checked and profiled on the way, in a stream: files larger than memory are fine. The description, tags and
    target column of content that is there already are set on its version.

    Example: opsml data register bank bank.csv --target-column y
    """
    tags = options.pairs(tag, "--tag")
    spec = RegisterData(name, source, version, kind, description, tags, target_column, dry_run)
    registered = session.workspace.data.register(spec, session.progress)
    if not dry_run:
        return registered
    asset = registered.asset
    details: dict[str, object] = {
        "name": asset.name,
        "version": asset.version,
        "type": asset.type.value,
        "rows": asset.rows,
        "columns": asset.columns,
        "sha256": asset.sha256,
        "unchanged": registered.unchanged,
    }
    return Planned("leave unchanged" if registered.unchanged else "register", f"{asset.name}:{asset.version}", details)


def list_(
    session: Session,
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="List every version of this data.")] = None,
) -> Sequence[DataAsset]:
    """List data assets by their latest version, or every version of one.

    Example: opsml data list -o json
    """
    return session.workspace.data.list(None if name is None else parse_ref(name, "data name").name)


def show(
    session: Session, name: Annotated[str, typer.Argument(metavar="NAME[:VERSION]", help="The data; by default its latest.")]
) -> DataAsset:
    """Show a data asset with its columns.

    Example: opsml data show bank:1
    """
    return session.workspace.data.get(parse_ref(name, "data name"))


def check(
    session: Session, name: Annotated[str, typer.Argument(metavar="NAME[:VERSION]", help="The data; by default its latest.")]
) -> DataAsset:
    """Check that a data asset's content is what was registered: all of it is read, and hashed again.

    Exit code 5: it is gone or damaged. Registering the same file again mends it.

    Example: opsml data check bank:1
    """
    found = session.workspace.data.check(parse_ref(name, "data name"))
    session.output.note(f"{found.name}:{found.version} is what was registered: SHA-256 {found.sha256}")
    return found


def profile(
    session: Session,
    data: Annotated[str, typer.Argument(metavar="NAME[:VERSION]|PATH", help="Registered data, or a file or folder.")],
    target_column: Target = None,
) -> DataProfile:
    """Show a table's columns: types, missing values, ranges, most frequent values, class balance.

    A path is profiled where it lies, and nothing is registered.

    Example: opsml data profile bank.csv --target-column y
    """
    ref = _ref(data)
    if ref is not None:
        try:
            return session.workspace.data.profile(ref, target_column)
        except NotFoundError:
            if not Path(data).exists():
                raise
    from opsml_cli.tables import profile_table

    return profile_table(Path(data), target_column=target_column, name=data, progress=session.progress)


def _ref(text: str) -> AssetRef | None:
    """The asset that `text` may name; None for what is only a path."""
    try:
        return parse_ref(text, "data name")
    except UsageError:
        return None
