"""What recording requests costs a live endpoint: interleaved pairs of load with insights off and on.

    python benchmarks/telemetry.py ENDPOINT [--workspace .opsml] [--pairs 5] [--seconds 3]

Needs wrk and a running endpoint. Two figures: throughput, and the server's processor time per request, which does not
depend on what else the machine does. At most 5 % of throughput may go.
"""

from __future__ import annotations

import argparse
import json
import re
import statistics
import subprocess
import tempfile
from pathlib import Path

import psutil

from opsml_cli.local.serving.place import Place
from opsml_cli.local.workspace import LocalWorkspace


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("endpoint")
    parser.add_argument("--workspace", type=Path, default=Path(".opsml"))
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=3)
    options = parser.parse_args()
    workspace = LocalWorkspace(options.workspace)
    endpoint = workspace.online_endpoints.get(options.endpoint)
    status = Place(workspace.layout.endpoint(options.endpoint)).status()
    assert status is not None and endpoint.scoring_uri is not None, "the endpoint is not running"
    leader = psutil.Process(status.pid)
    document = json.loads(json.dumps(workspace.online_endpoints.swagger(options.endpoint)))
    row = document["components"]["schemas"]["Row"]["example"]
    key = workspace.online_endpoints.keys(options.endpoint).primary
    found: dict[bool, list[tuple[float, float]]] = {False: [], True: []}
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder) / "post.lua"  # 0700: the key is in no argument that others can list
        script.write_text(
            f'wrk.method = "POST"\nwrk.body = {json.dumps(json.dumps({"data": [row]}))}\n'
            f'wrk.headers["Content-Type"] = "application/json"\nwrk.headers["Authorization"] = "Bearer {key}"\n'
        )
        load(endpoint.scoring_uri, script, 1)
        for pair in range(options.pairs):
            for on in (False, True) if pair % 2 else (True, False):
                workspace.online_endpoints.set_insights(options.endpoint, on)
                before = cpu(leader)
                requests, rate = load(endpoint.scoring_uri, script, options.seconds)
                found[on].append((rate, (cpu(leader) - before) / requests * 1e6))
    workspace.online_endpoints.set_insights(options.endpoint, endpoint.insights)
    for name, place in (("requests/s", 0), ("processor microseconds a request", 1)):
        off, on = (statistics.median(values[place] for values in found[each]) for each in (False, True))
        pairs = [b[place] / a[place] - 1 for a, b in zip(found[False], found[True], strict=True)]
        print(f"{name}: off {off:.1f}, on {on:.1f}, median of pairs {statistics.median(pairs):+.1%}")


def cpu(leader: psutil.Process) -> float:
    """Seconds of processor time of the server and its workers."""
    times = [process.cpu_times() for process in (leader, *leader.children(recursive=True))]
    return sum(each.user + each.system for each in times)


def load(url: str, script: Path, seconds: int) -> tuple[int, float]:
    """(requests, requests a second) of eight connections."""
    command = ["wrk", "-t1", "-c8", f"-d{seconds}s", "-s", str(script), url]
    out = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert "Non-2xx" not in out, out
    count, rate = re.search(r"(\d+) requests in", out), re.search(r"Requests/sec:\s+([\d.]+)", out)
    assert count is not None and rate is not None, out
    return int(count[1]), float(rate[1])


if __name__ == "__main__":
    main()
