"""What a command line costs before it does anything: CPU time (user and system), as the median of interleaved pairs.

    python benchmarks/startup.py [--pairs 15]

Each line compares a command with the import that it cannot do without. Ends with 1 when a ratio is over its limit.

Reads with `-w azure` go to an emulator that is started for this, with a trained model behind an endpoint. What they cannot do
without is the import of typer, pydantic-settings, httpx and azure-identity, "plus TLS": one client context with the same
certificates, and one handshake with the same server. (A read makes two contexts, its own and that of azure-identity, and
several requests.) Beside them stands the import of azure.ai.ml, which they do without.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

LIGHT = "import typer"
READ = "import typer, pydantic_settings, sqlite3"
CASES = (
    (("--help",), LIGHT, 1.3),
    (("data", "list", "-o", "json"), READ, 1.25),
    (("endpoints", "show", "{endpoint}", "-o", "json"), READ, 1.25),
    (("jobs", "show", "{job}", "-o", "json"), READ, 1.25),
)
SIGNED_IN = """
import typer, pydantic_settings, httpx, azure.identity
import os, socket, ssl
from urllib.parse import urlsplit
server = urlsplit(os.environ["OPSML_AZURE__ARM_URL"])
context = ssl.create_default_context(cafile=os.environ["SSL_CERT_FILE"])
context.wrap_socket(socket.create_connection((server.hostname, server.port)), server_hostname=server.hostname).close()
"""
AZURE_CASES = (
    ("data", "list", "-w", "azure", "-o", "json"),
    ("jobs", "show", "{job}", "-w", "azure", "-o", "json"),
    ("endpoints", "show", "{endpoint}", "-w", "azure", "-o", "json"),
    ("endpoints", "keys", "{endpoint}", "-w", "azure", "-o", "json"),
)
AZURE_LIMIT = 1.25
SDK = "import azure.ai.ml"


def cpu_seconds(command: list[str], folder: Path, more: Mapping[str, str]) -> tuple[float, int]:
    """User and system seconds of one process, and its exit code."""
    process = subprocess.Popen(
        command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment(folder) | more
    )
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    return usage.ru_utime + usage.ru_stime, process.returncode


def environment(folder: Path) -> dict[str, str]:
    return {"PATH": os.environ["PATH"], "HOME": str(folder)}


def compare(command: list[str], baseline: str, pairs: int, folder: Path, more: Mapping[str, str]) -> tuple[float, float, int]:
    """Median milliseconds of both, and the command's exit code. The pairs alternate, so that both meet the same machine."""
    ours, theirs, code = [], [], 0
    imports = [sys.executable, "-c", baseline]
    for program in (command, imports):
        cpu_seconds(program, folder, more)  # compiled files and disk cache
    for _ in range(pairs):
        seconds, code = cpu_seconds(command, folder, more)
        ours.append(seconds)
        theirs.append(cpu_seconds(imports, folder, more)[0])
    return statistics.median(ours) * 1000, statistics.median(theirs) * 1000, code


def opsml(*words: str) -> list[str]:
    return [sys.executable, "-m", "opsml_cli", *words]


def carried_out(folder: Path, *words: str) -> str:
    """What a command prints; CalledProcessError when it fails."""
    return subprocess.run(
        opsml(*words), cwd=folder, env=environment(folder), check=True, stdout=subprocess.PIPE, text=True
    ).stdout


@contextlib.contextmanager
def emulated(folder: Path) -> Iterator[tuple[dict[str, str], str]]:
    """The environment that leads to an emulator over `folder`, and the name of a job; its endpoint is `bank`."""
    rows = "".join(f"{20 + number % 60},{'yes' if number % 3 else 'no'}\n" for number in range(200))
    (folder / "people.csv").write_text(f"age,label\n{rows}")
    carried_out(folder, "data", "register", "people", "people.csv")
    training = ("train", "automl", "--data", "people", "--target-column", "label", "--max-trials", "1", "--cv", "2")
    job = json.loads(carried_out(folder, *training, "--timeout", "30s", "-o", "json"))
    model = json.loads(carried_out(folder, "models", "list", "-o", "json"))[0]
    try:
        carried_out(folder, "local", "up")
        carried_out(folder, "deploy", f"{model['name']}:{model['version']}", "--endpoint", "bank")
        found = json.loads(carried_out(folder, "local", "env", "-o", "json"))
        yield found, str(job["job"])
    finally:
        carried_out(folder, "local", "down", "--yes")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=15)
    parser.add_argument("--workspace", type=Path, help="a folder with a .opsml in it; default: an empty one")
    parser.add_argument("--endpoint", default="bank")
    parser.add_argument("--job", default="job")
    given = parser.parse_args()
    over = False

    def line(words: tuple[str, ...], baseline: str, limit: float, folder: Path, more: Mapping[str, str]) -> bool:
        ours, theirs, code = compare(opsml(*words), baseline, given.pairs, folder, more)
        print(f"opsml {' '.join(words):<42} {ours:7.1f} {theirs:12.1f} {ours / theirs:6.2f} {limit:6.2f}  {code}")
        return ours / theirs > limit

    print(f"{'command':<48} {'ms':>7} {'baseline ms':>12} {'ratio':>6} {'limit':>6}  exit")
    with tempfile.TemporaryDirectory() as empty:
        folder = (given.workspace or Path(empty)).resolve()
        for words, baseline, limit in CASES:
            over |= line(
                tuple(word.format(endpoint=given.endpoint, job=given.job) for word in words), baseline, limit, folder, {}
            )
    with tempfile.TemporaryDirectory() as text, emulated(Path(text).resolve()) as (variables, job):
        folder = Path(text).resolve()
        for words in AZURE_CASES:
            named = tuple(word.format(endpoint="bank", job=job) for word in words)
            over |= line(named, SIGNED_IN, AZURE_LIMIT, folder, variables)
        ours, theirs, _ = compare([sys.executable, "-c", SDK], SIGNED_IN, max(3, given.pairs // 3), folder, variables)
        print(f"{SDK:<48} {ours:7.1f} {theirs:12.1f} {ours / theirs:6.2f} {'':>6}  beside")
    return 1 if over else 0


if __name__ == "__main__":
    sys.exit(main())
