"""Small tables and real jobs for tests; nothing of theirs is left running."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import waiting

from opsml_cli.domain.data import RegisterData
from opsml_cli.domain.job import AutoMLSpec, Job, Limits, TableSource
from opsml_cli.domain.names import AssetRef
from opsml_cli.domain.progress import Silent
from opsml_cli.local import job_records, processes
from opsml_cli.local.job_process import lock_path
from opsml_cli.local.workspace import LocalWorkspace

SECONDS = 60.0


def until(condition: Callable[[], object], what: str = "the condition", seconds: float = SECONDS) -> None:
    """Wait until `condition` holds."""
    waiting.until(condition, seconds, what)


def write_table(path: Path, rows: int = 200, seed: int = 7) -> Path:
    """A table whose `label` follows from its other columns, with some noise; `amount` is a number to predict."""
    draw = random.Random(seed)
    lines = ["age,income,city,amount,label"]
    for _ in range(rows):
        age, income, city = draw.randint(18, 90), draw.uniform(10, 90), draw.choice(("Bonn", "Kiel", "Ulm"))
        amount = 2 * income + age + (20 if city == "Ulm" else 0) + draw.gauss(0, 5)
        label = "yes" if amount + draw.gauss(0, 15) > 160 else "no"
        lines.append(f"{age},{income:.2f},{city},{amount:.2f},{label}")
    path.write_text("\n".join(lines) + "\n")
    return path


def register(workspace: LocalWorkspace, folder: Path, name: str = "people", rows: int = 200) -> AssetRef:
    source = write_table(folder / f"{name}.csv", rows)
    asset = workspace.data.register(RegisterData(name, str(source)), Silent()).asset
    return AssetRef(asset.name, asset.version)


def spec(asset: AssetRef, *, max_trials: int = 1, timeout: float = 30.0, **changes: object) -> AutoMLSpec:
    """A training of a second or two."""
    small = AutoMLSpec(
        data=TableSource(asset=asset),
        target_column="label",
        limits=Limits(timeout_seconds=timeout, max_trials=max_trials),
        drop_columns=("amount",),
        cross_validations=2,
    )
    return replace(small, **changes)


def wait(workspace: LocalWorkspace, name: str, seconds: float = SECONDS) -> Job:
    until(lambda: workspace.jobs.get(name).status.finished, f"the end of {name}", seconds)
    return workspace.jobs.get(name)


@contextmanager
def ending_jobs(root: Path) -> Iterator[None]:
    """Afterwards no job of the workspace in `root` runs."""
    try:
        yield
    finally:
        workspace = LocalWorkspace(root)
        with workspace.store.read() as connection:
            names = [row["name_key"] for row in connection.execute("SELECT name_key FROM jobs")]
            found = [record for name in names if (record := job_records.load(connection, name)) is not None]
        for record in found:
            if record.process is not None:
                processes.end_group(record.process.pid, record.process.started, force=True)
            path = lock_path(workspace.layout, record.job.name)
            until(lambda path=path: not processes.held(path), f"the end of {record.job.name}'s process")
        workspace.store.close()
