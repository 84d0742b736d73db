"""The whole flow by the command line, the same words on `local` and on `azure`: every document has the same fields.

`azure` is the emulator; with `-m live` it is a real workspace that the environment names (OPSML_AZURE__…), signed in as its
settings say. A value that Azure has no source for is null there, with the reason in `unknown`; nothing else may differ."""

from __future__ import annotations

import json
import os
import shlex
import uuid
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from command_line import Opsml
from emulator_support import emulated
from jobs_live import write_table

Documents = dict[str, Any]

# The story, in order; {n} is a suffix of this run. Trials and seed are fixed.
FLOW: dict[str, str] = {
    "data register": "data register people-{n} table.csv --target-column label",
    "data list": "data list people-{n}",
    "data show": "data show people-{n}",
    "train automl": "train automl --data people-{n}:1 --target-column label --max-trials 1 --timeout 20m --cv 2 --seed 7"
    " --experiment flow-{n}",
    "jobs list": "jobs list --experiment flow-{n}",
    "deploy": "deploy --job {job} --endpoint flow-{n} --insights",
    "endpoints show": "endpoints show flow-{n}",
    "endpoints keys": "endpoints keys flow-{n}",
    "insights enable": "insights enable flow-{n}",
    "models list": "models list",
    "models show": "models show {model}",
    "score": "score flow-{n} rows.json --proba",
    "swagger": "swagger flow-{n}",
    "bench": "bench flow-{n} rows.json --duration 1s --slo 'errors<100%'",
    "insights alerts": "insights alerts flow-{n} --alert 'p95>9s for 5m'",
    "insights show": "insights show flow-{n} --since 1h",
    "pipeline publish": "pipeline publish pipeline.yml --name count-{n}",
    "pipeline show": "pipeline show count-{n}",
    "pipeline trigger": "pipeline trigger count-{n} --set table=azureml:people-{n}:1",
    "jobs show": "jobs show {job}",
    "pipeline schedule": "pipeline schedule count-{n} --every day --at 06:00 --set table=azureml:people-{n}:1",
    "schedules list": "schedules list",
    "schedules disable": "schedules disable count-{n}",
    "schedules delete": "schedules delete count-{n} --yes",
    "pipeline delete": "pipeline delete count-{n} --yes",
    "endpoints delete": "endpoints delete flow-{n} --yes",
}
PIPELINE = """\
type: pipeline
inputs:
  table: {type: uri_file}
outputs:
  counted: {type: uri_folder}
jobs:
  count:
    type: command
    command: wc ${{inputs.table}} > ${{outputs.counted}}/counted.txt
    environment: azureml://registries/azureml/environments/sklearn-1.5/labels/latest
    inputs:
      table: ${{parent.inputs.table}}
    outputs:
      counted: ${{parent.outputs.counted}}
"""
ROWS = [
    {"age": 40, "income": 50.0, "city": "Ulm", "amount": 150.0},
    {"age": 20, "income": 12.0, "city": "Kiel", "amount": 40.0},
]


def play(opsml: Opsml, folder: Path, variables: Mapping[str, str]) -> Documents:
    """Every document of the flow, by command. The run's commands end with 0 or the test does."""
    write_table(folder / "table.csv")
    (folder / "pipeline.yml").write_text(PIPELINE)
    (folder / "rows.json").write_text(json.dumps(ROWS))
    names = {"n": uuid.uuid4().hex[:6]}
    found: Documents = {}
    for command, words in FLOW.items():
        ran = opsml(*shlex.split(words.format(**names)), "-o", "json", "--no-input", env=variables, cwd=folder, timeout=3600.0)
        assert ran.exit_code == 0, f"{command}: {ran.stderr[-3000:]}"
        found[command] = json.loads(ran.stdout) if ran.stdout else None
        if command == "train automl":
            names["job"] = found[command]["job"]
        if command == "deploy":
            model = found[command]["model"]
            names["model"] = f"{model['name']}:{model['version']}"
    return found


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, Opsml, Mapping[str, str]], Documents]:
    """The flow of a place, once."""
    done: dict[str, Documents] = {}

    def once(place: str, opsml: Opsml, variables: Mapping[str, str]) -> Documents:
        if place not in done:
            done[place] = play(opsml, tmp_path_factory.mktemp(place), variables)
        return done[place]

    return once


@pytest.fixture
def local(played: Callable[..., Documents], opsml: Opsml, tmp_path: Path) -> Iterator[Documents]:
    variables = {"OPSML_LOCAL__PATH": str(tmp_path / ".opsml")}
    try:
        yield played("local", opsml, variables)
    finally:
        opsml("local", "down", "--jobs", "--yes", env=variables)


def differences(local: Any, azure: Any, path: str = "") -> Iterator[str]:
    """Where `azure` is of another shape than `local`: fields that lack or are more, values of another type. A null of `azure`
    stands for a value that it has no source for."""
    if azure is None or local is None:
        return
    if isinstance(local, dict) and isinstance(azure, dict):
        if _by_name(path):
            local, azure = ({"*": next(iter(each.values()), None)} for each in (local, azure))
        reasons = azure.get("unknown") or {}
        for name in sorted((local.keys() ^ azure.keys()) - {"unknown"}):
            yield f"{path}.{name} is only on {'local' if name in local else 'azure'}"
        for name, reason in reasons.items():
            if azure.get(name) or not reason:
                yield f"{path}.{name} is known, and said to be unknown: {reason!r}"
        for name in (local.keys() & azure.keys()) - {"unknown"}:
            if "unknown" in azure and azure[name] is None and local[name] is not None and name not in reasons:
                yield f"{path}.{name} is null on azure, without a reason"
            yield from differences(local[name], azure[name], f"{path}.{name}")
    elif isinstance(local, list) and isinstance(azure, list):
        if local and azure:
            yield from differences(local[0], azure[0], f"{path}[]")
    elif (
        isinstance(local, int | float) and isinstance(azure, int | float) and isinstance(local, bool) is isinstance(azure, bool)
    ):
        return
    elif type(local) is not type(azure):
        yield f"{path} is {type(local).__name__} on local, {type(azure).__name__} on azure"


def _kind(value: Any) -> type:
    return float if isinstance(value, int) and not isinstance(value, bool) else type(value)


def _by_name(path: str) -> bool:
    """Members that are named by people's things: deployments, metrics, outputs, settings of a trial; Swagger's definitions."""
    named = ("metrics", "traffic", "by_deployment", "outputs", "inputs", "tags", "parameters", "properties")
    return path.endswith(tuple(f".{each}" for each in named))


@pytest.mark.slow
def test_azure_gives_documents_of_the_same_shape(
    local: Documents, played: Callable[..., Documents], opsml: Opsml, tmp_path_factory: pytest.TempPathFactory
) -> None:
    with emulated(tmp_path_factory.mktemp("azure"), trust=True) as site:
        variables = site.environment | {
            "OPSML_WORKSPACE": "azure",
            "OPSML_AZURE__SUBSCRIPTION_ID": site.subscription,
            "OPSML_AZURE__RESOURCE_GROUP": site.resource_group,
            "OPSML_AZURE__WORKSPACE_NAME": site.workspace_name,
        }
        azure = played("azure", opsml, variables)
    _agree(local, azure)


@pytest.mark.live
def test_a_real_workspace_gives_documents_of_the_same_shape(
    local: Documents, played: Callable[..., Documents], opsml: Opsml
) -> None:
    named = {name: value for name, value in os.environ.items() if name.startswith(("OPSML_AZURE__", "AZURE_"))}
    if "OPSML_AZURE__WORKSPACE_NAME" not in named:
        pytest.skip("OPSML_AZURE__SUBSCRIPTION_ID, __RESOURCE_GROUP and __WORKSPACE_NAME name no workspace")
    _agree(local, played("live", opsml, named | {"OPSML_WORKSPACE": "azure"}))


def _agree(local: Documents, azure: Documents) -> None:
    found = [
        f"{command}{line}" for command in FLOW if command != "swagger" for line in differences(local[command], azure[command])
    ]
    assert not found, "\n".join(found)
    assert len(azure["score"]["predictions"]) == len(local["score"]["predictions"]) == len(ROWS)
    assert azure["pipeline trigger"]["status"] == local["pipeline trigger"]["status"] == "Completed"
