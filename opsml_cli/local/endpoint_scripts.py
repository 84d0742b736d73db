"""The code of scoring scripts, kept beside the endpoint that runs it, in a folder named by its content's hash."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from opsml_cli.content import files
from opsml_cli.content.model_folder import MANIFEST
from opsml_cli.domain.endpoint import DeploySpec
from opsml_cli.domain.errors import InvalidInputError, NotAllowedError, NotFoundError, UnsupportedError, UsageError
from opsml_cli.local import annotations as notes
from opsml_cli.local import custom_models
from opsml_cli.local.clock import now
from opsml_cli.local.endpoint_records import Script
from opsml_cli.local.layout import Layout
from opsml_cli.local.store import Store

if TYPE_CHECKING:
    from opsml_cli.domain.model import Model
    from opsml_cli.local.pipelines.snapshot import Tree

KIND = "trusted code"
UNTRUSTED = "is foreign code, and nobody answers for it: opsml local up --trust says that you do"


def keep(layout: Layout, endpoint: str, tree: Tree, entry: str, mount: str) -> Script:
    """Write the code out, unless it is there; `mount` is the name under which the script finds its model ("": the model's
    folder itself). InvalidInputError when `entry` is no file of it."""
    from opsml_cli.local.pipelines.snapshot import restore

    entry = entry.removeprefix("./")
    _check_entry(tree, entry)
    script = Script(entry, tree.sha256, mount)
    folder = script.folder(layout.endpoint(endpoint))
    if not folder.exists():
        folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with files.new_folder(folder) as temporary:
            restore(layout, tree, temporary)
    return script


def prepare(layout: Layout, store: Store, spec: DeploySpec, model: Model | None) -> Script | None:
    """The script that `spec` asks for, its code kept beside the endpoint (with `spec.dry_run` only looked at); None for a model
    that answers by itself. NotAllowedError for code that nobody answers for: `spec.trust` does, for as long as it is this
    code."""
    from opsml_cli.local.pipelines.snapshot import store_tree

    if spec.code is None:
        if model is None:
            raise UsageError("there is neither a model nor a scoring script to deploy", fix="name a model, or give --code")
        if model.sha256 and not (Path(model.path) / MANIFEST).is_file():
            raise InvalidInputError(
                f"model {model.name}:{model.version} is not in MLflow format, so it needs a scoring script",
                fix="opsml deploy --model NAME:VERSION --code DIR --scoring-script score.py --trust",
            )
        return None
    if spec.code.registered:
        raise UnsupportedError(
            f"the code {spec.code.folder} lies on Azure",
            cause="a local endpoint runs a folder of this machine",
            fix="give --code DIR",
        )
    folder = Path(spec.code.folder)
    if not folder.is_dir():
        raise NotFoundError(f"no code folder {folder}", fix="give the folder that holds the scoring script")
    tree = store_tree(None, folder, code=True)
    _check_entry(tree, spec.code.entry)
    with store.read() as connection:
        trusted = notes.find(connection, KIND, tree.sha256) is not None
    if not trusted and not spec.trust:
        raise NotAllowedError(
            f"the scoring script {spec.code.entry} is foreign code, and deploying it runs it on this machine",
            cause=f"its folder {folder} has the hash {tree.sha256[:12]}",
            fix="if you trust where it comes from, run the same command with --trust",
        )
    name, version = (model.name, model.version) if model is not None else ("", "")
    mount = custom_models.mount_of(layout, store, name, version)
    if spec.dry_run:
        return Script(spec.code.entry, tree.sha256, mount)
    if not trusted:
        with store.write() as connection:
            notes.save(connection, KIND, tree.sha256, {"trusted_at": now(), "entry": spec.code.entry})
    return keep(layout, spec.endpoint, store_tree(layout, folder, code=True), spec.code.entry, mount)


def _check_entry(tree: Tree, entry: str) -> None:
    if all(each.path != entry for each in tree.files):
        known = ", ".join(each.path for each in tree.files[:5]) or "no file"
        raise InvalidInputError(f"the code holds no file {entry!r}", cause=f"it holds {known}")
