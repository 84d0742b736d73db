"""A pipeline's snapshot: its YAML, component files, code folders and local data, as they were when it was published.

Files become blobs named by their hash; the snapshot is one JSON document of texts and manifests, named by its hash in
turn. What was published stays as it was, whatever happens to the folder it came from.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from opsml_cli.content import files
from opsml_cli.content.code_folder import files_below
from opsml_cli.content.ignore_file import IgnoreRules
from opsml_cli.documents import Document, parse_document, read_document
from opsml_cli.domain.errors import InvalidInputError, QuotaError
from opsml_cli.local.layout import Layout
from opsml_cli.local.pipelines.definition import PipelineDefinition
from opsml_cli.local.pipelines.reading import read_pipeline
from opsml_cli.local.pipelines.sources import FolderSources, SnapshotSources

# Azure's own limit for a snapshot of code, in bytes; and a count that keeps a mistaken `code: /` short.
MAX_CODE_BYTES = 300_000_000
MAX_FILES = 10_000
_CHUNK = 1 << 20


@dataclass(frozen=True, slots=True)
class StoredFile:
    """One file of a tree: its path there with `/`, and its content's hash."""

    path: str
    sha256: str
    size: int
    executable: bool = False


@dataclass(frozen=True, slots=True)
class Tree:
    """A file or folder, as blobs. `kind` is `file` (then there is one entry) or `folder`."""

    kind: str
    files: tuple[StoredFile, ...]

    @property
    def sha256(self) -> str:
        return digest_of([self.kind, [[item.path, item.sha256, item.executable] for item in self.files]])


@dataclass(frozen=True, slots=True)
class Snapshot:
    """`text` is the pipeline's YAML under the name `source`; `components` and `trees` by their keys."""

    source: str
    text: str
    components: Mapping[str, str]
    trees: Mapping[str, Tree]

    @property
    def sha256(self) -> str:
        """Of the content alone: the file's own name does not make another version."""
        trees = {key: tree.sha256 for key, tree in self.trees.items()}
        return digest_of([self.text, dict(self.components), trees])

    def definition(self) -> PipelineDefinition:
        kinds = {key: tree.kind for key, tree in self.trees.items()} | dict.fromkeys(self.components, "file")
        document = parse_document(self.text, source=self.source, folder=Path())
        return read_pipeline(document, SnapshotSources(self.components, kinds))

    def document(self) -> str:
        return json.dumps(asdict(self), sort_keys=True)


def from_document(text: str) -> Snapshot:
    """The snapshot that `Snapshot.document` wrote."""
    value: dict[str, Any] = json.loads(text)
    trees = {key: tree_of(tree) for key, tree in value["trees"].items()}
    return Snapshot(value["source"], value["text"], value["components"], trees)


def tree_of(document: Mapping[str, Any]) -> Tree:
    """The tree whose fields are in `document`."""
    return Tree(document["kind"], tuple(StoredFile(**item) for item in document["files"]))


def digest_of(value: object) -> str:
    """SHA-256 of a JSON-able value, the same for equal values."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def read_file(path: Path) -> tuple[PipelineDefinition, Snapshot, Path]:
    """Read and check the pipeline YAML at `path`: the definition, a snapshot still without trees, and its folder."""
    document = read_document(path, source=path.name)
    return _read(document, path.read_text(encoding="utf-8-sig"))


def read_text(text: str, beside: Path) -> tuple[PipelineDefinition, Snapshot, Path]:
    """As `read_file`, for a pipeline's YAML that is a part of the file `beside`, and reads its own files from there."""
    return _read(parse_document(text, source=beside.name, folder=beside.absolute().parent), text)


def _read(document: Document, text: str) -> tuple[PipelineDefinition, Snapshot, Path]:
    sources = FolderSources(document.folder)
    definition = read_pipeline(document, sources)
    return definition, Snapshot(document.source, text, dict(sources.components), {}), document.folder


def take(layout: Layout | None, definition: PipelineDefinition, base: Snapshot, folder: Path) -> Snapshot:
    """The snapshot with every file it needs stored in `layout` (None: nothing is stored, hashes alone are made)."""
    code = definition.code()
    trees: dict[str, Tree] = {}
    for key in definition.locals():
        trees[key] = store_tree(layout, folder / key, code=key in code)
    return Snapshot(base.source, base.text, base.components, trees)


def store_tree(layout: Layout | None, path: Path, *, code: bool) -> Tree:
    """Store a file or folder as blobs. For `code`, ignore files and the size limit apply.

    InvalidInputError for a link that leaves the folder, and for what is neither file nor folder."""
    if path.is_file():
        return Tree("file", (_store(layout, path, path.name),))
    rules = IgnoreRules.of(path) if code else None
    found: list[StoredFile] = []
    total = 0
    for name, item in files_below(path, rules):
        found.append(_store(layout, item, name))
        total += found[-1].size
        if code and total > MAX_CODE_BYTES:
            raise QuotaError(
                f"the code folder {path.name} holds more than {MAX_CODE_BYTES // 1_000_000} MB",
                fix="name what is no code in a file .amlignore there",
            )
        if len(found) > MAX_FILES:
            raise QuotaError(
                f"the folder {path.name} holds more than {MAX_FILES} files",
                fix="name what is not needed in a file .amlignore there",
            )
    return Tree("folder", tuple(sorted(found, key=lambda item: item.path)))


def _store(layout: Layout | None, path: Path, name: str) -> StoredFile:
    digest, size = hashlib.sha256(), 0
    executable = os.name != "nt" and bool(path.stat().st_mode & 0o100)
    if layout is None:
        with path.open("rb") as source:
            while chunk := source.read(_CHUNK):
                digest.update(chunk)
                size += len(chunk)
        return StoredFile(name, digest.hexdigest(), size, executable)
    layout.blobs.mkdir(mode=0o700, parents=True, exist_ok=True)
    temporary = files.temporary_name(layout.blobs)
    try:
        with files.disk_errors(name), path.open("rb") as source, temporary.open("xb") as target:
            while chunk := source.read(_CHUNK):
                digest.update(chunk)
                size += len(chunk)
                target.write(chunk)
            target.flush()
            os.fsync(target.fileno())
        final = layout.blobs / digest.hexdigest()
        if files.touched(final):
            temporary.unlink()
        else:
            temporary.chmod(0o400)
            temporary.replace(final)
            files.sync_folder(layout.blobs)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    return StoredFile(name, digest.hexdigest(), size, executable)


def restore(layout: Layout, tree: Tree, destination: Path) -> Path:
    """Write the tree out, as private copies: a folder's content into `destination`, or a file under its name there."""
    destination.mkdir(mode=0o700, parents=True, exist_ok=True)
    for item in tree.files:
        target = destination / item.path
        if not files.inside(destination, target.parent):
            raise InvalidInputError(f"{item.path!r} would leave the folder")
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(layout.blobs / item.sha256, target)
        target.chmod(0o700 if item.executable else 0o600)
    return destination if tree.kind == "folder" else destination / tree.files[0].path


def hash_path(path: Path) -> str:
    """The hash of a file or folder by its content, as `Tree.sha256` has it. InvalidInputError when it holds a link."""
    for root, folders, names in os.walk(path):
        for name in (*folders, *names):
            if Path(root, name).is_symlink():
                raise InvalidInputError(f"{name} is a link, and cannot be kept as an output", fix="write the file itself")
    if path.is_symlink():
        raise InvalidInputError(f"{path.name} is a link, and cannot be kept as an output", fix="write the file itself")
    if path.is_file():
        return Tree("file", (_store(None, path, "content"),)).sha256
    found = [Path(root, name) for root, _, names in os.walk(path) for name in names]
    items = [_store(None, item, item.relative_to(path).as_posix()) for item in found]
    return Tree("folder", tuple(sorted(items, key=lambda item: item.path))).sha256
