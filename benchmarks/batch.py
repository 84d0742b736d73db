"""Batch scoring of a large file: rows a second, the most memory that the run's processes held together, and the same results
after kills.

python benchmarks/batch.py --rows 1000000 --format csv --workers 1 --kills 3

Trains a small model, writes a table, scores it whole, then again with `--kills` SIGKILLs at even distances, and compares the
files."""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import psutil

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))


def table(path: Path, rows: int) -> None:
    """`rows` rows, written in parts, whatever the format."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.csv as pacsv
    import pyarrow.parquet as pq

    random, writer = np.random.default_rng(3), None
    with path.open("wb") as file:
        for start in range(0, rows, 100_000):
            count = min(100_000, rows - start)
            part = pa.table(
                {
                    "id": np.arange(start, start + count),
                    "age": random.integers(18, 90, count),
                    "job": random.choice(["technician", "admin.", "retired"], count),
                    "balance": random.normal(0, 100, count).round(2),
                }
            )
            if path.suffix == ".jsonl":
                file.write("".join(f"{json.dumps(row)}\n" for row in part.to_pylist()).encode())
                continue
            if writer is None:
                make = pq.ParquetWriter if path.suffix == ".parquet" else pacsv.CSVWriter
                writer = make(file, part.schema)
            writer.write_table(part)
        if writer is not None:
            writer.close()


class Watch:
    """The most memory (RSS, in MB) that a process and its children held together."""

    def __init__(self, pid: int) -> None:
        self.most = 0.0
        self._process = psutil.Process(pid)
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()

    def _look(self) -> None:
        while True:
            try:
                family = [self._process, *self._process.children(recursive=True)]
                self.most = max(self.most, sum(each.memory_info().rss for each in family) / 1e6)
            except psutil.Error:
                if not self._process.is_running():
                    return
            time.sleep(0.05)


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--format", choices=("csv", "parquet", "jsonl"), default="csv")
    parser.add_argument("--workers", type=int, default=1, help="mini-batches at once")
    parser.add_argument("--kills", type=int, default=3)
    given = parser.parse_args(arguments)

    from batch_support import Step
    from serving_support import register_own, train_folder

    from opsml_cli.local.batch.settings import Settings
    from opsml_cli.local.workspace import LocalWorkspace

    with tempfile.TemporaryDirectory(prefix="opsml-batch-") as name:
        folder = Path(name)
        workspace = LocalWorkspace(folder / ".opsml")
        model = register_own(workspace, train_folder(folder / "training"))
        source = folder / f"rows.{given.format}"
        table(source, given.rows)
        settings = Settings(workers=given.workers)
        whole = Step(workspace, f"{model.name}:{model.version}", source, folder / "whole", folder / "code", settings)
        begun = time.monotonic()
        process = whole.start()
        watch = Watch(process.pid)
        log, _ = process.communicate()
        seconds = time.monotonic() - begun
        assert process.returncode == 0, log
        print(f"{given.rows:,} rows of {given.format} ({source.stat().st_size / 1e6:.0f} MB), {given.workers} at once")
        print(f"  {given.rows / seconds:,.0f} rows a second, start and reading included; most memory {watch.most:.0f} MB")
        if given.kills:
            _killed(whole, folder / "killed", given.rows, given.kills)
        workspace.store.close()


def _killed(whole, output: Path, rows: int, kills: int) -> None:  # type: ignore[no-untyped-def]
    from dataclasses import replace

    step, blocks = replace(whole, output=output), max(1, rows // 10_000)
    for number in range(1, kills + 1):
        process: subprocess.Popen[str] = step.start()
        while process.poll() is None and step.kept() < number * blocks // (kills + 1):
            time.sleep(0.01)
        os.kill(process.pid, signal.SIGKILL)
        process.communicate()
    code, log = step.finish()
    assert code == 0, log
    same = _digest(output) == _digest(whole.output)
    count = len(step.lines())
    print(f"  after {kills} kills: {count:,} rows, {'the same file' if same else 'ANOTHER FILE'}; {log.splitlines()[0]}")


def _digest(folder: Path) -> str:
    with (folder / "predictions.csv").open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


if __name__ == "__main__":
    main(sys.argv[1:])
