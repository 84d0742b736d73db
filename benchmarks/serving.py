"""What serving costs: one row a request on a kept connection, against the same server with a constant handler.

    python benchmarks/serving.py [MODEL_FOLDER] [--seconds 5]

Without a folder a small model is trained first. The limit is p50 2 ms (see the issue); the constant handler shows what of
it is HTTP itself. Rounds of both are interleaved, so that a busy machine slows both alike.
"""

from __future__ import annotations

import argparse
import http.client
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

LIMIT_MS = 2.0

_CONSTANT = """
import socket, sys
import uvicorn
from opsml_cli.guard import Guard, loopback_names
from opsml_cli.http_protocol import BoundedProtocol
BODY = b'["no"]'
HEADERS = [(b"content-type", b"application/json"), (b"content-length", b"6")]
async def app(scope, receive, send):
    more = True
    while more:
        more = (await receive()).get("more_body")
    await send({"type": "http.response.start", "status": 200, "headers": HEADERS})
    await send({"type": "http.response.body", "body": BODY})
listener = socket.create_server(("127.0.0.1", 0))
port = listener.getsockname()[1]
print(port, flush=True)
config = uvicorn.Config(app, http=BoundedProtocol, ws="none", lifespan="off", log_config=None, access_log=False)
uvicorn.Server(config).run(sockets=[listener])
"""


def measure(connection: http.client.HTTPConnection, body: bytes, headers: dict[str, str], seconds: float) -> list[float]:
    """Milliseconds of each request, one after the other."""
    found = []
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        started = time.perf_counter()
        connection.request("POST", "/score", body, headers)
        reply = connection.getresponse()
        reply.read()
        found.append((time.perf_counter() - started) * 1000)
        assert reply.status == 200, reply.status
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", nargs="?", help="a model folder that opsml trained")
    parser.add_argument("--seconds", type=float, default=5.0)
    options = parser.parse_args()
    from serving_support import deploy, end_all, register_own, train_folder

    from opsml_cli.local.workspace import LocalWorkspace

    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(options.model) if options.model else train_folder(Path(temporary) / "training")
        workspace = LocalWorkspace(Path(temporary) / ".opsml")
        constant = subprocess.Popen([sys.executable, "-c", _CONSTANT], stdout=subprocess.PIPE, text=True)
        try:
            model = register_own(workspace, folder)
            started = time.perf_counter()
            deployed = deploy(workspace, model)
            print(f"deploy until the first scored request: {time.perf_counter() - started:.2f} s (limit 5 s)")
            assert constant.stdout is not None and deployed.endpoint.scoring_uri is not None
            ports = (int(deployed.endpoint.scoring_uri.split(":")[2].split("/")[0]), int(constant.stdout.readline()))
            example = json.loads((folder / "serving_input_example.json").read_text())["dataframe_split"]
            body = json.dumps(
                {"input_data": {"columns": example["columns"], "index": [0], "data": example["data"][:1]}}
            ).encode()
            headers = {
                "Authorization": f"Bearer {workspace.online_endpoints.keys('bank').primary}",
                "Content-Type": "application/json",
            }
            connections = [http.client.HTTPConnection("127.0.0.1", port) for port in ports]
            samples: tuple[list[float], list[float]] = ([], [])
            for connection in connections:
                measure(connection, body, headers, 0.5)
            rounds = max(1, int(options.seconds / 0.5))
            for _ in range(rounds):
                for connection, found in zip(connections, samples, strict=True):
                    found.extend(measure(connection, body, headers, 0.5))
            for connection in connections:
                connection.close()
        finally:
            constant.terminate()
            end_all(workspace)
    medians = [statistics.median(found) for found in samples]
    for name, found in zip(("endpoint", "constant"), samples, strict=True):
        p50, p99 = statistics.median(found), statistics.quantiles(found, n=100)[98]
        print(f"{name}: p50 {p50:.3f} ms, p99 {p99:.3f} ms, {len(found)} requests")
    print(f"ratio {medians[0] / medians[1]:.2f}; limit p50 {LIMIT_MS} ms: {'held' if medians[0] <= LIMIT_MS else 'BROKEN'}")
    return 0 if medians[0] <= LIMIT_MS else 1


if __name__ == "__main__":
    sys.exit(main())
