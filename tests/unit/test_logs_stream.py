"""One stream out of many files that grow, tear, turn over and vanish."""

from __future__ import annotations

import json
import os
import queue
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from opsml_cli.domain.clock import SystemClock
from opsml_cli.domain.errors import UsageError
from opsml_cli.domain.insights import LogLine, LogQuery
from opsml_cli.domain.line_filter import LineFilter
from opsml_cli.local import log_stream
from opsml_cli.local.serving.journal import Journal
from opsml_cli.local.telemetry import Recorder


def container(moment: float, message: str, level: str = "info", deployment: str | None = None) -> bytes:
    stamp = datetime.fromtimestamp(moment, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    line = {"timestamp": stamp, "level": level, "kind": "container", "deployment": deployment, "message": message}
    return json.dumps(line).encode() + b"\n"


def request(moment: float, deployment: str = "blue", status: int = 200) -> bytes:
    return b'[%.4f,"%s",%d,0.0,1,2,"agent"]\n' % (moment, deployment.encode(), status)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("logs", "telemetry"):
        (tmp_path / name).mkdir()
    return tmp_path


def read(folder: Path, query: LogQuery | None = None) -> list[LogLine]:
    query = query or LogQuery()
    return list(log_stream.read(folder, query, LineFilter(query)))


def messages(folder: Path, query: LogQuery | None = None) -> list[str]:
    return [line.message if line.kind == "container" else f"request {line.status}" for line in read(folder, query)]


def test_lines_of_all_sources_come_in_the_order_of_time(folder: Path) -> None:
    now = time.time() - 100
    (folder / "logs" / "server.jsonl.1").write_bytes(container(now, "first"))
    (folder / "logs" / "server.jsonl").write_bytes(container(now + 2, "third") + container(now + 4, "fifth"))
    (folder / "telemetry" / "0000000000001-7.jsonl").write_bytes(request(now + 1, status=201))
    (folder / "telemetry" / "0000000000002-7.jsonl").write_bytes(request(now + 3, status=203))
    (folder / "telemetry" / "0000000000001-8.jsonl").write_bytes(request(now + 2.5, status=202))
    assert messages(folder) == ["first", "request 201", "third", "request 202", "request 203", "fifth"]


def test_a_request_line_says_what_happened(folder: Path) -> None:
    (folder / "telemetry" / "0000000000001-7.jsonl").write_bytes(request(1_764_000_000.0, status=404))
    (line,) = read(folder)
    assert (line.timestamp, line.level, line.kind, line.deployment, line.status, line.duration_ms) == (
        "2025-11-24T16:00:00.000Z",
        "warning",
        "request",
        "blue",
        404,
        0.0,
    )


def test_lines_that_are_no_json_are_kept_as_they_are(folder: Path) -> None:
    (folder / "logs" / "process.log").write_bytes(
        b"2026-01-01 10:00:00,500 ERROR it broke\n  the second line\n"
        b"Fatal Python error: \xff\xfe\nValueError: no\nlast without end"
    )
    found = read(folder)
    assert [line.message for line in found] == [
        "ERROR it broke",
        "  the second line",
        "Fatal Python error: \ufffd\ufffd",
        "ValueError: no",
        "last without end",
    ]
    assert {line.timestamp for line in found} == {"2026-01-01T10:00:00.500Z"}
    assert [line.level for line in found] == ["error", "info", "info", "error", "info"]


def test_a_torn_or_strange_json_line_is_text(folder: Path) -> None:
    (folder / "logs" / "server.jsonl").write_bytes(
        container(time.time(), "good") + b'{"timestamp": "2026-\n' + b'{"timestamp": 5, "message": "x"}\n' + b"[1]\n"
    )
    assert messages(folder) == ["good", '{"timestamp": "2026-', '{"timestamp": 5, "message": "x"}', "[1]"]


def test_the_queries(folder: Path) -> None:
    now = time.time()
    (folder / "logs" / "server.jsonl").write_bytes(
        container(now - 7200, "old")
        + container(now - 30, "loading", deployment="blue")
        + container(now - 20, "odd", "warning", "green")
        + container(now - 10, "failed", "error", "Blue")
        + container(now - 5, "noise", "debug")
    )
    (folder / "telemetry" / "0000000000001-7.jsonl").write_bytes(request(now - 15, status=500))
    everything = ["old", "loading", "odd", "request 500", "failed", "noise"]
    assert messages(folder) == everything
    assert messages(folder, LogQuery(tail=2)) == everything[-2:]
    assert messages(folder, LogQuery(tail=100)) == everything
    assert messages(folder, LogQuery(since_seconds=3600)) == everything[1:]
    assert messages(folder, LogQuery(since_seconds=25, tail=1)) == ["noise"]
    assert messages(folder, LogQuery(level="warning")) == ["odd", "request 500", "failed"]
    assert messages(folder, LogQuery(level="ERROR")) == ["request 500", "failed"]
    assert messages(folder, LogQuery(deployment="BLUE")) == ["loading", "request 500", "failed"]
    assert messages(folder, LogQuery(kind="container", level="info")) == ["old", "loading", "odd", "failed"]
    assert messages(folder, LogQuery(grep="^o.d$")) == ["old", "odd"]
    assert messages(folder, LogQuery(grep="o", tail=1)) == ["noise"]


@pytest.mark.parametrize("pattern", ["(", "[a", "*", "a{2,1}", "(?P<x>a)(?P<x>b)", "(" * 5000])
def test_a_bad_expression_is_a_usage_error(pattern: str) -> None:
    with pytest.raises(UsageError, match="regular expression"):
        LineFilter(LogQuery(grep=pattern))


def test_an_unknown_level_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match="level"):
        LineFilter(LogQuery(level="loud"))


def test_an_expression_that_backtracks_for_ever_is_given_up() -> None:
    keep = LineFilter(LogQuery(grep="(a+)+$"))
    begun = time.monotonic()
    with pytest.raises(UsageError, match="too long"):
        keep(LogLine("2026-01-01T00:00:00.000Z", "info", "container", None, "a" * 60 + "!"))
    assert time.monotonic() - begun < 10
    assert keep(LogLine("2026-01-01T00:00:00.000Z", "info", "container", None, "aaa"))


def test_a_line_without_end_does_not_fill_the_memory(folder: Path) -> None:
    (folder / "logs" / "process.log").write_bytes(b"x" * 5_000_000 + b"\nshort\n")
    found = read(folder)
    assert [len(line.message) for line in found] == [1 << 16, 5]


def test_nothing_there_is_no_lines(tmp_path: Path) -> None:
    assert read(tmp_path / "missing") == []
    assert read(tmp_path / "missing", LogQuery(tail=3)) == []


class Following:
    """A thread that follows; `next` gives its next line."""

    def __init__(self, folder: Path, query: LogQuery) -> None:
        self.lines: queue.Queue[LogLine] = queue.Queue()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(folder, query), daemon=True)
        self._thread.start()

    def _run(self, folder: Path, query: LogQuery) -> None:
        following = self

        class Clock(SystemClock):
            def sleep(self, seconds: float) -> None:
                super().sleep(min(seconds, 0.02))
                if following._ended.is_set():
                    raise EOFError

        try:
            for line in log_stream.follow(folder, query, LineFilter(query), Clock()):
                self.lines.put(line)
        except EOFError:
            return

    def next(self) -> str:
        line = self.lines.get(timeout=60)
        return line.message if line.kind == "container" else f"request {line.status}"

    def end(self) -> None:
        self._ended.set()
        self._thread.join(60)
        assert not self._thread.is_alive()


@pytest.fixture
def follow(folder: Path) -> Iterator[Callable[..., Following]]:
    begun: list[Following] = []

    def start(**options: object) -> Following:
        begun.append(Following(folder, LogQuery(follow=True, **options)))
        return begun[-1]

    yield start
    for each in begun:
        each.end()


def append(path: Path, content: bytes) -> None:
    with path.open("ab") as file:
        file.write(content)


def test_following_shows_what_was_and_what_comes(folder: Path, follow: Callable[..., Following]) -> None:
    log = folder / "logs" / "server.jsonl"
    append(log, container(time.time() - 60, "was") + container(time.time() - 50, "was too"))
    following = follow()
    assert [following.next(), following.next()] == ["was", "was too"]
    append(log, container(time.time(), "comes"))
    assert following.next() == "comes"
    append(folder / "telemetry" / "0000000000001-7.jsonl", request(time.time(), status=201))  # a new file
    assert following.next() == "request 201"


def test_following_shows_the_last_lines_when_asked(folder: Path, follow: Callable[..., Following]) -> None:
    log = folder / "logs" / "server.jsonl"
    append(log, b"".join(container(time.time() - 60 + number, str(number)) for number in range(10)))
    following = follow(tail=2)
    assert [following.next(), following.next()] == ["8", "9"]
    append(log, container(time.time(), "new"))
    assert following.next() == "new"


def test_a_line_is_shown_once_it_is_whole(folder: Path, follow: Callable[..., Following]) -> None:
    log = folder / "logs" / "server.jsonl"
    append(log, container(time.time() - 60, "whole"))
    line = container(time.time(), "in two parts")
    append(log, line[:30])
    following = follow()
    assert following.next() == "whole"
    append(log, line[30:] + container(time.time(), "after"))
    assert sorted([following.next(), following.next()]) == ["after", "in two parts"]


def test_rotation_truncation_and_removal_lose_and_repeat_nothing(folder: Path, follow: Callable[..., Following]) -> None:
    log = folder / "logs" / "server.jsonl"
    append(log, container(time.time() - 60, "one"))
    following = follow()
    assert following.next() == "one"
    append(log, container(time.time(), "two"))
    log.rename(log.with_name("server.jsonl.1"))  # before it was read
    append(log, container(time.time(), "three"))
    assert [following.next(), following.next()] == ["two", "three"]
    log.rename(log.with_name("server.jsonl.1"))
    append(log, container(time.time(), "four"))
    assert following.next() == "four"
    os.truncate(log, 0)
    append(log, container(time.time(), "5"))
    assert following.next() == "5"
    log.unlink()
    append(log, container(time.time(), "six"))
    assert following.next() == "six"


def test_a_journal_that_turns_over_is_followed(
    folder: Path, follow: Callable[..., Following], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("opsml_cli.local.serving.journal.ROTATE_BYTES", 2_000)
    journal = Journal(folder / "logs" / "server.jsonl")
    journal.write("info", "0")
    following = follow()
    assert following.next() == "0"
    for number in range(1, 60):
        journal.write("info", str(number))
        time.sleep(0.01)  # several lines a look, several looks a file
    assert [following.next() for _ in range(1, 60)] == [str(number) for number in range(1, 60)]


def test_requests_and_server_lines_come_in_order_although_requests_are_written_late(
    folder: Path, follow: Callable[..., Following]
) -> None:
    journal = Journal(folder / "logs" / "server.jsonl")
    recorder = Recorder(folder / "telemetry", enabled=True)
    following = follow()
    try:
        for number in range(20):
            recorder.record(time.time(), "blue", 200 + number, 0.0, 1, 1, "")
            time.sleep(0.003)
            journal.write("info", str(number))
            time.sleep(0.003)
        got = [following.next() for _ in range(40)]
    finally:
        recorder.close()
    assert got == [text for number in range(20) for text in (f"request {200 + number}", str(number))]


def test_filters_hold_while_following(folder: Path, follow: Callable[..., Following]) -> None:
    log = folder / "logs" / "server.jsonl"
    following = follow(level="error", grep="e")
    append(log, container(time.time(), "e") + container(time.time(), "x", "error") + container(time.time(), "yes", "error"))
    assert following.next() == "yes"


def test_a_traceback_is_one_message() -> None:
    from opsml_cli.domain.log_text import Blocks, level_of

    printed = "before\nTraceback (most recent call last):\n  File 'a.py', line 1, in run\n    1 / 0\n"
    printed += "ZeroDivisionError: by zero\nafter"
    blocks = Blocks()
    found = [message for line in printed.split("\n") for message in blocks.feed(line)]
    assert (found[0], found[2], blocks.rest()) == ("before", "after", [])
    assert found[1].startswith("Traceback") and found[1].endswith("by zero") and level_of(found[1]) == "error"
    torn = Blocks()
    assert torn.feed("Traceback (most recent call last):") == [] and torn.feed("  File 'a.py'") == []
    assert torn.rest() == ["Traceback (most recent call last):\n  File 'a.py'"]
