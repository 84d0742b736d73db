"""Figures from recorded requests: exact, in their window, by deployment and over time."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from opsml_cli.cli.render.insights import RENDERINGS, drawing
from opsml_cli.local.insights import BUCKETS, latency, request_stats
from opsml_cli.local.telemetry import Recorder, Retention
from opsml_cli.local.telemetry_window import Durations
from opsml_cli.services.alerts import WatchedStats


def recorded(folder: Path, requests: list[tuple[float, str, int, float]]) -> Path:
    """`requests`: (seconds ago, deployment, status, milliseconds)."""
    recorder = Recorder(folder, enabled=True)
    for ago, deployment, status, milliseconds in requests:
        recorder.record(time.time() - ago, deployment, status, milliseconds, 10, 10, "test")
    recorder.close()
    return folder


@settings(deadline=None)
@given(st.lists(st.floats(min_value=0, max_value=1e6), min_size=1, max_size=200))
def test_quantiles_are_those_of_numpy(durations: list[float]) -> None:
    import numpy as np

    found = latency(Durations([durations], []))
    expected = np.quantile(durations, [0.5, 0.95, 0.99])
    assert [found.p50, found.p95, found.p99] == pytest.approx(expected, abs=6e-4)


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.lists(st.integers(0, 3_000), max_size=700), min_size=1, max_size=12),
    st.lists(st.integers(0, 3_000), max_size=20),
)
def test_quantiles_of_digests_are_those_of_numpy(digests: list[list[int]], lines: list[int]) -> None:
    import numpy as np

    everything = [value for values in (*digests, lines) for value in values]
    found = latency(Durations([[value / 1000 for value in lines]], [sorted(values) for values in digests]))
    if not everything:
        assert found.p50 is None
        return
    expected = np.quantile(everything, [0.5, 0.95, 0.99]) / 1000
    assert [found.p50, found.p95, found.p99] == pytest.approx(expected, abs=6e-4)


def test_no_requests_have_no_quantiles() -> None:
    found = latency(Durations([], []))
    assert (found.p50, found.p95, found.p99) == (None, None, None)


def test_requests_are_counted_by_deployment_and_status(tmp_path: Path) -> None:
    requests = [(5.0, "blue", 200, 1.0), (4.0, "blue", 500, 3.0), (3.0, "green", 200, 10.0), (2.0, "", 401, 0.1)]
    found = request_stats(recorded(tmp_path, requests), "bank", 60.0, enabled=True)
    assert (found.requests, found.failures, found.unauthenticated) == (4, 1, 1)
    assert found.by_status == {"200": 2, "401": 1, "500": 1}
    assert {name: (each.requests, each.failures, each.latency_ms.p50) for name, each in found.by_deployment.items()} == {
        "blue": (2, 1, 2.0),
        "green": (1, 0, 10.0),
    }
    assert sum(requests for _, requests, _ in found.over_time) == 4
    assert sum(failures for _, _, failures in found.over_time) == 1


def test_only_the_window_counts(tmp_path: Path) -> None:
    found = recorded(tmp_path, [(7200.0, "blue", 200, 1.0), (100.0, "blue", 200, 5.0)])
    assert request_stats(found, "bank", 3600.0, enabled=True).requests == 1
    assert request_stats(found, "bank", 8000.0, enabled=True).requests == 2
    assert request_stats(found, "bank", 50.0, enabled=True).requests == 0


def test_time_runs_from_left_to_right(tmp_path: Path) -> None:
    stats = request_stats(recorded(tmp_path, [(59.0, "blue", 200, 1.0), (0.5, "blue", 500, 1.0)]), "bank", 60.0, enabled=True)
    assert len(stats.over_time) == BUCKETS
    assert stats.over_time[0][1:] == (1, 0)
    assert stats.over_time[-1][1:] == (1, 1)
    starts = [start for start, _, _ in stats.over_time]
    assert starts == sorted(starts)


def test_records_of_many_processes_and_segments_add_up(tmp_path: Path) -> None:
    for writer in range(3):
        recorder = Recorder(tmp_path, enabled=True, retention=Retention(segment_bytes=20_000))
        for index in range(1_000):
            recorder.record(time.time() - 5, f"d-{writer}", 200, float(index), 1, 1, "")
        recorder.close()
    assert len(list(tmp_path.iterdir())) > 3
    stats = request_stats(tmp_path, "bank", 60.0, enabled=True)
    assert stats.requests == 3_000
    assert stats.latency_ms.p50 == 499.5


def test_an_endpoint_without_telemetry_has_empty_figures(tmp_path: Path) -> None:
    stats = request_stats(tmp_path / "missing", "bank", 60.0, enabled=False)
    assert (stats.requests, stats.failures, stats.by_deployment, stats.enabled) == (0, 0, {}, False)
    shown = str(RENDERINGS[WatchedStats].view(WatchedStats(stats, ()), 80))
    assert "opsml insights enable bank" in shown


def test_the_drawing_shows_every_request() -> None:
    assert drawing([0, 1, 1000, 500]) == " ▁█▄"
    assert drawing([0, 0]) == "  "
    assert drawing([]) == ""


@pytest.mark.slow
def test_a_million_requests_take_little_memory(tmp_path: Path) -> None:
    import tracemalloc

    line = b'[%.4f,"blue",200,1.25,183,7,"x"]\n'
    begun = time.time() - 1_000
    with (tmp_path / "0000000000001-1.jsonl").open("wb") as file:
        for index in range(1_000_000):
            file.write(line % (begun + index / 1_000))
    tracemalloc.start()
    stats = request_stats(tmp_path, "bank", 3600.0, enabled=True)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert stats.requests == 1_000_000
    assert peak < 80e6
