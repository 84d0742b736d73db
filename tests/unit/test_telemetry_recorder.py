"""The writing side of request telemetry: bounded, off the caller's path, and read whole whatever happened to a writer."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from opsml_cli.local import telemetry_reader
from opsml_cli.local.telemetry import Recorder, Retention, remove_old
from opsml_cli.local.telemetry_reader import Dropped, Request


def until(condition: Callable[[], bool], seconds: float = 10.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "the condition did not come true in time"
        time.sleep(0.01)


def everything(folder: Path, since: float | None = None) -> list[telemetry_reader.Entry]:
    return [entry for chain in telemetry_reader.chains(folder) for entry in telemetry_reader.entries(chain, since)]


def test_what_is_recorded_is_read_back(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "telemetry", enabled=True)
    recorder.record(1_764_000_000.5, "blue", 200, 1.25, 183, 7, "curl/8")
    recorder.record(1_764_000_001.0, "", 401, 0.1, 0, 40, "")
    recorder.close()
    assert everything(tmp_path / "telemetry") == [
        Request(1_764_000_000.50125, "blue", 200, 1.25, 183, 7, "curl/8"),
        Request(1_764_000_001.0001, "", 401, 0.1, 0, 40, ""),
    ]


def test_files_are_for_the_owner_alone(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "telemetry", enabled=True)
    recorder.record(time.time(), "blue", 200, 1.0, 1, 1, "")
    recorder.close()
    written = list((tmp_path / "telemetry").iterdir())
    assert {each.suffix for each in written} == {".jsonl", ".digest"}
    assert {each.stat().st_mode & 0o777 for each in written} == {0o600}
    assert (tmp_path / "telemetry").stat().st_mode & 0o777 == 0o700


def test_a_disabled_recorder_writes_nothing_and_can_be_switched_while_it_runs(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "telemetry", enabled=False)
    recorder.record(1.0, "blue", 200, 1.0, 1, 1, "")
    assert not (tmp_path / "telemetry").exists()
    recorder.enable()
    recorder.enable()
    recorder.record(2.0, "blue", 200, 1.0, 1, 1, "")
    recorder.disable()
    recorder.record(3.0, "blue", 200, 1.0, 1, 1, "")
    recorder.enable()
    recorder.record(4.0, "blue", 200, 1.0, 1, 1, "")
    recorder.close()
    assert [round(entry.ended) for entry in everything(tmp_path / "telemetry")] == [2, 4]


def test_a_request_is_on_disk_soon_without_closing(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path, enabled=True)
    try:
        for burst in range(1, 4):  # each one wakes a thread that has gone to sleep
            recorder.record(time.time(), "blue", 200, 1.0, 1, 1, "")
            until(lambda burst=burst: len(everything(tmp_path)) == burst)
    finally:
        recorder.close()


def test_a_full_queue_drops_counts_and_tells(tmp_path: Path) -> None:
    blocked = tmp_path / "telemetry"
    recorder = Recorder(blocked, enabled=False, retention=Retention(pending=10))
    recorder.enabled = True  # no thread yet: nothing is drained
    for _ in range(25):
        recorder.record(time.time(), "blue", 200, 1.0, 1, 1, "")
    assert recorder.dropped == 15
    recorder.enable()
    recorder.close()
    found = everything(blocked)
    assert sum(isinstance(entry, Request) for entry in found) == 10
    assert [entry.requests for entry in found if isinstance(entry, Dropped)] == [15]


def test_a_disk_that_fails_costs_records_not_requests(tmp_path: Path) -> None:
    (tmp_path / "telemetry").write_text("a file where the folder should be")
    recorder = Recorder(tmp_path / "telemetry", enabled=True)
    recorder.record(time.time(), "blue", 200, 1.0, 1, 1, "")
    recorder.close()
    assert everything(tmp_path / "telemetry") == []
    assert (tmp_path / "telemetry").read_text() == "a file where the folder should be"


def test_segments_rotate_and_old_ones_go(tmp_path: Path) -> None:
    retention = Retention(segment_bytes=50_000, total_bytes=200_000)
    recorder = Recorder(tmp_path, enabled=True, retention=retention)
    for index in range(600):
        recorder.record(float(index), "blue", 200, 1.0, 1, 1, "x" * 1000)
        if index % 100 == 0:
            until(lambda: not recorder._queue)
    recorder.close()
    remove_old(tmp_path, retention)
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) <= 200_000
    kept = [entry.ended for entry in everything(tmp_path)]
    assert kept == sorted(kept)
    assert round(kept[-1]) == 599  # the newest stay


def test_segments_past_their_age_go(tmp_path: Path) -> None:
    old, new = tmp_path / "0000000000001-1.jsonl", tmp_path / "0000000000002-1.jsonl"
    other = tmp_path / "notes.txt"
    for path in (old, new, other):
        path.write_text("{}\n")
    for path in (old, other):
        os.utime(path, (time.time() - 100, time.time() - 100))
    remove_old(tmp_path, Retention(age_seconds=50))
    assert sorted(tmp_path.iterdir()) == [new, other]


def test_a_segment_that_somebody_removes_is_begun_anew(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path, enabled=True)
    try:
        recorder.record(1.0, "blue", 200, 1.0, 1, 1, "")
        until(lambda: len(everything(tmp_path)) == 1)
        for path in tmp_path.iterdir():
            path.unlink()
        recorder.record(2.0, "blue", 200, 1.0, 1, 1, "")
        until(lambda: [round(entry.ended) for entry in everything(tmp_path)] == [2])
    finally:
        recorder.close()


def test_text_that_is_no_unicode_is_recorded(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path, enabled=True)
    recorder.record(1.0, "blue", 200, 1.0, 1, 1, "bad \ud800 agent\n\x1b[31m")
    recorder.close()
    (entry,) = everything(tmp_path)
    assert isinstance(entry, Request)
    assert entry.user_agent == "bad ? agent\n\x1b[31m".replace("?", entry.user_agent[4])


WRITER = """
import sys, time
from pathlib import Path
from opsml_cli.local.telemetry import Recorder
recorder = Recorder(Path(sys.argv[1]), enabled=True)
number = 0
print("ready", flush=True)
while True:
    recorder.record(time.time(), sys.argv[2], 200, 1.0, number, 1, "writer")
    number += 1
    time.sleep(0.0002)
"""


def test_killed_writers_leave_whole_records_and_no_gap(tmp_path: Path) -> None:
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path), name], stdout=subprocess.PIPE, text=True)
        for name in ("blue", "green")
    ]
    try:
        for name in ("blue", "green"):
            until(
                lambda name=name: (
                    sum(isinstance(entry, Request) and entry.deployment == name for entry in everything(tmp_path)) > 50
                )
            )
    finally:
        for writer in writers:
            writer.kill()
            writer.wait()
            writer.stdout.close()
    for name in ("blue", "green"):
        numbers = [
            entry.request_bytes for entry in everything(tmp_path) if isinstance(entry, Request) and entry.deployment == name
        ]
        assert numbers == list(range(len(numbers)))


LINE = b'[5.0,"blue",200,1.0,1,1,"x"]\n'


@pytest.mark.parametrize("cut", range(1, len(LINE)))
def test_a_torn_last_line_is_not_there(tmp_path: Path, cut: int) -> None:
    (tmp_path / "0000000000001-1.jsonl").write_bytes(LINE + LINE[:cut])
    assert len(everything(tmp_path)) == 1


@settings(max_examples=200, deadline=None)
@given(noise=st.binary(max_size=300))
def test_damage_in_between_costs_nothing_but_itself(tmp_path_factory: pytest.TempPathFactory, noise: bytes) -> None:
    folder = tmp_path_factory.mktemp("damage")
    (folder / "0000000000001-1.jsonl").write_bytes(LINE + noise + b"\n" + LINE)
    found = everything(folder)
    assert len(found) >= 2
    assert found[0] == found[-1]


@pytest.mark.parametrize(
    "line",
    [
        b"[]",
        b"{}",
        b"null",
        b"5",
        b'{"t":"x","dropped":1}',
        b'[null,"b",200,1,1,1,""]',
        b'[1,"b",200,1,1,1]',
        b'[1,"b","a",1,1,1,""]',
        b'[1e308,"b",200,1e999,1,1,""]',
        b"\xff\xfe",
        b"[" * 5000,
    ],
)
def test_a_line_that_is_no_record_is_none(line: bytes) -> None:
    assert telemetry_reader.parse(line) is None


@pytest.mark.parametrize("since", [-1.0, 0.0, 0.5, 3.0, 9_999.9, 10_000.0, 20_000.0, 1e9])
def test_bisection_finds_what_reading_everything_finds(tmp_path: Path, since: float) -> None:
    (tmp_path / "0000000000001-1.jsonl").write_bytes(
        b"".join(LINE.replace(b"5.0", b"%d.0" % second) for second in range(20_000))
    )
    expected = [entry for entry in everything(tmp_path) if entry.ended >= since]
    assert everything(tmp_path, since) == expected


def _filled(folder: Path, count: int, retention: Retention | None = None, name: str = "blue") -> float:
    """`count` requests, the last of which ended a moment ago; when the first one began."""
    recorder = Recorder(folder, enabled=True, retention=retention)
    begun = time.time() - count / 1000 - 2
    for index in range(count):
        recorder.record(begun + index / 1000, name, 500 if index % 100 == 0 else 200, float(index % 977), 1, 1, 'a],["b')
        if index % 10_000 == 9_999:
            until(lambda: not recorder._queue)
    recorder.close()
    return begun


def _figures(folder: Path, since: float) -> tuple[object, ...]:
    from opsml_cli.local.insights import request_stats

    found = request_stats(folder, "bank", since, enabled=True)
    return found.requests, found.failures, found.by_status, found.by_deployment, found.latency_ms, found.dropped


def test_digests_say_what_the_lines_say(tmp_path: Path) -> None:
    _filled(tmp_path, 30_000, Retention(segment_bytes=700_000))
    assert len(list(tmp_path.glob("*.digest"))) > 1
    with_digests = [_figures(tmp_path, since) for since in (3600.0, 60.0)]
    for path in tmp_path.glob("*.digest"):
        path.write_bytes(b"")
    for path in tmp_path.glob("*.jsonl"):
        os.utime(path)
    assert [_figures(tmp_path, since) for since in (3600.0, 60.0)] == with_digests
    requests, failures, statuses, *_ = with_digests[0]
    assert (requests, failures, statuses) == (30_000, 300, {"200": 29_700, "500": 300})


@pytest.mark.parametrize("cut", [1, 10, 5_000])
def test_a_torn_digest_costs_no_figure(tmp_path: Path, cut: int) -> None:
    _filled(tmp_path, 20_000)
    before = _figures(tmp_path, 3600.0)
    (digest,) = tmp_path.glob("*.digest")
    digest.write_bytes(digest.read_bytes()[:-cut])
    assert _figures(tmp_path, 3600.0) == before


def test_what_a_killed_writer_left_is_added_up_once(tmp_path: Path) -> None:
    _filled(tmp_path, 20_000)
    before = _figures(tmp_path, 3600.0)
    (segment,) = tmp_path.glob("*.jsonl")
    gone = segment.with_name("0000000000001-4194305.jsonl")  # a process that cannot be
    segment.rename(gone)
    digest = segment.with_suffix(".digest")
    content = digest.read_bytes()
    digest.unlink()
    gone.with_suffix(".digest").write_bytes(content[:-100])
    assert _figures(tmp_path, 3600.0) == before
    assert gone.with_suffix(".digest").stat().st_size == len(content)
    assert _figures(tmp_path, 3600.0) == before


def test_a_segment_s_digest_goes_with_it(tmp_path: Path) -> None:
    _filled(tmp_path, 20_000, Retention(segment_bytes=200_000))
    remove_old(tmp_path, Retention(total_bytes=400_000))
    assert {path.stem for path in tmp_path.glob("*.digest")} == {path.stem for path in tmp_path.glob("*.jsonl")}
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) <= 400_000
