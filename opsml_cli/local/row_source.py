"""The rows that a command names: a registered table, or a file on this machine that is read and not kept."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from opsml_cli.domain.data import ColumnType, DataAsset, RegisterData
from opsml_cli.domain.errors import InvalidInputError, NotFoundError
from opsml_cli.domain.job import TableSource
from opsml_cli.domain.names import AssetRef
from opsml_cli.domain.progress import Silent

if TYPE_CHECKING:
    import pandas as pd

    from opsml_cli.local.data import LocalData


def read_source(data: LocalData, source: TableSource, types: Mapping[str, ColumnType]) -> tuple[pd.DataFrame, DataAsset]:
    """The frame, and the asset that it is or would be. The columns that `types` names are read as that, whatever these rows
    look like. NotFoundError; InvalidInputError for what is no table."""
    from opsml_cli.tables import read_frame

    if source.asset is not None:
        asset = data.get(source.asset)
        return data.frame(AssetRef(asset.name, asset.version), types=types), asset
    path = Path(source.path or "").expanduser()
    if not path.exists():
        raise NotFoundError(f"no file or folder {source.path}", fix="check the path; opsml data list shows assets")
    # Reads and hashes the table as registering it would; nothing is written.
    asset = data.register(RegisterData("rows", str(path), dry_run=True), Silent()).asset
    if asset.profile is None:
        raise InvalidInputError(f"{source.path} is no table", fix="give a CSV, Parquet or JSON lines file")
    return read_frame(path, asset.profile, name=str(source.path), types=types), asset
