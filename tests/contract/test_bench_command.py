"""`opsml bench` on an endpoint that really serves: figures, verdicts, files, CI."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from command_line import Opsml, Ran
from serving_support import ROW, deploy, end_all, register_own, trained_once

from opsml_cli.local.workspace import LocalWorkspace

QUICK = ("--duration", "300ms", "--warmup", "100ms")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with the endpoint `bank` in its workspace, and rows for it."""
    place = tmp_path_factory.mktemp("bench")
    workspace = LocalWorkspace(place / ".opsml")
    deploy(workspace, register_own(workspace, trained_once(tmp_path_factory.getbasetemp())))
    (place / "rows.json").write_text(json.dumps([ROW, {**ROW, "age": 25}]))
    try:
        yield place
    finally:
        end_all(workspace)
        workspace.store.close()


def bench(opsml: Opsml, folder: Path, *words: str, **options: Any) -> Ran:
    return opsml("bench", "bank", "rows.json", *QUICK, "-o", "json", *words, cwd=folder, **options)


def test_figures_verdict_and_baseline(opsml: Opsml, folder: Path) -> None:
    ran = bench(opsml, folder, "--rate", "40", "--warmup", "0", "--slo", "p95<5s,errors<1%", "--save", "before.json")
    assert ran.exit_code == 0, ran.stderr
    found = json.loads(ran.stdout)
    assert (found["requests"], found["errors"], found["mode"], found["target_rate"]) == (12, 0, "open", 40.0)
    assert (
        0 < found["latency_ms"]["p50"] <= found["latency_ms"]["p95"] <= found["latency_ms"]["p99"] <= found["latency_ms"]["max"]
    )
    assert found["slo"]["met"] is True
    assert [each["objective"] for each in found["slo"]["objectives"]] == ["p95<5000ms", "errors<1%"]
    kept = json.loads((folder / "before.json").read_text())
    assert kept["latency_ms"] == found["latency_ms"]

    kept["latency_ms"] |= {"p50": 0.001, "p95": 0.001, "p99": 0.001}
    (folder / "fast.json").write_text(json.dumps(kept))
    worse = bench(opsml, folder, "--clients", "2", "--baseline", "fast.json", "--tolerance", "10")
    assert worse.exit_code == 10
    assert "p95" in worse.stderr and "mode was open, is closed" in worse.stderr
    changes = {each["measure"]: each["ok"] for each in json.loads(worse.stdout)["baseline"]}
    assert (changes["p50"], changes["p95"]) == (False, False)
    assert bench(opsml, folder, "--baseline", "fast.json").exit_code == 0, "without a tolerance it only shows"


def test_an_objective_that_is_missed_ends_with_10_and_stands_in_the_summary_of_ci(opsml: Opsml, folder: Path) -> None:
    page = folder / "page.md"
    ran = bench(opsml, folder, "--slo", "p50<0.0001ms", env={"GITHUB_STEP_SUMMARY": str(page)})
    assert ran.exit_code == 10
    assert json.loads(ran.stdout)["slo"]["met"] is False
    assert "p50<0.0001ms" in ran.stderr
    assert "| p50<0.0001ms | **no** |" in page.read_text()


@pytest.mark.slow
def test_alerts_are_set_when_asked(opsml: Opsml, folder: Path) -> None:
    planned = bench(opsml, folder, "--set-alerts", "--dry-run")
    assert planned.exit_code == 0 and json.loads(planned.stdout)["set_alerts"] is True
    assert json.loads(opsml("insights", "alerts", "bank", "-o", "json", cwd=folder).stdout) == []
    ran = bench(opsml, folder, "--set-alerts", "--rate", "20")
    found = json.loads(ran.stdout)
    rules = [each["rule"] for each in json.loads(opsml("insights", "alerts", "bank", "-o", "json", cwd=folder).stdout)]
    assert sorted(rules) == sorted(found["alerts"]) == sorted(found["proposed_alerts"])
    assert len(rules) == 2 and any(rule.startswith("p95>") for rule in rules)
    opsml("local", "down", "--yes", cwd=folder)
    opsml("endpoints", "start", "bank", cwd=folder)


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (("--slo", "p77<1ms"), 2, "p77"),
        (("--rate", "0"), 2, "--rate"),
        (("--clients", "0"), 2, "--clients"),
        (("--duration", "2h"), 2, "at most 1h"),
        (("--tolerance", "5"), 2, "--baseline"),
        (("--sample", "3"), 2, "INPUT"),
        (("--baseline", "nowhere.json"), 3, "nowhere.json"),
        (("--baseline", "rows.json"), 7, "no figures"),
        (("--deployment", "green"), 3, "green"),
        (("--warmup", "-1s"), 2, "duration"),
        (("--save", "no/such/folder.json"), 3, "mkdir"),
    ],
)
def test_what_cannot_be_is_refused(opsml: Opsml, folder: Path, words: tuple[str, ...], code: int, told: str) -> None:
    ran = bench(opsml, folder, *words)
    assert ran.exit_code == code, ran.stderr
    assert ran.stdout == "" and told in ran.stderr
