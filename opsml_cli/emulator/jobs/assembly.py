"""Putting a local pipeline together from what a job names on the wire: files are looked up, nothing is copied twice.

assembly = Assembly(call)
document = command.assemble(assembly, properties)   # names what it needs
assembly.check(document)                            # 400 for a wrong expression
snapshot = assembly.snapshot(document)              # the content: NotFoundError, InvalidInputError
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from opsml_cli.domain.errors import InvalidInputError, OpsmlError, UsageError
from opsml_cli.emulator.jobs import inputs
from opsml_cli.emulator.wire import Call, WireError
from opsml_cli.local.pipelines.definition import FILE_TYPE, MODEL_TYPES
from opsml_cli.local.pipelines.snapshot import Snapshot, StoredFile, Tree, store_tree

SOURCE = "job"
_STAND_IN = StoredFile("file", "0" * 64, 0)


class Assembly:
    """What one job needs, by the keys that its pipeline names. `base`: the content that the pipeline has already."""

    def __init__(self, call: Call, base: Snapshot | None = None) -> None:
        self._call = call
        self._base = base or Snapshot(SOURCE, "", {}, {})
        self._data: dict[str, tuple[str, str]] = {}  # key: (type, uri)
        self._codes: dict[str, str] = {}
        self._trees: dict[str, Tree] = {}

    def path(self, name: str, kind: str, uri: str) -> str:
        """How the pipeline names the content of `uri`: an asset as it is, anything else by a key of its snapshot."""
        key = f"inputs/{name}"
        if kind in MODEL_TYPES:
            self._data[key] = (kind, uri)
            return key
        try:
            ref = inputs.asset_of(self._call, uri, "data")
        except OpsmlError:
            ref = None  # met again, and told, when the content is looked up
        if ref is not None:
            return f"azureml:{ref}" if ref.version is not None else f"azureml:{ref.name}@latest"
        self._data[key] = (kind, uri)
        return key

    def code(self, code_id: str) -> str:
        """How the pipeline names a code asset."""
        key = f"code/{len(self._codes)}"
        for known, uri in self._codes.items():
            if uri.casefold() == code_id.casefold():
                return known
        self._codes[key] = code_id
        return key

    def tree(self, found: Tree) -> str:
        """How the pipeline names files that are stored already."""
        key = f"stored/{len(self._trees)}"
        self._trees[key] = found
        return key

    @staticmethod
    def output(kind: str, item: Mapping[str, Any]) -> dict[str, Any]:
        """A pipeline's output, registered under a name where the job asks for one."""
        found: dict[str, Any] = {"type": kind}
        for key, wire in (("name", "assetName"), ("version", "assetVersion")):
            if item.get(wire) is not None:
                found[key] = str(item[wire])
        return found

    def check(self, document: Mapping[str, Any]) -> None:
        """Whether the pipeline is sound, whatever its content: 400 when it is not."""
        trees = {key: Tree("file" if kind == FILE_TYPE else "folder", (_STAND_IN,)) for key, (kind, _) in self._data.items()}
        trees |= {key: Tree("folder", (_STAND_IN,)) for key in self._codes} | self._trees
        try:
            self._joined(document, trees).definition()
        except (InvalidInputError, UsageError) as error:
            message = error.message + (f": {error.cause}" if error.cause else "")
            raise WireError(400, message, inner=("BadArgument", "ArgumentInvalid")) from error

    def snapshot(self, document: Mapping[str, Any]) -> Snapshot:
        """The pipeline with its content, stored. NotFoundError and InvalidInputError name the input."""
        trees = dict(self._trees)
        for key, (kind, uri) in self._data.items():
            trees[key] = self._tree(key, kind, uri)
        for key, code_id in self._codes.items():
            trees[key] = inputs.code_tree(self._call, code_id)
        return self._joined(document, trees)

    def _joined(self, document: Mapping[str, Any], trees: Mapping[str, Tree]) -> Snapshot:
        return Snapshot(SOURCE, json.dumps(document), self._base.components, {**self._base.trees, **trees})

    def _tree(self, key: str, kind: str, uri: str) -> Tree:
        name = key.rpartition("/")[2]
        with ExitStack() as stack:
            path = self._content(name, kind, uri, stack)
            found = store_tree(self._call.served.local.layout, path, code=False)
        wanted = "file" if kind == FILE_TYPE else "folder"
        if found.kind != wanted:
            raise InvalidInputError(f"the input {name} is of type {kind}, and {uri} is a {found.kind}")
        return Tree("file", (_renamed(found.files[0], uri),)) if wanted == "file" else found

    def _content(self, name: str, kind: str, uri: str, stack: ExitStack) -> Path:
        ref = inputs.asset_of(self._call, uri, "models" if kind in MODEL_TYPES else "data")
        if ref is None:
            return inputs.content(self._call, uri, f"the input {name}", stack)
        if kind not in MODEL_TYPES:
            return self._call.served.local.data.locate(ref)[0]
        model = self._call.served.local.models.get(ref)
        return self._call.served.local.layout.model(model.name, model.version)


def _renamed(item: StoredFile, uri: str) -> StoredFile:
    """A single file goes by the last word of its uri: blobs have no names of their own."""
    name = uri.rstrip("/").rpartition("/")[2]
    plain = name not in ("", ".", "..") and not set(name) & set('\\\0<>:"|?*')
    return StoredFile(name if plain else "file", item.sha256, item.size, item.executable)
