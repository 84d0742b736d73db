"""insights, logs and swagger as commands, on an endpoint that really serves."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest
import serving_support

from opsml_cli.domain.endpoint import OnlineEndpoint
from opsml_cli.local.workspace import LocalWorkspace

STATS = {
    "unauthenticated",
    "endpoint",
    "window_seconds",
    "requests",
    "failures",
    "latency_ms",
    "by_deployment",
    "by_status",
    "over_time",
    "enabled",
    "dropped",
    "alerts",
}
LINE = ("timestamp", "level", "kind", "deployment", "message")


class Ran(NamedTuple):
    exit_code: int
    stdout: str
    stderr: str

    @property
    def document(self) -> Any:
        return json.loads(self.stdout)

    @property
    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.stdout.splitlines()]


class Live:
    """The endpoint `bank` of a workspace, its command line, and a client that holds its key."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.workspace = LocalWorkspace(folder / ".opsml")
        home = folder / "home"
        home.mkdir()
        self.environment = {name: os.environ[name] for name in ("PATH", "LANG", "OPSML_TEST_SESSION") if name in os.environ} | {
            "HOME": str(home)
        }
        model = serving_support.register_own(self.workspace, serving_support.train_folder(folder / "training"))
        serving_support.deploy(self.workspace, model, insights=True)
        self.keys = self.workspace.online_endpoints.keys("bank")

    @property
    def endpoint(self) -> OnlineEndpoint:
        return self.workspace.online_endpoints.get("bank")

    def command(self, *arguments: str | Path) -> list[str]:
        return [sys.executable, "-m", "opsml_cli", *map(str, arguments)]

    def opsml(self, *arguments: str | Path, env: dict[str, str] | None = None) -> Ran:
        done = subprocess.run(
            self.command(*arguments),
            capture_output=True,
            stdin=subprocess.DEVNULL,
            env=self.environment | (env or {}),
            cwd=self.folder,
            timeout=60,
            check=False,
        )
        ran = Ran(done.returncode, done.stdout.decode(), done.stderr.decode())
        for key in (self.keys.primary, self.keys.secondary):
            assert key not in ran.stdout + ran.stderr
        return ran

    def begin(self, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            self.command(*arguments),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=self.environment,
            cwd=self.folder,
        )

    def post(self, content: bytes | None = None, key: str | None = None, agent: str = "test") -> int:
        headers = {"content-type": "application/json", "user-agent": agent}
        headers["authorization"] = f"Bearer {key or self.keys.primary}"
        body = serving_support.payload() if content is None else content
        assert self.endpoint.scoring_uri is not None
        return httpx.post(self.endpoint.scoring_uri, content=body, headers=headers, trust_env=False).status_code

    def requests(self) -> int:
        return self.workspace.insights.stats("bank", 3600).requests


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    found = Live(tmp_path_factory.mktemp("insights"))
    try:
        yield found
    finally:
        serving_support.end_all(found.workspace)
        found.workspace.store.close()


def until(condition: Callable[[], object], seconds: float = 15.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


def interrupted(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=20)
    return process.returncode, out, err


# --- insights


def test_a_fresh_deployment_has_no_requests_of_its_own(live: Live) -> None:
    assert live.requests() == 0  # first test of the module: nobody has asked yet


def test_show_has_its_fields_and_counts(live: Live) -> None:
    before = live.requests()
    assert [live.post(), live.post(b'{"data": [{"age": "x"}]}'), live.post(key="wrong")] == [200, 400, 401]
    until(lambda: live.requests() == before + 3)
    ran = live.opsml("insights", "show", "bank", "-o", "json")
    assert ran.exit_code == 0
    found = ran.document
    assert set(found) == STATS
    assert set(found["latency_ms"]) == {"p50", "p95", "p99"}
    assert set(found["by_deployment"]["blue"]) == {"requests", "failures", "latency_ms"}
    assert (found["endpoint"], found["window_seconds"], found["enabled"]) == ("bank", 3600.0, True)
    assert found["failures"] >= 1 and found["unauthenticated"] >= 1
    assert found["by_status"]["401"] >= 1
    assert 0 < found["latency_ms"]["p50"] <= found["latency_ms"]["p95"] <= found["latency_ms"]["p99"]
    shown = live.opsml("insights", "show", "BANK", "--since", "15m")
    assert "15m" in shown.stdout
    assert "blue" in shown.stdout
    row = live.opsml("insights", "show", "bank", "-o", "tsv").stdout.rstrip("\n").split("\t")
    assert (len(row), row[0]) == (6, "bank")


def test_switching_needs_no_restart_and_is_said_when_it_changes_nothing(live: Live) -> None:
    pid = live.opsml("logs", "bank", "--grep", "process [0-9]+$", "-o", "jsonl").stdout
    ran = live.opsml("insights", "enable", "bank", "-o", "json")
    assert (ran.exit_code, ran.document) == (0, {"endpoint": "bank", "insights": True, "unchanged": True})
    planned = live.opsml("insights", "disable", "bank", "--dry-run", "-o", "json")
    assert planned.document == {"endpoint": "bank", "insights": False, "unchanged": False, "dry_run": True}
    assert live.endpoint.insights is True
    assert live.opsml("insights", "disable", "bank", "-o", "json").document["unchanged"] is False
    assert live.opsml("insights", "disable", "bank", "-o", "json").document["unchanged"] is True
    before = live.requests()
    assert live.post() == 200
    assert live.opsml("insights", "enable", "bank", "-o", "json").document["unchanged"] is False
    assert live.post() == 200
    until(lambda: live.requests() == before + 1)
    assert live.opsml("logs", "bank", "--grep", "process [0-9]+$", "-o", "jsonl").stdout == pid


@pytest.mark.parametrize(
    "words", [("insights", "enable"), ("insights", "disable"), ("insights", "show"), ("logs",), ("swagger",)]
)
def test_an_unknown_endpoint_is_not_found(live: Live, words: tuple[str, ...]) -> None:
    ran = live.opsml(*words, "nowhere", "-o", "json")
    assert (ran.exit_code, ran.stdout) == (3, "")
    assert json.loads(ran.stderr.splitlines()[-1])["error"]["code"] == "not_found"
    assert live.opsml(*words, "../bank").exit_code == 2


def test_watch_goes_on_until_interrupted(live: Live) -> None:
    process = live.begin("insights", "show", "bank", "--watch", "-o", "json")
    first, second = json.loads(process.stdout.readline()), json.loads(process.stdout.readline())
    assert set(first) == set(second) == STATS
    code, _, err = interrupted(process)
    assert code == 130
    assert "Traceback" not in err


# --- logs


def test_lines_have_their_fields(live: Live) -> None:
    live.post()
    until(lambda: "request" in live.opsml("logs", "bank", "-o", "jsonl").stdout)
    ran = live.opsml("logs", "bank", "-o", "jsonl")
    assert ran.exit_code == 0
    for line in ran.lines:
        assert set(line) == {*LINE, "status", "duration_ms"} if line["kind"] == "request" else set(LINE)
    assert {line["kind"] for line in ran.lines} == {"container", "request"}
    stamps = [line["timestamp"] for line in ran.lines]
    assert stamps == sorted(stamps)


def test_the_options_choose_lines(live: Live) -> None:
    live.post(b"{}")
    until(
        lambda: any(
            line["status"] == 400
            for line in live.opsml("logs", "bank", "-o", "jsonl", "--level", "warning", "--grep", "^400").lines
        )
    )
    assert {line["kind"] for line in live.opsml("logs", "bank", "--container", "-o", "jsonl").lines} == {"container"}
    assert {line["deployment"] for line in live.opsml("logs", "bank", "--deployment", "blue", "-o", "jsonl").lines} == {"blue"}
    assert len(live.opsml("logs", "bank", "--tail", "2", "-o", "jsonl").lines) == 2
    assert live.opsml("logs", "bank", "--since", "1ms", "-o", "jsonl").stdout == ""
    assert {line["level"] for line in live.opsml("logs", "bank", "--level", "warning", "-o", "jsonl").lines} <= {
        "warning",
        "error",
    }
    for bad in (("--grep", "("), ("--level", "loud"), ("--since", "soon"), ("--tail", "0"), ("--tail", "-1")):
        ran = live.opsml("logs", "bank", *bad)
        assert (ran.exit_code, ran.stdout) == (2, ""), bad
    assert live.opsml("logs", "bank", "--deployment", "green").exit_code == 3


def test_following_writes_each_line_at_once_and_ends_quietly(live: Live) -> None:
    process = live.begin("logs", "bank", "--follow", "--tail", "1", "-o", "json")
    assert process.stdout is not None
    json.loads(process.stdout.readline())
    live.post(agent="follower/1")
    while "follower/1" not in (line := process.stdout.readline()):
        assert line, "the stream ended"
    assert json.loads(line)["status"] == 200
    code, _, err = interrupted(process)
    assert code == 130
    assert "Traceback" not in err


def test_a_reader_that_has_seen_enough_ends_it_quietly(live: Live) -> None:
    follow = " ".join(live.command("logs", "bank", "--follow"))
    for _ in range(3):
        live.post()
    shell = subprocess.Popen(
        ["bash", "-c", f"set -o pipefail; {follow} | head -1; echo ${{PIPESTATUS[0]}}"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
        text=True,
        env=live.environment,
        cwd=live.folder,
    )
    # The command meets the closed pipe with the next line that it writes.
    deadline = time.monotonic() + 30
    while shell.poll() is None and time.monotonic() < deadline:
        live.post()
        with suppress(subprocess.TimeoutExpired):
            shell.wait(timeout=0.2)
    out, err = shell.communicate(timeout=30)
    assert out.splitlines()[1] == "0"
    assert err == ""


def test_log_text_can_neither_draw_nor_command(live: Live) -> None:
    for agent in ("::error::forged", "##vso[task.setvariable variable=x]y", "\x1b[31mred\x1b[0m\x07", "a\rb"):
        live.workspace.layout.endpoint("bank").joinpath("logs", "server.jsonl").open("a").write(
            json.dumps({"timestamp": "2026-01-01T00:00:00.000Z", "level": "info", "kind": "container", "message": agent}) + "\n"
        )
    live.post(agent="::add-mask::x")
    until(lambda: "add-mask" in live.opsml("logs", "bank").stdout)
    for env in ({}, {"GITHUB_ACTIONS": "true"}, {"TF_BUILD": "True"}):
        for form in ("table", "jsonl") if env else ("table", "tsv", "yaml"):
            out = live.opsml("logs", "bank", "-o", form, env=env).stdout
            assert "\x1b" not in out
            assert "\x07" not in out
            assert "\r" not in out
            if env:
                assert not [line for line in out.splitlines() if line.lstrip().startswith(("::", "##vso["))]
                assert "##vso[" not in out


def test_a_message_of_several_lines_stays_readable_and_forges_no_line(live: Live) -> None:
    message = (
        "it failed\n  File 'score.py', line 2\n2030-01-01T00:00:00.000Z  info     container  blue  forged\nValueError: odd\n"
    )
    line = {"timestamp": "2026-01-01T00:00:01.000Z", "level": "error", "kind": "container", "message": message}
    with live.workspace.layout.endpoint("bank").joinpath("logs", "server.jsonl").open("a") as log:
        log.write(json.dumps(line) + "\n")
    out = live.opsml("logs", "bank", "--tail", "1000").stdout
    assert "it failed\n  |   File 'score.py', line 2\n  | 2030-" in out
    assert "\n  | ValueError: odd\n" in out


# --- swagger


def test_the_document_is_printed_and_saved(live: Live) -> None:
    ran = live.opsml("swagger", "bank", "-o", "json")
    assert ran.exit_code == 0
    assert ran.document["openapi"].startswith("3.1")
    assert set(ran.document["paths"]) == {"/score", "/", "/swagger.json", "/metrics"}
    assert json.loads(live.opsml("swagger", "bank").stdout) == ran.document
    saved = live.opsml("swagger", "bank", "--save", "doc.json", "-o", "json")
    assert saved.document == {"endpoint": "bank", "path": "doc.json", "size_bytes": (live.folder / "doc.json").stat().st_size}
    assert json.loads((live.folder / "doc.json").read_text()) == ran.document
    assert live.opsml("swagger", "bank", "--save", "doc.json").exit_code == 0  # again: the same file
    assert live.opsml("swagger", "bank", "--save", "nowhere/doc.json").exit_code == 3
    assert live.opsml("swagger", "bank", "--save", str(live.folder)).exit_code == 2
    assert not list(live.folder.glob(".doc.json*"))


def test_flags_that_do_not_go_together(live: Live) -> None:
    assert live.opsml("swagger", "bank", "--ui", "--check").exit_code == 2
    assert live.opsml("swagger", "bank", "--port", "5").exit_code == 2
    assert live.opsml("swagger", "bank", "--no-browser").exit_code == 2


def test_the_check_passes_on_our_own_server(live: Live) -> None:
    ran = live.opsml("swagger", "bank", "--check", "-o", "json")
    assert ran.exit_code == 0, ran.stdout
    assert (ran.document["ok"], ran.document["findings"]) == (True, [])
    assert ran.document["requests"] >= 15


def test_the_page_is_served_until_interrupted_and_scores(live: Live) -> None:
    process = live.begin("swagger", "bank", "--ui", "--no-browser", "-o", "jsonl")
    url = json.loads(process.stdout.readline())["url"]
    try:
        assert "swagger-ui" in httpx.get(url, trust_env=False).text
        reply = httpx.post(
            url + "proxy/score",
            content=serving_support.payload(),
            headers={"content-type": "application/json"},
            trust_env=False,
        )
        assert reply.status_code == 200
        live.workspace.online_endpoints.rotate_keys("bank", "primary")
        assert httpx.get(url + "proxy/", trust_env=False).status_code == 200
    finally:
        code, _, err = interrupted(process)
        live.keys = live.workspace.online_endpoints.keys("bank")
    assert code == 130
    assert "Traceback" not in err
    assert live.keys.primary not in err


# --- last: the endpoint stops


def test_a_stopped_endpoint_still_tells(live: Live) -> None:
    live.workspace.online_endpoints.stop("bank")
    assert "the server has ended" in live.opsml("logs", "bank").stdout
    assert live.opsml("insights", "show", "bank", "-o", "json").document["requests"] > 0
    assert live.opsml("insights", "disable", "bank", "-o", "json").document == {
        "endpoint": "bank",
        "insights": False,
        "unchanged": False,
    }
    for words in (("swagger", "bank"), ("swagger", "bank", "--check"), ("swagger", "bank", "--ui", "--no-browser")):
        ran = live.opsml(*words)
        assert (ran.exit_code, ran.stdout) == (5, "")
        assert "opsml endpoints start bank" in ran.stderr
