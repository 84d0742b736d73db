"""`opsml -w azure …` when Azure fails: each fault, on each long verb, by real commands against the emulator.

A passing fault (throttling, a 500, a dropped connection before or after the effect, an expired token) is not noticed: exit 0
and one thing made. A lasting one ends with the right exit code, a message that names the next step, and nothing made twice;
when it is over, running the same command again finishes the work. A verb that makes its thing in several requests meets the
faults that leave it half made at each of them."""

from __future__ import annotations

import json
import shlex
import shutil
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from command_line import Opsml, Ran
from emulator_support import Emulated, emulated
from jobs_live import ending_jobs, write_table
from pipeline_support import SMALL, small_pipeline
from serving_support import end_all, train_folder

ENVIRONMENT = "    environment: azureml://registries/azureml/environments/sklearn-1.5/labels/latest\n"
PASSING = (
    "throttle:{at},count=2",
    "error:{at},count=2,status=503",
    "error:{at},when=after",
    "drop:{at},when=before",
    "drop:{at},when=after",
    "unauthorized:{at}",
)
# Fault, exit code, code of the error document.
LASTING = (
    ("throttle:{at},count=always", 5, "busy"),
    ("error:{at},count=always", 5, "busy"),
    ("drop:{at},count=always", 5, "busy"),
    ("drop:{at},count=always,when=after", 5, "busy"),
    ("unauthorized:{at},count=always", 4, "not_signed_in"),
)
# What every other request of a verb meets: that it was lost with its effect, and that it cannot be made.
PASSING_BESIDE = ("drop:{at},when=after", "error:{at},count=2,status=503")
LASTING_BESIDE = (LASTING[3], LASTING[1])


@dataclass(frozen=True)
class Verb:
    """A command; the request in it that has the effect, the others that change something, as faults name them; and how many
    things it has made."""

    words: str
    effect: str
    made: Callable[[Emulated, str], int]
    beside: tuple[str, ...] = ()


VERBS = {
    "data register": Verb(
        "data register {name} {table}",
        "verb=PUT,route=/data/{name}/versions/",
        lambda site, name: len(_versions(site.workspace.data.list, name)),
        beside=("verb=PUT,route=/_blob/",),
    ),
    "models register": Verb(
        "models register {name} {model} --trust",
        "verb=PUT,route=/models/{name}/versions/",
        lambda site, name: len(_versions(site.workspace.models.list, name)),
        beside=("verb=PUT,route=/_blob/",),
    ),
    "train automl": Verb(
        "train automl --data people:1 --target-column label --experiment {name} --max-trials 1 --timeout 10m --cv 2",
        "verb=PUT,route=/jobs/",
        lambda site, name: len(site.workspace.jobs.list(experiment=name)),
    ),
    "deploy": Verb(
        "deploy bank:1 --endpoint {name}",
        "verb=PUT,route=/onlineEndpoints/{name}/deployments/",
        lambda site, name: [each.name for each in site.workspace.online_endpoints.list()].count(name),
        # The endpoint is made, and given its traffic.
        beside=("verb=PUT,route=/onlineEndpoints/{name}", "verb=PUT,route=/onlineEndpoints/{name},skip=2"),
    ),
    "pipeline publish": Verb(
        "pipeline publish pipeline.yml --name {name}",
        "verb=PUT,route=/batchEndpoints/{name}/deployments/",
        lambda site, name: len(_batch_deployments(site, name)),
        # The component, the endpoint, and its default.
        beside=(
            "verb=PUT,route=/components/",
            "verb=PUT,route=/batchEndpoints/{name}",
            "verb=PUT,route=/batchEndpoints/{name},skip=2",
        ),
    ),
    "pipeline trigger": Verb(
        "pipeline trigger small --experiment {name}",
        "verb=POST,route=/_batch/small/jobs",
        lambda site, name: len(site.workspace.jobs.list(experiment=name)),
    ),
    "pipeline run": Verb(
        "pipeline run pipeline.yml --experiment {name}",
        "verb=PUT,route=/jobs/",
        lambda site, name: len(site.workspace.jobs.list(experiment=name)),
    ),
    "pipeline schedule": Verb(
        "pipeline schedule small --cron '0 6 * * 1' --name {name}",
        "verb=PUT,route=/schedules/{name}",
        lambda site, name: [each.name for each in site.workspace.schedules.list()].count(name),
    ),
}


@dataclass(frozen=True)
class Begun:
    """A verb in one test: its words, the name it makes things under, and the faults as they concern this name."""

    verb: Verb
    words: str
    name: str

    def fault(self, fault: str, at: str) -> str:
        return fault.format(at=at.format(name=self.name))


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
    with emulated(tmp_path_factory.mktemp("azure"), trust=True) as found, ending_jobs(found.workspace.root):
        yield found
        end_all(found.workspace)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train_folder(tmp_path_factory.mktemp("model"), rows=200)


Azure = Callable[..., Ran]


@pytest.fixture
def azure(site: Emulated, opsml: Opsml, tmp_path: Path) -> Iterator[Azure]:
    """Runs a command of words on the azure workspace, in a folder with a table and a pipeline. It waits next to nothing before
    it repeats a request."""
    write_table(tmp_path / "table.csv")
    small_pipeline(tmp_path)
    text = SMALL.replace("    type: command\n", f"    type: command\n{ENVIRONMENT}")
    (tmp_path / "pipeline.yml").write_text(text + "settings:\n  default_compute: azureml:serverless\n")
    variables = site.environment | {
        "OPSML_WORKSPACE": "azure",
        "OPSML_AZURE__SUBSCRIPTION_ID": site.subscription,
        "OPSML_AZURE__RESOURCE_GROUP": site.resource_group,
        "OPSML_AZURE__WORKSPACE_NAME": site.workspace_name,
        "OPSML_AZURE__LONGEST_WAIT": "0.02",
    }

    def run(words: str, timeout: float = 300.0) -> Ran:
        return opsml(*shlex.split(words), "-o", "json", "--no-input", env=variables, timeout=timeout)

    yield run
    site.faults.clear()
    end_all(site.workspace)


@pytest.fixture
def stocked(azure: Azure, site: Emulated, model: Path) -> None:
    """The workspace holds a table `people` and a trusted model `bank`, both registered by the command line."""
    if not _versions(site.workspace.data.list, "people"):
        ran = azure("data register people table.csv")
        assert ran.exit_code == 0, ran.stderr
    if not _versions(site.workspace.models.list, "bank"):
        ran = azure(f"models register bank {model} --trust")
        assert ran.exit_code == 0, ran.stderr


@pytest.fixture
def begun(azure: Azure, site: Emulated, request: pytest.FixtureRequest, tmp_path: Path, model: Path) -> Callable[..., Begun]:
    """Prepares a verb for a test: its words, and a name of its own."""

    def prepare(key: str) -> Begun:
        if key in ("pipeline trigger", "pipeline schedule") and not _batch_deployments(site, "small"):
            ran = azure("pipeline publish pipeline.yml --name small")
            assert ran.exit_code == 0, ran.stderr
        name = f"c{zlib.crc32(request.node.name.encode()):08x}"
        # What is uploaded is named by its content: each case has one of its own, or an earlier one has uploaded it.
        table = tmp_path / "own.csv"
        table.write_text((tmp_path / "table.csv").read_text() + f"30,20.0,{name},100.0,no\n")
        own = tmp_path / "own-model"
        if key == "models register":
            shutil.copytree(model, own)
            (own / "notes.txt").write_text(name)
        return Begun(VERBS[key], VERBS[key].words.format(name=name, table=table, model=own), name)

    return prepare


Prepare = Callable[[str], Begun]
# One verb, and the faults that are over at once, are in the default run; the rest takes patience.
QUICK = ("throttle:{at},count=2", "drop:{at},when=before", "drop:{at},when=after")


def _cases(at_the_effect: tuple[Any, ...], beside: tuple[Any, ...]) -> list[Any]:
    """Verb, place of the fault and fault: every fault at the request with the effect, some at the others."""
    found = []
    for key, verb in VERBS.items():
        for number, at in enumerate((verb.effect, *verb.beside)):
            for fault in beside if number else at_the_effect:
                text = fault if isinstance(fault, str) else fault[0]
                quick = key == "data register" and not number and text in QUICK
                shown = "-".join((key.replace(" ", "-"), str(number), text.replace(":{at}", "")))
                found.append(pytest.param(key, at, fault, id=shown, marks=() if quick else pytest.mark.long))
    return found


def _repeated(key: str, fault: str) -> bool:
    """Whether the request is repeated unasked: not a POST that may have had its effect (`test_a_trigger_that_failed…`)."""
    return key != "pipeline trigger" or not (fault.startswith("error") or "before" in fault)


PASSED = [case for case in _cases(PASSING, PASSING_BESIDE) if _repeated(str(case.values[0]), str(case.values[2]))]


@pytest.mark.usefixtures("stocked")
@pytest.mark.parametrize(("key", "at", "fault"), PASSED)
def test_a_fault_that_passes_is_not_noticed(
    azure: Azure, site: Emulated, begun: Prepare, key: str, at: str, fault: str
) -> None:
    it = begun(key)
    site.faults.add(it.fault(fault, at))
    ran = azure(it.words)
    assert ran.exit_code == 0, ran.stderr
    assert site.faults.struck
    assert it.verb.made(site, it.name) == 1


@pytest.mark.usefixtures("stocked")
@pytest.mark.parametrize(("key", "at", "lasting"), _cases(LASTING, LASTING_BESIDE))
def test_a_fault_that_lasts_is_told_and_the_command_finishes_later(
    azure: Azure, site: Emulated, begun: Prepare, key: str, at: str, lasting: tuple[str, int, str]
) -> None:
    fault, code, said = lasting
    it = begun(key)
    site.faults.add(it.fault(fault, at))
    ran = azure(it.words)
    assert site.faults.struck
    if ran.exit_code == 0:
        # No answer ever came, and what the request had made was found.
        assert "after" in fault
        assert it.verb.made(site, it.name) == 1
        return
    error = _error(ran)
    assert (ran.exit_code, error["code"]) == (code, said), ran.stderr
    assert error["fix"]
    assert it.verb.made(site, it.name) <= 1
    site.faults.clear()
    ran = azure(it.words)
    assert ran.exit_code == 0, ran.stderr
    assert it.verb.made(site, it.name) == 1


def _error(ran: Ran) -> dict[str, Any]:
    assert "Traceback" not in ran.stderr
    assert ran.stdout == ""
    error: dict[str, Any] = json.loads(ran.stderr.splitlines()[-1])["error"]
    assert error["message"]
    return error


@pytest.mark.long
@pytest.mark.usefixtures("stocked")
@pytest.mark.parametrize("fault", ["drop:{at},when=before", "error:{at}", "error:{at},when=after"])
def test_a_trigger_that_failed_is_for_the_user_to_repeat(azure: Azure, site: Emulated, begun: Prepare, fault: str) -> None:
    """A POST is not repeated unasked: it may have had its effect. One that had it is found."""
    it = begun("pipeline trigger")
    site.faults.add(it.fault(fault, it.verb.effect))
    ran = azure(it.words)
    if "after" not in fault:
        error = _error(ran)
        assert (ran.exit_code, error["code"], error["retryable"]) == (5, "busy", True), ran.stderr
        assert it.verb.made(site, it.name) == 0
        ran = azure(it.words)
    assert ran.exit_code == 0, ran.stderr
    assert it.verb.made(site, it.name) == 1


@pytest.mark.long
@pytest.mark.usefixtures("stocked")
@pytest.mark.parametrize("key", VERBS)
def test_a_token_that_expires_while_waiting(azure: Azure, site: Emulated, begun: Prepare, key: str) -> None:
    it = begun(key)
    site.faults.add("unauthorized:verb=GET,skip=2")
    ran = azure(it.words)
    assert ran.exit_code == 0, ran.stderr
    assert site.faults.struck
    assert it.verb.made(site, it.name) == 1


@pytest.mark.long
@pytest.mark.usefixtures("stocked")
@pytest.mark.parametrize(
    ("key", "fault", "code", "said"),
    [
        ("deploy", "quota:count=always", 6, "quota"),
        ("deploy", "crash:count=always", 9, "work_failed"),
        ("pipeline publish", "quota:count=always", 6, "quota"),
    ],
)
def test_what_azure_has_no_room_for_or_crashes(
    azure: Azure, site: Emulated, begun: Prepare, key: str, fault: str, code: int, said: str
) -> None:
    it = begun(key)
    site.faults.add(fault)
    ran = azure(it.words)
    error = _error(ran)
    assert (ran.exit_code, error["code"]) == (code, said), ran.stderr
    assert error["cause"]
    assert error["fix"]
    site.faults.clear()
    ran = azure(it.words)
    assert ran.exit_code == 0, ran.stderr
    assert it.verb.made(site, it.name) == 1
    if key == "deploy":
        found = json.loads(ran.stdout)
        assert (found["state"], sum(found["traffic"].values())) == ("Succeeded", 100)


@pytest.mark.long
@pytest.mark.usefixtures("stocked")
@pytest.mark.parametrize(("key", "longer"), [("deploy", ""), ("train automl", " --max-trials 60")])
def test_slow_work_is_not_finished_and_goes_on(azure: Azure, site: Emulated, begun: Prepare, key: str, longer: str) -> None:
    it = begun(key)
    words = it.words + longer
    site.faults.add("slow:route=/deployments/,seconds=10,count=1")
    ran = azure(f"{words} --wait-timeout 1s")
    error = _error(ran)
    assert (ran.exit_code, error["code"]) == (8, "not_finished"), ran.stderr
    assert error["fix"]
    ran = azure(words)
    assert ran.exit_code == 0, ran.stderr
    assert it.verb.made(site, it.name) == 1


@pytest.mark.long
@pytest.mark.usefixtures("stocked")
@pytest.mark.parametrize("key", ["pipeline publish", "pipeline schedule"])
def test_slow_operations_are_waited_for(azure: Azure, site: Emulated, begun: Prepare, key: str) -> None:
    it = begun(key)
    site.faults.add(f"slow:{it.verb.effect.format(name=it.name)},seconds=3")
    ran = azure(it.words)
    assert ran.exit_code == 0, ran.stderr
    assert site.faults.struck
    assert it.verb.made(site, it.name) == 1
