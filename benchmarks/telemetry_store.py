"""How long `insights show` and `logs --tail 100` take over many recorded requests, beside an empty store.

    python benchmarks/telemetry_store.py [--records 10000000] [--seconds 86400] [--turns 5] [--folder FOLDER]

The records are written by the recorder's own code: two processes' worth, two deployments, one request in fifty refused.
"""

from __future__ import annotations

import argparse
import random
import statistics
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from opsml_cli.domain.insights import LogQuery
from opsml_cli.domain.line_filter import LineFilter
from opsml_cli.local import log_stream, telemetry
from opsml_cli.local.insights import request_stats


def build(folder: Path, records: int, seconds: float) -> None:
    """`records` that ended within the last `seconds`."""
    draw, retention = random.Random(1), telemetry.Retention(total_bytes=1 << 40)
    place, end = folder / log_stream.REQUEST_FOLDER, time.time()
    durations = [draw.lognormvariate(-0.5, 0.6) for _ in range(65_537)]
    each = records // 2
    for writer in (1, 2):
        segment = telemetry._Segment(place, retention)
        for first in range(0, each, 128):
            many = [
                (
                    end - seconds + seconds * index / each,
                    "blue" if index % 3 else "green",
                    429 if index % 50 == 0 else 200,
                    durations[index % 65_537],
                    183,
                    7,
                    "python-httpx/0.28.1",
                )
                for index in range(first, min(first + 128, each))
            ]
            segment.write(telemetry._coded(many), many)
        segment.close()
        if writer == 1:  # the second one as if another process had written it
            for path in list(place.iterdir()):
                path.rename(path.with_name(f"{path.name.partition('-')[0]}-1{path.suffix}"))


def timed(work: Callable[[], object]) -> float:
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--records", type=int, default=10_000_000)
    parser.add_argument("--seconds", type=float, default=86_400.0)
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--folder", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        empty, full = Path(temporary) / "empty", options.folder or Path(temporary) / "full"
        empty.mkdir()
        if not full.exists():
            full.mkdir()
            print(f"written in {timed(lambda: build(full, options.records, options.seconds)):.1f} s")
        query = LogQuery(tail=100)
        works: dict[str, Callable[[Path], object]] = {
            f"insights, {name}": lambda folder, since=since: request_stats(
                folder / log_stream.REQUEST_FOLDER, "bank", since, enabled=True
            )
            for name, since in (("all", options.seconds + 3600), ("two thirds", options.seconds * 2 / 3), ("last minute", 60.0))
        }
        works["logs --tail 100"] = lambda folder: list(log_stream.read(folder, query, LineFilter(query)))
        for name, work in works.items():
            found: dict[Path, list[float]] = {empty: [], full: []}
            for _ in range(options.turns):
                for folder in (empty, full):
                    found[folder].append(timed(partial(work, folder)))
            print(f"{name}: {statistics.median(found[full]):.3f} s, empty {statistics.median(found[empty]):.3f} s")
        stats = request_stats(full / log_stream.REQUEST_FOLDER, "bank", options.seconds + 3600, enabled=True)
        print(f"{stats.requests} requests, {stats.failures} failures, {stats.latency_ms}")


if __name__ == "__main__":
    main()
