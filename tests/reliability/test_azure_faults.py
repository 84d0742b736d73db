"""`opsml -w azure …` when Azure fails: each fault, on each long verb, by real commands against the emulator.

A passing fault (throttling, a 500, a dropped connection before or after the effect, an expired token) is not noticed: exit 0
and one thing made. A lasting one ends with the right exit code, a message that names the next step, and nothing made twice;
when it is over, running the same command again finishes the work."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from command_line import Opsml, Ran
from emulator_support import Emulated, emulated
from jobs_live import write_table
from pipeline_support import SMALL, small_pipeline
from serving_support import train_folder

ENVIRONMENT = "    environment: azureml://registries/azureml/environments/sklearn-1.5/labels/latest\n"
PASSING = (
    "throttle:route={route},verb={method},count=2",
    "error:route={route},verb={method},count=2,status=503",
    "drop:route={route},verb={method},when=before",
    "drop:route={route},verb={method},when=after",
    "unauthorized:route={route},verb={method}",
)
# Fault, exit code, code of the error document.
LASTING = (
    ("throttle:route={route},verb={method},count=always", 5, "busy"),
    ("error:route={route},verb={method},count=always", 5, "busy"),
    ("drop:route={route},verb={method},count=always", None, None),
    ("unauthorized:route={route},verb={method},count=always", 4, "not_signed_in"),
)


@dataclass(frozen=True)
class Verb:
    """A command; the request in it that has the effect; and how many things it has made."""

    words: str
    method: str
    route: str
    made: Callable[[Emulated, str], int]


VERBS = {
    "data register": Verb(
        "data register {name} table.csv", "PUT", "/data/{name}/versions/",
        lambda site, name: len(_versions(site.workspace.data.list, name)),
    ),
    "train automl": Verb(
        "train automl --data people:1 --target-column label --experiment {name} --max-trials 1 --timeout 10m --cv 2",
        "PUT", "/jobs/", lambda site, name: len(site.workspace.jobs.list(experiment=name)),
    ),
    "deploy": Verb(
        "deploy bank:1 --endpoint {name}", "PUT", "/onlineEndpoints/{name}/deployments/",
        lambda site, name: [each.name for each in site.workspace.online_endpoints.list()].count(name),
    ),
    "pipeline publish": Verb(
        "pipeline publish pipeline.yml --name {name}", "PUT", "/batchEndpoints/{name}/deployments/",
        lambda site, name: len(_batch_deployments(site, name)),
    ),
    "pipeline trigger": Verb(
        "pipeline trigger small --experiment {name}", "POST", "/_batch/small/jobs",
        lambda site, name: len(site.workspace.jobs.list(experiment=name)),
    ),
}  # fmt: skip


def _versions(listed: Callable[[str], Any], name: str) -> list[Any]:
    from opsml_cli.domain.errors import NotFoundError

    try:
        return list(listed(name))
    except NotFoundError:
        return []


def _batch_deployments(site: Emulated, endpoint: str) -> list[Any]:
    with site.client() as client:
        answer = client.get(f"{site.ws}/batchEndpoints/{endpoint}/deployments", params={"api-version": "2023-10-01"})
    return [] if answer.status_code == 404 else list(answer.json()["value"])


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulated]:
    with emulated(tmp_path_factory.mktemp("azure"), trust=True) as found:
        yield found


@pytest.fixture
def azure(site: Emulated, opsml: Opsml, tmp_path: Path) -> Iterator[Callable[..., Ran]]:
    """Runs a command of words on the azure workspace, in a folder with a table and a pipeline."""
    write_table(tmp_path / "table.csv")
    small_pipeline(tmp_path)
    (tmp_path / "pipeline.yml").write_text(SMALL.replace("    type: command\n", f"    type: command\n{ENVIRONMENT}"))
    variables = site.environment | {
        "OPSML_WORKSPACE": "azure",
        "OPSML_AZURE__SUBSCRIPTION_ID": site.subscription,
        "OPSML_AZURE__RESOURCE_GROUP": site.resource_group,
        "OPSML_AZURE__WORKSPACE_NAME": site.workspace_name,
    }

    def run(words: str, timeout: float = 300.0) -> Ran:
        return opsml(*shlex.split(words), "-o", "json", "--no-input", env=variables, timeout=timeout)

    yield run
    site.faults.clear()


@pytest.fixture
def stocked(azure: Callable[..., Ran], site: Emulated, tmp_path: Path) -> None:
    """The workspace holds a table `people` and a trusted model `bank`, both registered by the command line."""
    if not _versions(site.workspace.data.list, "people"):
        ran = azure("data register people table.csv")
        assert ran.exit_code == 0, ran.stderr
    if not _versions(site.workspace.models.list, "bank"):
        ran = azure(f"models register bank {train_folder(tmp_path / 'model', rows=200)} --trust")
        assert ran.exit_code == 0, ran.stderr


def _error(ran: Ran) -> dict[str, Any]:
    assert "Traceback" not in ran.stderr
    assert ran.stdout == ""
    error: dict[str, Any] = json.loads(ran.stderr.splitlines()[-1])["error"]
    assert error["message"]
    return error


def _verb(key: str, name: str) -> tuple[Verb, str, dict[str, str]]:
    verb = VERBS[key]
    return verb, verb.words.format(name=name), {"route": verb.route.format(name=name), "method": verb.method}


# One verb, and the faults that are over at once, are in the default run; the rest takes patience.
QUICK = ("data register", "throttle", "drop")


def _marks(key: str, fault: str) -> tuple[pytest.MarkDecorator, ...]:
    return () if key == QUICK[0] and fault.startswith(QUICK[1:]) else (pytest.mark.long,)


@pytest.mark.usefixtures("stocked")
@pytest.mark.parametrize(
    ("key", "fault"),
    [
        pytest.param(key, fault, marks=_marks(key, fault), id=f"{key}-{fault.replace(':route={route},verb={method}', '')}")
        for key in VERBS
        for fault in PASSING
    ],
)
def test_a_fault_that_passes_is_not_noticed(azure: Callable[..., Ran], site: Emulated, key: str, fault: str) -> None:
    name = f"p{PASSING.index(fault)}-{key.replace(' ', '-')}"
    verb, words, where = _verb(key, name)
    if key == "pipeline trigger":
        _published(azure, site)
        if fault.startswith(("drop", "error")):
            pytest.skip("a POST that may have had its effect is not repeated: the tests of triggers below")
    site.faults.add(fault.format(**where))
    ran = azure(words)
    assert ran.exit_code == 0, ran.stderr
    assert verb.made(site, name) == 1


@pytest.mark.long
@pytest.mark.usefixtures("stocked")
@pytest.mark.parametrize("key", VERBS)
@pytest.mark.parametrize(("fault", "code", "said"), LASTING, ids=[fault.partition(":")[0] for fault, _, _ in LASTING])
def test_a_fault_that_lasts_is_told_and_the_command_finishes_later(
    azure: Callable[..., Ran], site: Emulated, key: str, fault: str, code: int | None, said: str | None
) -> None:
    name = f"l-{fault.partition(':')[0]}-{key.replace(' ', '-')}"
    verb, words, where = _verb(key, name)
    if key == "pipeline trigger":
        _published(azure, site)
    site.faults.add(fault.format(**where))
    ran = azure(words)
    error = _error(ran)
    if code is not None:
        assert (ran.exit_code, error["code"]) == (code, said), ran.stderr
    assert error["fix"]
    assert verb.made(site, name) <= 1
    site.faults.clear()
    ran = azure(words)
    assert ran.exit_code == 0, ran.stderr
    assert verb.made(site, name) == 1


def _published(azure: Callable[..., Ran], site: Emulated) -> None:
    if not _batch_deployments(site, "small"):
        ran = azure("pipeline publish pipeline.yml --name small")
        assert ran.exit_code == 0, ran.stderr


@pytest.mark.long
@pytest.mark.usefixtures("stocked")
@pytest.mark.parametrize("fault", ["drop:{},when=before", "error:{}"])
def test_a_trigger_that_did_not_begin_is_for_the_user_to_repeat(azure: Callable[..., Ran], site: Emulated, fault: str) -> None:
    """A POST is not repeated unasked: it may have had its effect."""
    _published(azure, site)
    experiment = f"lost-{fault.partition(':')[0]}"
    site.faults.add(fault.format("route=/_batch/small/jobs,verb=POST"))
    ran = azure(f"pipeline trigger small --experiment {experiment}")
    error = _error(ran)
    assert (ran.exit_code, error["code"], error["retryable"]) == (5, "busy", True), ran.stderr
    assert VERBS["pipeline trigger"].made(site, experiment) == 0
    ran = azure(f"pipeline trigger small --experiment {experiment}")
    assert ran.exit_code == 0, ran.stderr
    assert VERBS["pipeline trigger"].made(site, experiment) == 1


@pytest.mark.long
@pytest.mark.usefixtures("stocked")
def test_a_trigger_whose_answer_was_lost_is_found_again(azure: Callable[..., Ran], site: Emulated) -> None:
    _published(azure, site)
    site.faults.add("drop:route=/_batch/small/jobs,verb=POST,when=after")
    ran = azure("pipeline trigger small --experiment lost-answer")
    assert ran.exit_code == 0, ran.stderr
    assert VERBS["pipeline trigger"].made(site, "lost-answer") == 1


@pytest.mark.long
@pytest.mark.usefixtures("stocked")
def test_a_token_that_expires_while_waiting(azure: Callable[..., Ran], site: Emulated) -> None:
    site.faults.add("unauthorized:route=/jobs/,verb=GET,skip=2")
    ran = azure(VERBS["train automl"].words.format(name="expiring"))
    assert ran.exit_code == 0, ran.stderr
    assert json.loads(ran.stdout)["status"] == "Completed"
    assert len(site.workspace.jobs.list(experiment="expiring")) == 1


@pytest.mark.long
@pytest.mark.usefixtures("stocked")
@pytest.mark.parametrize(
    ("fault", "code", "said"),
    [("quota:count=always", 6, "quota"), ("crash:count=always", 9, "work_failed")],
    ids=["quota", "crash"],
)
def test_a_deployment_that_does_not_come_up(
    azure: Callable[..., Ran], site: Emulated, fault: str, code: int, said: str
) -> None:
    name = f"d-{said.replace('_', '-')}"
    site.faults.add(fault)
    ran = azure(f"deploy bank:1 --endpoint {name}")
    error = _error(ran)
    assert (ran.exit_code, error["code"]) == (code, said), ran.stderr
    assert error["cause"]
    assert error["fix"]
    site.faults.clear()
    ran = azure(f"deploy bank:1 --endpoint {name}")
    assert ran.exit_code == 0, ran.stderr
    found = json.loads(ran.stdout)
    assert found["state"] == "Succeeded"
    assert sum(found["traffic"].values()) == 100


@pytest.mark.long
@pytest.mark.usefixtures("stocked")
def test_slow_provisioning_is_not_finished_and_goes_on(azure: Callable[..., Ran], site: Emulated) -> None:
    site.faults.add("slow:route=/deployments/,seconds=20,count=1")
    ran = azure("deploy bank:1 --endpoint slow --wait-timeout 5s")
    error = _error(ran)
    assert (ran.exit_code, error["code"]) == (8, "not_finished"), ran.stderr
    assert error["fix"]
    ran = azure("deploy bank:1 --endpoint slow --wait-timeout 5m")
    assert ran.exit_code == 0, ran.stderr
    assert VERBS["deploy"].made(site, "slow") == 1
