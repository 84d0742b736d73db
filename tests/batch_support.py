"""Batch scoring for tests: tables, the scoring step as a process, and what it wrote."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path

from opsml_cli.local.batch.settings import VARIABLE, Settings
from opsml_cli.local.workspace import LocalWorkspace

HEADER = "age,job,balance\n"


def table(path: Path, rows: int, start: int = 0) -> Path:
    """A table that the models of serving_support read."""
    jobs = ("technician", "admin.", "retired")
    lines = (f"{18 + number % 70},{jobs[number % 3]},{number % 977}.5\n" for number in range(start, start + rows))
    path.write_text(HEADER + "".join(lines))
    return path


@dataclass(frozen=True)
class Step:
    """The scoring step of a run, as a process of its own. `code`: the working folder, with the script."""

    workspace: LocalWorkspace
    model: str
    source: Path
    output: Path
    code: Path
    settings: Settings = field(default_factory=Settings)

    def start(self, run: str = "run") -> subprocess.Popen[str]:
        environment = {**os.environ, VARIABLE: json.dumps(asdict(self.settings)), "OPSML_RUN": run}
        command = [sys.executable, "-P", "-m", "opsml_cli.local.batch.scoring"]
        named = ("--root", self.workspace.root, "--model", self.model, "--input", self.source, "--output", self.output)
        self.code.mkdir(parents=True, exist_ok=True)
        return subprocess.Popen(
            [*command, *map(str, named)],
            cwd=self.code,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def finish(self, run: str = "run") -> tuple[int, str]:
        """Exit code and log of a whole run."""
        process = self.start(run)
        log, _ = process.communicate(timeout=120)
        return process.returncode, log

    @property
    def journals(self) -> list[Path]:
        return sorted(self.workspace.layout.batch.glob("*/journal.jsonl"))

    def kept(self) -> int:
        """Mini-batches that the journal holds by now."""
        return sum(path.read_bytes().count(b"\n") for path in self.journals)

    def killed(self, after: int, run: str = "run") -> str:
        """The log of a run that was killed once so many mini-batches were kept."""
        process = self.start(run)

        def reached() -> bool:
            # Stopped while it is looked at, or a quick machine is through before the look is over.
            if process.poll() is not None:
                return True
            os.kill(process.pid, signal.SIGSTOP)
            if self.kept() >= after:
                return True
            os.kill(process.pid, signal.SIGCONT)
            return False

        deadline = time.monotonic() + 60
        while not reached():
            assert time.monotonic() < deadline
            time.sleep(0.001)  # less than a mini-batch takes
        process.kill()
        log, _ = process.communicate(timeout=30)
        return log

    def lines(self, name: str = "predictions.csv") -> list[str]:
        return (self.output / name).read_text().splitlines()
