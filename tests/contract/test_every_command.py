"""Every command of the table, once, in one live workspace with canary secrets around it: its JSON has the fields that are
listed here by hand, and no secret is in any output, file or process list except where it is asked for by name."""

from __future__ import annotations

import json
import os
import shutil
import stat
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from subprocess import DEVNULL
from subprocess import run as run_process
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent.parent))
from jobs_live import write_table
from pipeline_support import small_pipeline

from opsml_cli.cli import table

pytestmark = pytest.mark.slow
CANARIES = {
    "AZURE_CLIENT_SECRET": "canary-azure-5b1f7c20",
    "OPSML_AZURE__CLIENT_SECRET": "canary-opsml-9d3e6a41",
    "STORAGE_ACCOUNT_KEY": "canary-storage-2c8f0b77",
    "REGISTRY_TOKEN": "canary-token-e41d95aa",
}
DATA = "name version type uri rows columns sha256 unchanged"
JOB = (
    "job experiment status workspace best test_metrics baseline_metrics threshold leaderboard guardrails model duration_seconds"
)
ENDPOINT = "endpoint deployment state scoring_uri swagger_uri model traffic insights unchanged"
RUN = "run pipeline version status steps outputs"
PIPELINE = "name version url unchanged"
MODEL = "name version path algorithm metrics threshold signature sha256 job"
SWITCHED = "endpoint insights unchanged"
BATCH = "endpoint default"
SCHEDULE = "name enabled pipeline version when next_run next_runs last_runs trigger inputs experiment created_at error"
SETTING = "name value origin"
PROCESSES = "running pid url processes emulator"

# Command → the fields of its result, or of the elements of a list. Written by hand from the contract: a field that is
# renamed or dropped breaks somebody's script.
FIELDS = {
    "demo": "workspace data_source steps endpoint scoring_uri metrics",
    "data register": DATA,
    "data list": "name version type rows columns sha256",
    "data show": f"{DATA} profile",
    "data profile": "rows size_bytes format delimiter encoding compression target columns",
    "data check": DATA,
    "train automl": JOB,
    "deploy": ENDPOINT,
    "score": "predictions classes probabilities rows deployment latency_ms",
    "bench": "endpoint requests errors rate latency_ms slo",
    "swagger": "openapi info servers paths components",
    "logs": "timestamp level kind deployment message",
    "endpoints list": "endpoint deployment state scoring_uri model traffic insights",
    "endpoints show": ENDPOINT,
    "endpoints start": ENDPOINT,
    "endpoints stop": ENDPOINT,
    "endpoints invoke": "endpoint deployment status bytes body out",
    "endpoints keys": "primary secondary",
    "endpoints rotate-keys": "primary secondary",
    "endpoints traffic": ENDPOINT,
    "endpoints rollback": ENDPOINT,
    "endpoints delete": "endpoint deployment deleted",
    "batch deploy": f"{BATCH} deployment type model scoring_script component compute settings unchanged",
    "batch run": "run endpoint deployment status results failed_files mini_batches outputs inputs experiment files",
    "batch list": f"{BATCH} state deployments created_at",
    "batch show": f"{BATCH} state deployments scoring_uri auth_mode created_at",
    "batch delete": "endpoint deployment deleted",
    "insights enable": SWITCHED,
    "insights disable": SWITCHED,
    "insights show": "endpoint window_seconds requests failures latency_ms by_deployment alerts",
    "insights alerts": "name rule state value since",
    "insights check": "endpoint ok rules",
    "pipeline publish": PIPELINE,
    "pipeline trigger": RUN,
    "pipeline run": RUN,
    "pipeline list": "name version url default_version steps created_at",
    "pipeline show": f"{PIPELINE} default_version versions steps inputs",
    "pipeline url": "pipeline version url command",
    "pipeline validate": "name version url steps inputs notes",
    "pipeline delete": "pipeline versions deleted",
    "pipeline schedule": f"{SCHEDULE} unchanged",
    "schedules list": "name enabled pipeline when next_run created_at",
    "schedules show": SCHEDULE,
    "schedules enable": SCHEDULE,
    "schedules disable": SCHEDULE,
    "schedules trigger": "schedule run",
    "schedules delete": "schedule deleted",
    "jobs list": "job experiment status",
    "jobs show": JOB,
    "jobs watch": "job status",
    "jobs logs": "message",
    "jobs cancel": "job status",
    "jobs leaderboard": "rank trial algorithm metrics duration_seconds",
    "jobs download": "name files",
    "jobs report": "job status task metric model best test_metrics baseline_metrics intervals guardrails leaderboard curves",
    "models list": "name version algorithm metrics",
    "models explain": "model task class data_rows importance dependence rows",
    "models compare": "a b metric rows difference interval verdict metrics",
    "models show": MODEL,
    "models register": MODEL,
    "models download": "name files",
    "local up": PROCESSES,
    "local down": "ended left",
    "local status": PROCESSES,
    "local backup": "path workspace files bytes created_at set_aside",
    "local restore": "path workspace files bytes created_at set_aside",
    "local env": "ARM_CLOUD_METADATA_URL AZURE_CLIENT_ID AZURE_CLIENT_SECRET AZURE_SUBSCRIPTION_ID AZUREML_WORKSPACE_NAME",
    "local run": "",
    "local token": "token",
    "init": "path workspace unchanged",
    "config show": SETTING,
    "workspace show": "name kind location origin",
    "workspace create": "name location state detail unchanged",
    "workspace share": "principal object_id role scope unchanged client_id tenant_id secret_file",
    "compute list": "name type state size min_nodes max_nodes",
    "compute show": "name type state size min_nodes max_nodes",
    "compute create": "name type state size min_nodes max_nodes",
    "doctor": "ok checks",
    "help exit-codes": "exit_code codes meaning",
    "help environment": "variable default meaning",
    "help formats": "format meaning",
}
# Nested values: command → where (JMESPath) → fields.
NESTED = {
    "train automl": {
        "best": "trial algorithm metrics",
        "leaderboard[0]": "rank trial algorithm metrics duration_seconds",
        "guardrails[0]": "check status detail",
        "model": "name version path",
    },
    "deploy": {"model": "name version"},
    "endpoints show": {"model": "name version"},
    "bench": {"latency_ms": "p50 p95 p99 max", "slo": "met"},
    "insights show": {"latency_ms": "p50 p95 p99", "by_deployment.blue": "requests failures latency_ms"},
    "insights check": {"rules[0]": "rule kind ok value detail"},
    "pipeline trigger": {"steps[0]": "name status duration_seconds reused"},
    "schedules show": {"trigger": "type frequency interval time_zone", "last_runs[0]": "run due status"},
    "local status": {"processes[0]": "kind name pid status url", "emulator": "running pid url pace inject"},
    "doctor": {"checks[0]": "check ok detail fix"},
}
JOB_OPTIONS = ("--data", "people", "--target-column", "label", "--drop-column", "amount", "--cv", "2")


@dataclass
class Told:
    """One command's streams and the document on stdout."""

    stdout: str
    stderr: str
    document: Any


@dataclass
class Story:
    """A workspace in `folder` in which every command ran once."""

    folder: Path
    environment: dict[str, str]
    told: dict[str, Told] = field(default_factory=dict)
    secrets: dict[str, str] = field(default_factory=dict)

    def opsml(self, path: str, *arguments: str, cwd: Path | None = None, keep: bool = True) -> Any:
        done = run_process(
            [sys.executable, "-m", "opsml_cli", *path.split(), *arguments, "-o", "json", "--debug"],
            cwd=cwd or self.folder, env=self.environment, capture_output=True, check=False, timeout=120,
            stdin=DEVNULL,
        )  # fmt: skip
        stdout, stderr = done.stdout.decode(), done.stderr.decode()
        assert done.returncode == 0, f"opsml {path}: {stderr}"
        try:
            document = json.loads(stdout)
        except ValueError:  # a stream: one object a line
            document = [json.loads(line) for line in stdout.splitlines()]
        if keep:
            self.told[path] = Told(stdout, stderr, document)
        return document


def _tell(story: Story) -> None:
    opsml = story.opsml
    folder = story.folder
    write_table(folder / "people.csv")
    pipeline = str(small_pipeline(folder / "code"))
    elsewhere = folder / "elsewhere"
    elsewhere.mkdir()

    for path in ("help exit-codes", "help environment", "help formats", "config show", "workspace show", "doctor"):
        opsml(path)
    opsml("init", cwd=elsewhere)
    opsml("data register", "people", "people.csv", "--target-column", "label")
    opsml("data list")
    opsml("data show", "people")
    opsml("data profile", "people")
    opsml("data check", "people")
    job = opsml("train automl", *JOB_OPTIONS, "--max-trials", "1", "--test-size", "0.2")["job"]
    for path in ("jobs show", "jobs watch", "jobs logs", "jobs leaderboard", "jobs report"):
        opsml(path, job)
    opsml("jobs list")
    opsml("jobs download", job, "--to", "got")
    opsml("models list")
    opsml("models show", "people-label")
    opsml("models explain", "people-label", "--sample", "1")
    opsml("models compare", "people-label", "people-label", "--data", "people")
    opsml("models download", "people-label", "--to", "model")
    found = next((folder / "model").rglob("MLmodel")).parent
    opsml("models register", "copied", str(found), "--trust")
    long = opsml("train automl", *JOB_OPTIONS, "--max-trials", "100000", "--timeout", "300s", "--no-wait", keep=False)["job"]
    opsml("jobs cancel", long, "--yes")

    opsml("deploy", "people-label", "--endpoint", "bank")
    story.secrets |= {f"{name} key": text for name, text in opsml("endpoints keys", "bank", "--reveal", keep=False).items()}
    opsml("endpoints keys", "bank")
    opsml("insights enable", "bank")
    opsml("score", "bank", "--sample", "2", "--proba")
    opsml("bench", "bank", "--duration", "200ms", "--slo", "errors<100%")
    for path in ("swagger", "logs", "insights show", "endpoints show"):
        opsml(path, "bank")
    opsml("insights alerts", "bank", "--alert", "p95>9s for 5m")
    opsml("insights check", "bank", "--slo", "errors<100%")
    (folder / "body.json").write_text('{"Inputs": {"data": []}}')
    opsml("endpoints invoke", "bank", "--request-file", "body.json")
    opsml("endpoints list")
    opsml("endpoints traffic", "bank", "blue=0")
    opsml("endpoints rollback", "bank")
    opsml("insights disable", "bank")

    opsml("batch deploy", "people-label", "--endpoint", "nightly")
    opsml("batch run", "nightly", "people.csv", "--out", "scored")
    opsml("batch list")
    opsml("batch show", "nightly")
    opsml("batch delete", "nightly", "--yes")

    opsml("pipeline validate", pipeline)
    opsml("pipeline publish", pipeline, "--name", "small")
    opsml("local up")
    story.secrets["service token"] = opsml("local token")["token"]
    story.secrets["principal's secret"] = opsml("local env")["AZURE_CLIENT_SECRET"]
    opsml("pipeline url", "small", "--curl")
    opsml("pipeline list")
    opsml("pipeline show", "small")
    opsml("pipeline trigger", "small")
    opsml("pipeline run", pipeline)
    opsml("pipeline schedule", "small", "--every", "day", "--at", "06:00")
    opsml("schedules list")
    opsml("jobs watch", opsml("schedules trigger", "small")["run"], keep=False)
    opsml("schedules show", "small")
    opsml("local status")
    aside = Path(story.environment["HOME"])
    opsml("local backup", str(aside / "backup.tar"))
    opsml("local restore", str(aside / "backup.tar"), cwd=aside)
    assert stat.S_IMODE((aside / "backup.tar").stat().st_mode) == 0o600
    # They hold the keys, as the command says.
    (aside / "backup.tar").unlink()
    shutil.rmtree(aside / ".opsml")
    opsml("workspace create")
    opsml("workspace share", "--create-principal", "ci")
    opsml("compute create", "small")
    opsml("compute list")
    opsml("compute show", "local")
    _look_at_processes(story)

    opsml("schedules disable", "small")
    opsml("schedules enable", "small")
    opsml("schedules disable", "small", keep=False)
    opsml("schedules delete", "small", "--yes")
    opsml("endpoints stop", "bank")
    opsml("endpoints start", "bank")
    opsml("endpoints rotate-keys", "bank", "--yes")
    new = opsml("endpoints keys", "bank", "--reveal", keep=False)
    story.secrets |= {f"new {name} key": text for name, text in new.items()}
    opsml("pipeline delete", "small", "--yes")


def _look_at_processes(story: Story) -> None:
    import psutil

    lines = [" ".join(process.info["cmdline"] or ()) for process in psutil.process_iter(["cmdline"])]
    assert any(str(story.folder) in line for line in lines), "no server of this workspace was looked at"
    for name, secret in {**CANARIES, **story.secrets}.items():
        assert not any(secret in line for line in lines), f"{name} is in a process's arguments"


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    folder = tmp_path_factory.mktemp("every-command")
    home = folder.with_name(folder.name + "-home")
    home.mkdir()
    kept = {name: os.environ[name] for name in ("PATH", "LANG", "TMPDIR", "OPSML_TEST_SESSION") if name in os.environ}
    found = Story(folder, kept | {"HOME": str(home), "TERM": "xterm"} | CANARIES)
    try:
        _tell(found)
        yield found
    finally:
        # Not asserted here: a story that broke has told why already.
        run_process(
            [sys.executable, "-m", "opsml_cli", "local", "down", "--jobs", "--yes"],
            cwd=folder, env=found.environment, capture_output=True, check=False, timeout=60,
        )  # fmt: skip


def test_the_list_has_every_command() -> None:
    assert set(FIELDS) == set(table.BY_PATH)


def _has(document: Any, fields: str, where: str) -> None:
    if isinstance(document, list):
        assert document, f"{where} is empty"
        document = document[0]
    missing = set(fields.split()) - set(document)
    assert not missing, f"{where} lacks {sorted(missing)}; it has {sorted(document)}"


# These end what the others need (see below), are a flow of their own (tests/unit/test_demo_command.py), or print nothing of
# their own (tests/emulator/test_commands.py).
APART = ("demo", "local down", "local run", "endpoints delete")


@pytest.mark.parametrize("path", [path for path in FIELDS if path not in APART])
def test_fields(story: Story, path: str) -> None:
    import jmespath

    told = story.told[path]
    _has(told.document, FIELDS[path], path)
    for where, fields in NESTED.get(path, {}).items():
        _has(jmespath.search(where, told.document), fields, f"{path}: {where}")


def test_no_output_holds_a_secret(story: Story) -> None:
    assert len(story.secrets) == 6
    for path, told in story.told.items():
        for name, secret in {**CANARIES, **story.secrets}.items():
            assert secret not in told.stderr, f"opsml {path}: {name} is on stderr"
            if (path, name) not in (("local token", "service token"), ("local env", "principal's secret")):
                assert secret not in told.stdout, f"opsml {path}: {name} is on stdout"


def _files(folder: Path) -> Iterator[Path]:
    yield from (path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())


def test_no_file_outside_secrets_holds_a_secret(story: Story) -> None:
    secrets = story.folder / ".opsml" / "secrets"
    home = Path(story.environment["HOME"])
    logs = [path for path in _files(home) if path.suffix == ".log"]
    assert logs, "--debug wrote no log"
    for path in (*_files(story.folder), *_files(home)):
        if path.is_relative_to(secrets):
            continue
        content = path.read_bytes()
        for name, secret in {**CANARIES, **story.secrets}.items():
            assert secret.encode() not in content, f"{name} is in {path}"


@pytest.mark.skipif(os.name == "nt", reason="rights of POSIX")
def test_the_workspace_is_its_owners_alone(story: Story) -> None:
    root = story.folder / ".opsml"
    assert stat.S_IMODE(root.stat().st_mode) == 0o700
    assert stat.S_IMODE((root / "secrets").stat().st_mode) == 0o700
    held = list(_files(root / "secrets"))
    assert held
    assert {stat.S_IMODE(path.stat().st_mode) for path in held} == {0o600}
    for log in _files(Path(story.environment["HOME"])):
        if log.suffix == ".log":
            assert stat.S_IMODE(log.stat().st_mode) == 0o600


@pytest.fixture(scope="module")
def ended(story: Story) -> Callable[[str], Any]:
    """The commands that end things, run when the rest has been looked at."""
    story.opsml("endpoints delete", "bank", "--yes")
    story.opsml("local down", "--jobs", "--yes")
    return lambda path: story.told[path].document


@pytest.mark.parametrize("path", ["endpoints delete", "local down"])
def test_fields_of_what_ends_things(ended: Callable[[str], Any], path: str) -> None:
    _has(ended(path), FIELDS[path], path)
