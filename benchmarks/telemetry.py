"""What recording requests costs a live endpoint: interleaved pairs of load with insights off and on.

    python benchmarks/telemetry.py ENDPOINT [--workspace .opsml] [--pairs 5] [--seconds 3]

Needs a running endpoint. Two figures: throughput, and the server's processor time per request, which does not depend on what
else the machine does. At most 5 % of throughput may go: exit 1 otherwise.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from pathlib import Path
from urllib.parse import urlsplit

import psutil
from serving_client import Client, request_bytes

from opsml_cli.local.serving.place import Place
from opsml_cli.local.workspace import LocalWorkspace

LIMIT = 0.05
CLIENTS = 8


def main() -> int:
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
    port = urlsplit(endpoint.scoring_uri).port or 0
    client = Client(port, request_bytes(port, "/score", json.dumps({"data": [row]}).encode(), key), CLIENTS)
    client.closed(1.0)
    for pair in range(options.pairs):
        for on in (False, True) if pair % 2 else (True, False):
            workspace.online_endpoints.set_insights(options.endpoint, on)
            before = cpu(leader)
            figures = client.closed(options.seconds)
            assert not figures.wrong, figures.wrong
            requests = len(figures.latencies)
            found[on].append((requests / figures.seconds, (cpu(leader) - before) / requests * 1e6))
    workspace.online_endpoints.set_insights(options.endpoint, endpoint.insights)
    costs = []
    for name, place in (("requests/s", 0), ("processor microseconds a request", 1)):
        off, on = (statistics.median(values[place] for values in found[each]) for each in (False, True))
        pairs = [b[place] / a[place] - 1 for a, b in zip(found[False], found[True], strict=True)]
        costs.append(statistics.median(pairs))
        print(f"{name}: off {off:.1f}, on {on:.1f}, median of pairs {costs[-1]:+.1%}")
    held = -costs[0] <= LIMIT
    print(f"{'held' if held else 'MISSED'}: at most {LIMIT:.0%} of throughput")
    return 0 if held else 1


def cpu(leader: psutil.Process) -> float:
    """Seconds of processor time of the server and its workers."""
    times = [process.cpu_times() for process in (leader, *leader.children(recursive=True))]
    return sum(each.user + each.system for each in times)


if __name__ == "__main__":
    sys.exit(main())
