"""A scoring script: foreign code with `init()` and `run(raw_data)`, as Azure's inference server runs it."""

from __future__ import annotations

import importlib.util
import json
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

from opsml_cli.domain.errors import ContractError
from opsml_cli.local.serving.host.exchange import Description, HostReply, HostRequest


class ScriptResponder:
    """Answers a body with what the script's `run` makes of it."""

    def __init__(self, run: Callable[[str], Any]) -> None:
        self._run = run

    def describe(self) -> Description:
        return Description()

    def answer(self, request: HostRequest) -> HostReply:
        return HostReply(200, json.dumps(self._run(request.body.decode("utf-8", "replace"))).encode())


def load(code: Path, entry: str) -> ScriptResponder:
    """Import the script and call its `init`. ContractError when it has no `run`; whatever the script raises."""
    place = code / entry
    if str(place.parent) not in sys.path:
        sys.path.append(str(place.parent))
    module = module_of(place, "entry_module")
    run = getattr(module, "run", None)
    if not callable(run):
        raise ContractError(f"the scoring script {entry} has no function run")
    init = getattr(module, "init", None)
    if callable(init):
        init()
    return ScriptResponder(run)


def module_of(entry: Path, name: str) -> ModuleType:
    """The script's module, run under `name`. ContractError for what is no Python file; whatever the script raises."""
    spec = importlib.util.spec_from_file_location(name, entry)
    if spec is None or spec.loader is None:
        raise ContractError(f"the scoring script {entry.name} is no Python file")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
