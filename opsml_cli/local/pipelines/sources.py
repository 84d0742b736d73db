"""Where a pipeline's parts are read from: its folder when it is published, its snapshot ever after."""

from __future__ import annotations

import os
import posixpath
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from opsml_cli.documents import Document, parse_document, read_document


class Sources(Protocol):
    """The files beside a pipeline YAML, by key: the path as seen from the YAML's folder, `/` between its parts."""

    def component(self, key: str) -> Document:
        """The component file; NotFoundError or InvalidInputError as `read_document`."""
        ...

    def kind(self, key: str) -> str | None:
        """`file`, `folder`, or None when there is nothing."""
        ...


def local_key(text: str, base: str = "") -> str | None:
    """The key of the path `text`, written in a file whose folder has the key `base`. None when it is no local path."""
    body = text.removeprefix("file:")
    body = body.removeprefix("//") if body != text else body
    if "://" in body or body.startswith(("azureml:", "git+", "http:", "https:", "wasb:", "wasbs:")) or not body or "\0" in body:
        return None
    body = body.replace("\\", "/") if os.name == "nt" else body
    return posixpath.normpath(posixpath.join(base, body))


class FolderSources:
    """The user's own files. Remembers which component files were read, for the snapshot."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.components: dict[str, str] = {}

    def path(self, key: str) -> Path:
        return self.folder / key

    def component(self, key: str) -> Document:
        document = read_document(self.path(key), source=key)
        self.components[key] = self.path(key).read_text(encoding="utf-8-sig")
        return document

    def kind(self, key: str) -> str | None:
        path = self.path(key)
        return "folder" if path.is_dir() else "file" if path.is_file() else None


class SnapshotSources:
    """What was kept when the pipeline was published or run."""

    def __init__(self, components: Mapping[str, str], kinds: Mapping[str, str]) -> None:
        self._components = components
        self._kinds = kinds

    def component(self, key: str) -> Document:
        return parse_document(self._components[key], source=key, folder=Path(posixpath.dirname(key)))

    def kind(self, key: str) -> str | None:
        return self._kinds.get(key)
