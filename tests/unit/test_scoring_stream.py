"""Scoring many rows on an endpoint: order, parallel requests, what is sent again, and how a refused row is named."""

from __future__ import annotations

import json
import random
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from opsml_cli.domain.contract import Dialect
from opsml_cli.domain.errors import ConflictError, InvalidInputError, WorkFailedError
from opsml_cli.domain.scoring import ScorePlan
from opsml_cli.scoring_client import Address, EndpointScorer
from opsml_cli.scoring_client import stream as module

Answer = Callable[[list[Any], int], Any]


class Server:
    """An endpoint whose replies `answer` makes of the rows and the number of the request: results, a (status, headers, body),
    "reset" (no byte of an answer) or "half" (an answer that breaks off)."""

    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        self.asked: list[list[Any]] = []
        self.pinned: list[str | None] = []
        self.at_once = self.most = 0
        self.lock = threading.Lock()


@pytest.fixture
def serve() -> Iterator[Callable[[Answer], tuple[Server, str]]]:
    running: list[ThreadingHTTPServer] = []

    def start(answer: Answer) -> tuple[Server, str]:
        server = Server(answer)

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def do_POST(self) -> None:
                rows = json.loads(self.rfile.read(int(self.headers["content-length"])))["Inputs"]["data"]
                with server.lock:
                    server.asked.append(rows)
                    server.pinned.append(self.headers.get("azureml-model-deployment"))
                    number = len(server.asked)
                    server.at_once += 1
                    server.most = max(server.most, server.at_once)
                try:
                    found = server.answer(rows, number)
                finally:
                    with server.lock:
                        server.at_once -= 1
                if found == "reset":
                    self.close_connection = True
                    return
                status, headers, value = found if isinstance(found, tuple) else (200, {}, {"Results": found})
                content = json.dumps(value).encode()
                self.send_response(status)
                length = str(len(content))
                for name, text in {"content-length": length, "azureml-model-deployment": "blue", **headers}.items():
                    self.send_header(name, text)
                self.end_headers()
                half = found == "half" or headers.get("x-half")
                self.wfile.write(content[: len(content) // 2] if half else content)
                self.close_connection = bool(half)

            def log_message(self, *_: object) -> None: ...

        found = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=found.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        running.append(found)
        return server, f"http://127.0.0.1:{found.server_address[1]}/score"

    yield start
    for each in running:
        each.shutdown()
        each.server_close()


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FIRST_DELAY_SECONDS", 0.005)


def batches(count: int, size: int = 10) -> Iterator[list[dict[str, object]]]:
    for first in range(0, count, size):
        yield [{"n": number} for number in range(first, min(first + size, count))]


def doubled(rows: list[Any], _number: int) -> list[int]:
    return [row["n"] * 2 for row in rows]


def run(uri: str, rows: int = 200, *, parallel: int = 4) -> tuple[list[Any], EndpointScorer]:
    with EndpointScorer(Address("bank", uri, "key"), Dialect.AUTOML_V2, ScorePlan(parallel=parallel)) as scorer:
        found = [value for part in scorer.score(batches(rows)) for value in part.predictions]
    return found, scorer


@pytest.mark.parametrize("parallel", [1, 4])
def test_results_come_in_order_from_one_deployment(serve: Any, parallel: int) -> None:
    def slow_at_times(rows: list[Any], number: int) -> list[int]:
        time.sleep(0.01 * (number % 3))
        return doubled(rows, number)

    server, uri = serve(slow_at_times)
    found, scorer = run(uri, parallel=parallel)
    assert found == [2 * number for number in range(200)]
    assert server.pinned == [None] + ["blue"] * 19
    assert scorer.deployment == "blue" and scorer.retried == 0
    assert server.most <= parallel and (parallel == 1 or server.most > 1)


def test_few_batches_are_held_at_a_time(serve: Any) -> None:
    _, uri = serve(doubled)
    drawn = 0

    def counted() -> Iterator[list[dict[str, object]]]:
        nonlocal drawn
        for batch in batches(1000):
            drawn += 1
            yield batch

    with EndpointScorer(Address("bank", uri, "key"), Dialect.AUTOML_V2, ScorePlan(parallel=3)) as scorer:
        for number, _ in enumerate(scorer.score(counted())):
            assert drawn <= number + 2 * 3 + 1


@pytest.mark.parametrize(
    "busy",
    ["reset", (429, {"retry-after": "0"}, {}), (503, {}, {}), (502, {}, "bad gateway")],
    ids=["reset", "429", "503", "502"],
)
def test_what_the_endpoint_did_not_take_is_sent_again(serve: Any, busy: Any) -> None:
    server, uri = serve(lambda rows, number: busy if number % 4 == 2 else doubled(rows, number))
    found, scorer = run(uri)
    assert found == [2 * number for number in range(200)]
    assert scorer.retried == len(server.asked) - 20 > 0


def test_an_answer_that_breaks_off_is_no_reason_to_ask_again(serve: Any) -> None:
    server, uri = serve(
        lambda rows, number: (200, {"x-half": "1"}, doubled(rows, number)) if number == 3 else doubled(rows, number)
    )
    with pytest.raises(WorkFailedError, match="broke"):
        run(uri, parallel=1)
    assert len(server.asked) == 3


def test_an_endpoint_that_stays_busy_is_told_soon(serve: Any) -> None:
    server, uri = serve(lambda *_: (503, {}, {"message": "no healthy upstream"}))
    with pytest.raises(ConflictError, match="no healthy upstream") as caught:
        run(uri)
    assert len(server.asked) == module.ATTEMPTS_AT_FIRST
    assert "rows 0 to 9 of the input" in (caught.value.cause or "")


def test_a_pause_is_as_long_as_the_server_asks(serve: Any) -> None:
    _, uri = serve(lambda rows, number: (429, {"retry-after": "1"}, {}) if number == 2 else doubled(rows, number))
    began = time.monotonic()
    assert len(run(uri, 20)[0]) == 20
    assert time.monotonic() - began >= 1.0


def test_a_refused_row_has_its_number_in_the_input(serve: Any) -> None:
    def picky(rows: list[Any], number: int) -> Any:
        for index, row in enumerate(rows):
            if row["n"] == 137:
                detail = {"message": f"column 'n', row {index}: 137 is too much", "row": index, "expected": "less"}
                return 400, {}, {"error": detail}
        return doubled(rows, number)

    _, uri = serve(picky)
    with pytest.raises(InvalidInputError, match=r"'n', row 137 of the input \(counted from 0\): 137 is too much") as caught:
        run(uri)
    assert caught.value.cause == "expected less"  # the place stands once


@pytest.mark.parametrize("bad", [0, 3, 137, 199])
def test_a_refusal_that_names_no_row_is_narrowed_down(serve: Any, bad: int) -> None:
    _, uri = serve(lambda rows, n: (400, {}, {"message": "no"}) if any(r["n"] == bad for r in rows) else doubled(rows, n))
    with pytest.raises(InvalidInputError, match="no") as caught:
        run(uri)
    assert caught.value.message == f"row {bad} of the input (counted from 0): no"


def test_a_row_that_only_the_words_of_a_refusal_name_is_the_one_of_the_input(serve: Any) -> None:
    def picky(rows: list[Any], number: int) -> Any:
        bad = next((index for index, row in enumerate(rows) if row["n"] == 137), None)
        return doubled(rows, number) if bad is None else (400, {}, {"message": f"column 'n', row {bad}: too much"})

    _, uri = serve(picky)
    with pytest.raises(InvalidInputError) as caught:
        run(uri)
    assert caught.value.message == "column 'n', row 137 of the input (counted from 0): too much"


def test_large_rows_go_in_requests_of_bounded_size(serve: Any) -> None:
    server, uri = serve(lambda rows, _: [len(row["text"]) for row in rows])
    rows = [{"text": "x" * (200_000 + number)} for number in range(30)]
    with EndpointScorer(Address("bank", uri, "key"), Dialect.AUTOML_V2, ScorePlan()) as scorer:
        (found,) = scorer.score([rows])
    assert found.predictions == [200_000 + number for number in range(30)]
    assert max(sum(len(row["text"]) for row in asked) for asked in server.asked) < 2**20


def test_leaving_early_ends_what_is_under_way(serve: Any) -> None:
    release = threading.Event()
    _, uri = serve(lambda rows, number: doubled(rows, number) if number == 1 or release.wait(30) else [])
    began = time.monotonic()
    with EndpointScorer(Address("bank", uri, "key"), Dialect.AUTOML_V2, ScorePlan(parallel=2)) as scorer:
        results = scorer.score(batches(100))
        next(results)
        with pytest.raises(RuntimeError), scorer:
            threading.Timer(0.2, scorer.__exit__).start()
            try:
                next(results)
            except WorkFailedError as error:
                raise RuntimeError from error
    assert time.monotonic() - began < 10
    release.set()


@pytest.mark.parametrize("seed", range(8))
def test_leaving_at_any_moment_ends_what_is_under_way(serve: Any, seed: int) -> None:
    """From before the first connection to long after the requests are out."""
    chance = random.Random(seed)
    release = threading.Event()
    _, uri = serve(lambda rows, number: doubled(rows, number) if number == 1 or release.wait(60) else [])
    for _ in range(25):
        scorer = EndpointScorer(Address("bank", uri, "key"), Dialect.AUTOML_V2, ScorePlan(parallel=3))
        leaving = threading.Timer(chance.random() ** 3 * 0.05, scorer.__exit__)
        began = time.monotonic()
        leaving.start()
        with pytest.raises(WorkFailedError), scorer:
            list(scorer.score(batches(100)))
        leaving.join()
        assert time.monotonic() - began < 20
    release.set()
