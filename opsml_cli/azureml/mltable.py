"""MLTable documents for tables that are plain files: AutoML on Azure reads nothing else."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from opsml_cli.azureml.storage import DEFAULT, Location, parse_location
from opsml_cli.azureml.transfer import md5_of
from opsml_cli.domain.errors import ContractError, InvalidInputError
from opsml_cli.tables.mltable import FILE

if TYPE_CHECKING:
    from opsml_cli.azureml.storage import Storage
    from opsml_cli.domain.data import DataAsset, DataProfile

_HEAD = 1 << 16
# Azure's names of encodings.
_ENCODINGS = {
    "utf-8": "utf8",
    "utf-8-sig": "utf8",
    "latin-1": "iso88591",
    "ascii": "ascii",
    "utf-16": "utf16",
    "cp1252": "windows1252",
}


def document(profile: DataProfile, file: str, shown: str) -> str:
    """An MLTable that reads `file` as `profile` found it. InvalidInputError for a form that MLTable cannot read."""
    if profile.compression is not None:
        raise InvalidInputError(
            f"{shown} is compressed ({profile.compression}), and Azure AutoML reads no such table",
            fix="register it uncompressed, or as Parquet",
        )
    if profile.format == "csv":
        encoding = _ENCODINGS.get(profile.encoding or "utf-8")
        if encoding is None:
            raise InvalidInputError(f"{shown} is {profile.encoding} text, which MLTable cannot read", fix="save it as UTF-8")
        step: dict[str, object] = {
            "read_delimited": {
                "delimiter": profile.delimiter or ",",
                "encoding": encoding,
                "header": "all_files_same_headers",
                "empty_as_string": False,
                "support_multi_line": True,
            }
        }
    elif profile.format == "parquet":
        step = {"read_parquet": {"include_path_column": False}}
    elif profile.format == "jsonl":
        step = {"read_json_lines": {"encoding": "utf8"}}
    else:
        raise InvalidInputError(f"{shown} is {profile.format}, which MLTable cannot read", fix="register it as CSV or Parquet")
    # JSON is YAML, and quotes every odd delimiter.
    return json.dumps({"type": "mltable", "paths": [{"file": file}], "transformations": [step]}, indent=2) + "\n"


def written(storage: Storage, asset: DataAsset, profile: DataProfile) -> Location:
    """The folder with an MLTable for `asset`, a single file; written when it is not there, after a look whether it reads what
    it should."""
    shown = f"{asset.name}:{asset.version}"
    found = parse_location(asset.uri) if asset.uri.startswith("azureml://") else None
    if found is not None and asset.sha256 and found.path.startswith(f"LocalUpload/{asset.sha256}/"):
        folder, _, name = found.path.rpartition("/")
        file = f"./{name}"
    else:  # somebody else's place: nothing is written there
        folder, file = f"opsml/mltable/{asset.name}/{asset.version}", asset.uri
    text = document(profile, file, shown)
    if found is not None and profile.format == "csv":
        _check(text if file.startswith("./") else document(profile, "./table", shown), storage, found, profile, shown)
    container = storage.container(found.datastore if file.startswith("./") and found is not None else DEFAULT)
    content = text.encode()
    stored = container.find(f"{folder}/{FILE}")
    if stored is None or stored.size != len(content) or stored.md5 not in (None, md5_of(content)):
        container.write(f"{folder}/{FILE}", content, md5_of(content))
    return Location(container.datastore, f"{folder}/")


def _check(text: str, storage: Storage, table: Location, profile: DataProfile, shown: str) -> None:
    """Read the table's first lines through the document, and compare the columns."""
    from opsml_cli.tables.table import open_table

    head = storage.container(table.datastore).read(table.path, 0, _HEAD)
    if len(head) == _HEAD:
        head = head[: head.rfind(b"\n") + 1] or head
    with tempfile.TemporaryDirectory(prefix="opsml-") as scratch:
        folder = Path(scratch)
        (folder / json.loads(text)["paths"][0]["file"].removeprefix("./")).write_bytes(head)
        (folder / FILE).write_text(text)
        columns = tuple(open_table(folder, name=shown).columns)
    expected = tuple(column.name for column in profile.columns)
    if columns != expected:
        raise ContractError(f"the MLTable of {shown} reads other columns than the file has", cause=f"{columns} for {expected}")
