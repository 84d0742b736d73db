"""What a command line costs before it does anything: CPU time (user and system), as the median of interleaved pairs.

    python benchmarks/startup.py [--pairs 15]

Each line compares a command with the import that it cannot do without. Ends with 1 when a ratio is over its limit.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

LIGHT = "import typer"
READ = "import typer, pydantic_settings, sqlite3"
CASES = (
    (("--help",), LIGHT, 1.3),
    (("data", "list", "-o", "json"), READ, 1.25),
    (("endpoints", "show", "{endpoint}", "-o", "json"), READ, 1.25),
    (("jobs", "show", "{job}", "-o", "json"), READ, 1.25),
)


def cpu_seconds(command: list[str], folder: Path) -> tuple[float, int]:
    """User and system seconds of one process, and its exit code."""
    process = subprocess.Popen(
        command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment(folder)
    )
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    return usage.ru_utime + usage.ru_stime, process.returncode


def environment(folder: Path) -> dict[str, str]:
    return {"PATH": os.environ["PATH"], "HOME": str(folder)}


def compare(arguments: list[str], baseline: str, pairs: int, folder: Path) -> tuple[float, float, int]:
    """Median milliseconds of both, and the command's exit code. The pairs alternate, so that both meet the same machine."""
    ours, theirs, code = [], [], 0
    command = [sys.executable, "-m", "opsml_cli", *arguments]
    for program in (command, [sys.executable, "-c", baseline]):
        cpu_seconds(program, folder)  # compiled files and disk cache
    for _ in range(pairs):
        seconds, code = cpu_seconds(command, folder)
        ours.append(seconds)
        theirs.append(cpu_seconds([sys.executable, "-c", baseline], folder)[0])
    return statistics.median(ours) * 1000, statistics.median(theirs) * 1000, code


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=15)
    parser.add_argument("--workspace", type=Path, help="a folder with a .opsml in it; default: an empty one")
    parser.add_argument("--endpoint", default="bank")
    parser.add_argument("--job", default="job")
    given = parser.parse_args()
    over = False
    print(f"{'command':<42} {'ms':>7} {'baseline ms':>12} {'ratio':>6} {'limit':>6}  exit")
    with tempfile.TemporaryDirectory() as empty:
        folder = (given.workspace or Path(empty)).resolve()
        for words, baseline, limit in CASES:
            arguments = [word.format(endpoint=given.endpoint, job=given.job) for word in words]
            ours, theirs, code = compare(arguments, baseline, given.pairs, folder)
            ratio = ours / theirs
            over = over or ratio > limit
            print(f"opsml {' '.join(arguments):<36} {ours:7.1f} {theirs:12.1f} {ratio:6.2f} {limit:6.2f}  {code}")
    return 1 if over else 0


if __name__ == "__main__":
    sys.exit(main())
