"""What serving costs beside Microsoft's and MLflow's servers: the same models, the same client, in one run.

    python benchmarks/serving.py [--seconds 3] [--rounds 3] [--only NAME,…] [--work DIR]

Each server runs with one worker in an environment of its own (made on first use, as the tests' peers are), all of them at once
and idle but one: rounds go from server to server, so that a machine whose speed changes is as slow for each. The client
(serving_client.py) is a process of its own. On two cores the one is the server's and the other the client's.

The models (serving_models.py): a pickled scikit-learn Pipeline on the demo's data, the same behind code of its own (no compiler
knows it), the same behind a scoring script, and a model that opsml trained. `constant` is a bare ASGI application on uvicorn
that reads the body and answers a constant: what HTTP itself costs. Exit 1 when a line of LIMITS is missed.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "tests" / "peers"))
from peer_environments import python_of  # noqa: E402

ROWS = 1000
PEAK_SHARE = 0.7

_CONSTANT = """
import socket
import uvicorn
BODY = b'["no"]'
HEADERS = [(b"content-type", b"application/json"), (b"content-length", b"6")]
async def app(scope, receive, send):
    more = True
    while more:
        more = (await receive()).get("more_body")
    await send({"type": "http.response.start", "status": 200, "headers": HEADERS})
    await send({"type": "http.response.body", "body": BODY})
listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
listener.bind(("127.0.0.1", 0))
listener.listen(128)
print(listener.getsockname()[1], flush=True)
config = uvicorn.Config(app, http="httptools", loop="uvloop", ws="none", lifespan="off", log_config=None, access_log=False)
uvicorn.Server(config).run(sockets=[listener])
"""


@dataclass(frozen=True)
class Server:
    """Where a server answers, and with which bodies: of one row and of a thousand."""

    name: str
    port: int
    path: str
    bodies: tuple[Path, Path]
    key: str | None = None


@dataclass(frozen=True)
class Limit:
    """`of` must have at least `times` the requests a second of `over`, with `rows` rows a request."""

    of: str
    over: str
    times: float
    rows: int = 1


LIMITS = (
    Limit("opsml pipeline", "microsoft pipeline", 35),
    Limit("opsml pipeline", "mlflow pipeline", 60),
    Limit("opsml pipeline", "constant", 0.5),
    Limit("opsml own", "mlflow own", 40),
    Limit("opsml custom", "mlflow custom", 1),
    Limit("opsml script", "microsoft pipeline", 1),
    Limit("opsml pipeline", "microsoft pipeline", 3, ROWS),
    Limit("opsml pipeline", "mlflow pipeline", 3, ROWS),
    Limit("opsml own", "mlflow own", 3, ROWS),
)
P99_MS = 3.0
DEPLOY_SECONDS = {"opsml own": 1.0, "opsml pipeline": 8.0, "opsml custom": 8.0, "opsml script": 8.0}
WORKER_MB = 90.0


def opsml(folder: Path, *words: str) -> dict[str, object]:
    """A command's JSON result."""
    done = subprocess.run(
        [sys.executable, "-m", "opsml_cli", *words, "-o", "json"], cwd=folder, stdout=subprocess.PIPE, check=True, text=True
    )
    found: dict[str, object] = json.loads(done.stdout) if done.stdout.strip() else {}
    return found


def made(work: Path, folder: Path) -> Path:
    """The table, the foreign models and the own one."""
    import csv

    from opsml_cli.bank_marketing import twin

    table = folder / "bank.csv"
    columns = twin.draw(twin.tables(), twin.ROWS, twin.SEED)
    with table.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        writer.writerows(zip(*columns.values(), strict=True))
    models = folder / "models"
    subprocess.run([python_of("mlflow"), HERE / "serving_models.py", table, models], check=True, cwd=work, env=_quiet())
    trained = opsml(folder, "train", "automl", "--data", str(table), "--target-column", "y", "--timeout", "20s")
    model = trained["model"]
    assert isinstance(model, dict)
    opsml(folder, "models", "download", f"{model['name']}:{model['version']}", "--to", str(models / "downloaded"))
    next((models / "downloaded").iterdir()).rename(models / "own")
    return models


def _quiet() -> dict[str, str]:
    return {
        **os.environ,
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_TRACKING_URI": "file:///nonexistent",
        "OMP_NUM_THREADS": "1",
    }


def bodies(models: Path, name: str, wrap: str | None) -> tuple[Path, Path]:
    """The rows as one server reads them: below the key `wrap`, or as they are."""
    found = []
    for size in ("row", "rows"):
        document = json.loads((models / f"{size}.json").read_text())
        path = models / f"{name.replace(' ', '-')}-{size}.json"
        path.write_text(json.dumps({wrap: document} if wrap else document))
        found.append(path)
    return found[0], found[1]


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@contextmanager
def process(command: list[str | Path], **options: object) -> Iterator[subprocess.Popen[str]]:
    """A server that ends with the block, with all that it started."""
    running = subprocess.Popen(command, text=True, start_new_session=True, **options)  # type: ignore[call-overload]
    try:
        yield running
    finally:
        os.killpg(running.pid, 15)
        try:
            running.wait(10)
        except subprocess.TimeoutExpired:
            os.killpg(running.pid, 9)
            running.wait()


def await_answer(port: int, path: str, seconds: float = 120.0) -> None:
    """Until the server answers at all."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5):
                break
        except urllib.error.HTTPError:  # it answers
            break
        except OSError:
            time.sleep(0.2)


@contextmanager
def peers(models: Path, work: Path) -> Iterator[list[Server]]:
    """MLflow's server for each folder, Microsoft's for the script, and the constant."""
    with ExitStack() as stack:
        servers = []
        log = stack.enter_context((work / "peers.log").open("w"))
        constant = stack.enter_context(process([sys.executable, "-c", _CONSTANT], stdout=subprocess.PIPE))
        assert constant.stdout is not None
        servers.append(Server("constant", int(constant.stdout.readline()), "/score", bodies(models, "constant", None)))
        mlflow = python_of("mlflow")
        for name in ("pipeline", "custom", "own"):
            port = free_port()
            serve = [mlflow, "-m", "mlflow", "models", "serve", "-m", models / name, "-p", str(port), "--env-manager", "local"]
            path = {**_quiet(), "PATH": f"{mlflow.parent}:{os.environ['PATH']}"}
            stack.enter_context(process([*serve, "-w", "1"], stdout=log, stderr=log, env=path, cwd=work))
            servers.append(Server(f"mlflow {name}", port, "/invocations", bodies(models, f"mlflow {name}", "dataframe_split")))
        microsoft = python_of("azureml")
        port = free_port()
        serve = [microsoft.parent / "azmlinfsrv", "--entry_script", models / "code" / "score.py", "--port", str(port)]
        path = {**os.environ, "PATH": f"{microsoft.parent}:{os.environ['PATH']}", "WORKER_COUNT": "1"}
        stack.enter_context(process(serve, stdout=log, stderr=log, env=path, cwd=models / "code"))
        servers.append(Server("microsoft pipeline", port, "/score", bodies(models, "microsoft", None)))
        for server in servers:
            await_answer(server.port, "/ping" if server.name.startswith("mlflow") else "/")
        yield servers


@contextmanager
def endpoints(models: Path, folder: Path, figures: dict[str, float]) -> Iterator[list[Server]]:
    """Our endpoints; how long each deployment took goes into `figures`, and the worker's memory."""
    words = {
        "own": ["own"],
        "pipeline": [str(models / "pipeline"), "--trust"],
        "custom": [str(models / "custom"), "--trust"],
        "script": ["--code", str(models / "code"), "--scoring-script", "score.py", "--trust"],
    }
    servers = []
    try:
        opsml(folder, "models", "register", "own", str(models / "own"))
        for name, chosen in words.items():
            started = time.perf_counter()
            found = opsml(folder, "deploy", *chosen, "--endpoint", f"bench-{name}")
            figures[f"deploy opsml {name}"] = time.perf_counter() - started
            port = int(str(found["scoring_uri"]).split(":")[2].split("/")[0])
            key = str(opsml(folder, "endpoints", "keys", f"bench-{name}", "--reveal")["primary"])
            wrap = None if name == "script" else "input_data"
            servers.append(Server(f"opsml {name}", port, "/score", bodies(models, f"opsml {name}", wrap), key))
            if name == "own":
                figures["worker MB"] = _memory(folder / ".opsml" / "endpoints" / "bench-own")
        yield servers
    finally:
        opsml(folder, "local", "down", "--yes")


def _memory(place: Path) -> float:
    import psutil

    return float(psutil.Process(json.loads((place / "server.json").read_text())["pid"]).memory_info().rss) / 2**20


def measure(server: Server, rows: int, seconds: float, rate: float | None = None) -> dict[str, float]:
    """One run of the client."""
    command = [sys.executable, HERE / "serving_client.py", str(server.port), server.path, server.bodies[rows > 1]]
    command += ["--seconds", str(seconds)]
    command += ["--rate", str(rate)] if rate else []
    environment = {**os.environ, **({"ENDPOINT_KEY": server.key} if server.key else {})}
    found: dict[str, float] = json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True, env=environment).stdout)
    if found["wrong"]:
        raise SystemExit(f"{server.name}: {found['wrong']} beside {found['requests']} answers")
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", help="servers by name, with commas")
    options = parser.parse_args()
    figures: dict[str, float] = {}
    rates: dict[tuple[str, int], float] = {}
    with ExitStack() as stack:
        work = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        folder = work / "workspace"
        folder.mkdir()
        models = made(work, folder)
        servers = [
            *stack.enter_context(peers(models, work)),
            *stack.enter_context(endpoints(models, folder, figures)),
        ]
        if options.only:
            servers = [server for server in servers if server.name in options.only.split(",")]
        for rows in (1, ROWS):
            samples: dict[str, list[dict[str, float]]] = {server.name: [] for server in servers}
            for server in servers:
                measure(server, rows, 1.0)
            for _ in range(options.rounds):
                for server in servers:
                    samples[server.name].append(measure(server, rows, options.seconds))
            for name, found in samples.items():
                rates[name, rows] = statistics.median(each["rate"] for each in found)
                p50, p99 = (statistics.median(each[key] for each in found) for key in ("p50_ms", "p99_ms"))
                print(
                    f"{name:20} {rows:5} rows: {rates[name, rows]:9.1f} requests/s, p50 {p50:.2f} ms, p99 {p99:.2f} ms",
                    flush=True,
                )
        for server in servers:
            if server.name in ("opsml own", "opsml pipeline", "constant"):
                share = PEAK_SHARE * rates[server.name, 1]
                found = [measure(server, 1, options.seconds, share)["p99_ms"] for _ in range(options.rounds)]
                if server.name == "constant":  # what the machine and the client make of an application that does nothing
                    print(f"p99 of constant at {share:.0f} requests/s: {statistics.median(found):.2f} ms", flush=True)
                else:
                    figures[f"p99 {server.name}"] = statistics.median(found)
    return judged(rates, figures)


def judged(rates: dict[tuple[str, int], float], figures: dict[str, float]) -> int:
    """Print every limit with its figure; 1 when one is missed."""
    lines = [
        (
            f"{limit.of} over {limit.over}, {limit.rows} rows",
            rates[limit.of, limit.rows] / rates[limit.over, limit.rows],
            ">=",
            limit.times,
        )
        for limit in LIMITS
        if (limit.of, limit.rows) in rates and (limit.over, limit.rows) in rates
    ]
    lines += [(name, value, "<=", P99_MS) for name, value in figures.items() if name.startswith("p99")]
    lines += [(f"deploy {name}, s", figures[f"deploy {name}"], "<=", most) for name, most in DEPLOY_SECONDS.items()]
    lines += [("worker of an own model, MB", figures["worker MB"], "<=", WORKER_MB)]
    missed = 0
    for name, value, sign, bound in lines:
        held = value >= bound if sign == ">=" else value <= bound
        missed += not held
        print(f"{'held  ' if held else 'MISSED'} {name}: {value:.2f} ({sign} {bound:g})")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
