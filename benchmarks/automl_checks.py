"""Promises of a training that need no peer: the served model's size and speed, the leaking column, the budget."""

from __future__ import annotations

import json
import math
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
from automl_data import DataSet, made_up

LEAK = "duration"  # of the call: known when the outcome is
# What the default served model may take: milliseconds in process from dicts to probabilities, megabytes of its folder.
MOST_ROW_MS, MOST_THOUSAND_MS, MOST_MEGABYTES = 0.1, 40.0, 30.0
MOST_OF_BUDGET = 1.1  # from the command's start to the registered model, reports included


def _opsml(work: Path, *words: str) -> str:
    command = [sys.executable, "-m", "opsml_cli", *words]
    return subprocess.run(command, cwd=work, stdout=subprocess.PIPE, text=True, check=True).stdout


def _file(data: DataSet, work: Path) -> Path:
    path = work / f"{data.name}.csv"
    if not path.exists():
        work.mkdir(parents=True, exist_ok=True)
        data.frame.to_csv(path, index=False)
    return path


def _trained(data: DataSet, work: Path, seconds: float, *words: str) -> dict[str, Any]:
    """The job's document, of a training of all rows."""
    path = _file(data, work)
    asked = ("train", "automl", "--data", str(path), "--target-column", data.target, "--timeout", f"{seconds:g}s")
    found: dict[str, Any] = json.loads(_opsml(work, *asked, *words, "-o", "json"))
    return found


def _best(call: Callable[[], object], repeats: int, passes: int) -> float:
    """Milliseconds of one call: the best of several passes, for others use the machine too."""
    found = []
    for _ in range(passes):
        started = time.perf_counter()
        for _ in range(repeats):
            call()
        found.append((time.perf_counter() - started) / repeats * 1000)
    return min(found)


def served(data: DataSet, work: Path, seconds: float) -> bool:
    """Train, and measure the default served model against its limits. Whether it keeps them."""
    from opsml_cli.local.automl import scoring

    folder = Path(_trained(data, work, seconds)["model"]["path"])
    model = scoring.load(str(folder / "data" / "data"))
    frame: pd.DataFrame = data.frame.drop(columns=[data.target]).head(1000)
    rows = frame.astype(object).where(frame.notna(), None).to_dict("records")
    one = thousand = math.inf
    for _ in range(4):  # by turns: a busy second of the machine is not to decide
        one = min(one, _best(lambda: model.probabilities(model.encode(rows[:1])).tolist(), 300, 10))
        thousand = min(thousand, _best(lambda: model.probabilities(model.encode(rows)).tolist(), 3, 10))
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 1e6
    sound = True
    for what, value, most, unit in (
        ("one row", one, MOST_ROW_MS, "ms"),
        ("1,000 rows", thousand, MOST_THOUSAND_MS, "ms"),
        ("model folder", size, MOST_MEGABYTES, "MB"),
    ):
        print(f"{what:14}{value:9.3f} {unit}   at most {most:g} {unit}   {'kept' if value <= most else 'MISSED'}")
        sound = sound and value <= most
    return sound


def leakage(data: DataSet, work: Path, seconds: float) -> bool:
    """Train with the leaking column: the check must say so, with the figure reached with it and the one without, which a
    training without it then bears out."""
    job = _trained(data, work, seconds)["job"]
    checks = json.loads(_opsml(work, "jobs", "report", job, "-o", "json"))["guardrails"]
    said = next(check for check in checks if check["check"] == "Target leakage")
    print(f"with {LEAK!r}: {said['status']}: {said['detail']}")
    honest = _trained(data, work, seconds, "--drop-column", LEAK)["job"]
    found = json.loads(_opsml(work, "jobs", "report", honest, "-o", "json"))
    silent = next(check for check in found["guardrails"] if check["check"] == "Target leakage")
    print(f"without it: {silent['status']}: {silent['detail']}; AUC on unseen rows {found['test_metrics']['AUC_weighted']:.3f}")
    both = f"{LEAK!r}" in said["detail"] and " with, " in said["detail"] and " without" in said["detail"]
    return said["status"] != "passed" and both and LEAK not in silent["detail"]


def budget(data: DataSet, work: Path, seconds: float) -> bool:
    """Train on a hundred rows, on bank marketing and on a million rows: whether the whole command keeps to its time."""
    sound = True
    for table in (made_up(100), data, made_up(1_000_000)):
        _file(table, work)
        started = time.perf_counter()
        found = _trained(table, work, seconds)
        taken = time.perf_counter() - started
        trials = sum(trial["status"] == "Completed" for trial in found["leaderboard"])
        kept = taken <= MOST_OF_BUDGET * seconds
        print(
            f"{table.name:16}{taken:7.1f} s of {seconds:g}   {trials:3d} trials, AUC on unseen rows "
            f"{found['test_metrics']['AUC_weighted']:.4f}   {'kept' if kept else 'MISSED'}"
        )
        sound = sound and kept
    return sound
