"""A scoring script: foreign code with `init()` and `run(raw_data)`, as Azure's inference server runs it.

It is run only when somebody answers for it, and its files are proven by their hash at every load."""

from __future__ import annotations

import importlib.util
import json
import os
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from types import ModuleType
from typing import Any

from opsml_cli.domain.contract import BadRequest, Schema
from opsml_cli.domain.errors import ContractError
from opsml_cli.local.endpoint_records import Release, Script

_loading = threading.Lock()  # the environment and the path of modules are the process's own


class ScriptScorer:
    """Answers a body with what the script's `run` makes of it."""

    quick = False
    classes: tuple[object, ...] = ()

    def __init__(self, run: Callable[[str], Any]) -> None:
        self._run = run
        self.schema = Schema(())

    def score(self, rows: Any, proba: bool) -> list[Any]:  # noqa: ARG002 - a scorer as the others
        raise BadRequest("a scoring script takes a body, not rows")

    def answer(self, body: bytes) -> bytes:
        """The reply's JSON. Whatever the script raises; TypeError when it gives what is no JSON."""
        return json.dumps(self._run(body.decode("utf-8", "replace"))).encode()


def load(folder: Path, release: Release) -> ScriptScorer:
    """Prove the files below the endpoint's `folder`, import the script and call its `init`. ContractError when a file was
    changed or the script has no `run`; whatever the script raises."""
    script = release.script
    assert script is not None
    code = script.folder(folder)
    _prove(code, script)
    entry = code / script.entry
    mount = _mount(folder, release, script)
    said = {
        "AZUREML_MODEL_DIR": str(mount),
        "AZUREML_ENTRY_SCRIPT": script.entry,
        "AML_APP_ROOT": str(code),
        **release.environment,
    }
    with _loading, _environment(said), _importing(entry.parent):
        module = module_of(entry, f"opsml_script_{release.revision}")
        run = getattr(module, "run", None)
        if not callable(run):
            raise ContractError(f"the scoring script {script.entry} has no function run")
        init = getattr(module, "init", None)
        if callable(init):
            init()
    return ScriptScorer(run)


def module_of(entry: Path, name: str) -> ModuleType:
    """The script's module, run under `name`. ContractError for what is no Python file; whatever the script raises."""
    spec = importlib.util.spec_from_file_location(name, entry)
    if spec is None or spec.loader is None:
        raise ContractError(f"the scoring script {entry.name} is no Python file")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def document(endpoint: str, url: str, version: str) -> dict[str, Any]:
    """OpenAPI of a script, whose bodies nobody knows."""
    info = {"title": endpoint, "version": "1", "description": "A scoring script: it says itself what it takes and gives."}
    answers = {"200": {"description": "What the script gives."}}
    if version == "2":
        body = [{"in": "body", "name": "data", "schema": {}}]
        score = {"consumes": ["application/json"], "produces": ["application/json"], "parameters": body, "responses": answers}
        host = url.partition("//")[2]
        return {"swagger": "2.0", "info": info, "host": host, "schemes": ["http"], "paths": {"/score": {"post": score}}}
    score = {"requestBody": {"content": {"application/json": {"schema": {}}}}, "responses": answers}
    return {"openapi": "3.1.0", "info": info, "servers": [{"url": url}], "paths": {"/score": {"post": score}}}


def _prove(code: Path, script: Script) -> None:
    from opsml_cli.content import model_folder
    from opsml_cli.local.pipelines.snapshot import hash_path

    if not code.is_dir():
        raise ContractError(f"the files of the scoring script {script.entry} are gone")
    model_folder.drop_caches(code)
    if hash_path(code) != script.sha256:
        raise ContractError(f"the files of the scoring script {script.entry} are not those that were registered")


def _mount(folder: Path, release: Release, script: Script) -> Path:
    """A folder in which the model lies under the name that its files were registered with, as a container has it."""
    if release.path and not script.mount:
        return Path(release.path)
    place = folder / "mounts" / release.revision
    place.mkdir(parents=True, exist_ok=True)
    link = place / (script.mount or "model")
    if release.path and not link.is_symlink() and not link.exists():
        try:
            link.symlink_to(release.path)
        except OSError:  # no links on this machine
            import shutil

            shutil.copytree(release.path, link)
    return place


@contextmanager
def _environment(said: Mapping[str, str]) -> Iterator[None]:
    before = dict(os.environ)
    os.environ.update(said)
    try:
        yield
    finally:
        # Only what is different: for other threads no variable is gone for a moment.
        for name in set(os.environ) - set(before):
            del os.environ[name]
        os.environ.update({name: value for name, value in before.items() if os.environ.get(name) != value})


@contextmanager
def _importing(folder: Path) -> Iterator[None]:
    """Modules beside the script are found while it loads; no compiled files are left there."""
    written, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    # In new lists: an import of another thread, which goes through the list, would miss an entry where one is taken out.
    sys.path = [str(folder), *sys.path]
    try:
        yield
    finally:
        rest = list(sys.path)
        with suppress(ValueError):  # the script took it out
            rest.remove(str(folder))
        sys.path = rest
        sys.dont_write_bytecode = written
