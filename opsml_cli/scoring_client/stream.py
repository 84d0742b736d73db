"""Scoring any number of rows on an endpoint: requests in parallel, results in order, and what may be sent again is."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from email.utils import parsedate_to_datetime
from itertools import count
from typing import TYPE_CHECKING, Any, NamedTuple

from opsml_cli.domain.contract import Dialect
from opsml_cli.domain.endpoint import Row
from opsml_cli.domain.errors import OpsmlError
from opsml_cli.domain.scoring import ScoredRows, ScorePlan, naming_row, not_by_row
from opsml_cli.scoring_client import bodies
from opsml_cli.scoring_client.answers import Answer, NotListeningError, RefusedRowError, UnansweredError, error_of
from opsml_cli.scoring_client.client import Address, ScoringClient

if TYPE_CHECKING:
    from concurrent.futures import Future

ATTEMPTS = 6
ATTEMPTS_AT_FIRST = 3  # before anything was answered: an endpoint that is down is told soon
FIRST_DELAY_SECONDS = 0.25
LONGEST_DELAY_SECONDS = 60.0  # that a server may ask for
TRY_AGAIN = (429, 502, 503)  # the request did not reach the model, or it refused to begin


class Work(NamedTuple):
    """A batch of rows on its way: the number of its first row, and the columns that the input has had so far."""

    first: int
    rows: Sequence[Row]
    columns: tuple[str, ...]


class EndpointScorer:
    """As `RowScorer`, over HTTP. What was answered is never asked again: a request goes out again only when its connection
    ended before an answer began, or the server said that it did not take it."""

    def __init__(self, address: Address, dialect: Dialect | None, plan: ScorePlan) -> None:
        self._name = address.name
        self._plan = plan
        self._first = ScoringClient(address, dialect)
        self._clients = [self._first]
        self._idle: deque[ScoringClient] = deque()
        self._address, self._wanted = address, dialect
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._answered = False
        self.deployment = plan.deployment
        self.classes: Sequence[object] = ()
        self.retried = 0

    @property
    def types(self) -> Mapping[str, str]:
        return self._first.types(self._plan.deployment)

    def __enter__(self) -> EndpointScorer:
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for client in self._clients:
            client.abort()
            client.__exit__(None, None, None)

    def score(self, batches: Iterable[Sequence[Row]]) -> Iterator[ScoredRows]:
        dialect = self._first.dialect(self._plan.deployment, proba=self._plan.proba)
        work = _numbered(batches)
        # The first goes alone: the deployment that answers it answers the others.
        for one in work:
            found = self._scored(self._first, dialect, one)
            if self._plan.proba:
                self.classes = self._first.classes(self.deployment, [list(row) for row in found.probabilities[:1]])
            yield found
            break
        if self._plan.parallel == 1:
            for one in work:
                yield self._scored(self._first, dialect, one)
        else:
            yield from self._in_parallel(dialect, work)

    def _in_parallel(self, dialect: Dialect, work: Iterator[Work]) -> Iterator[ScoredRows]:
        from concurrent.futures import ThreadPoolExecutor

        self._clients += [ScoringClient(self._address, self._wanted) for _ in range(self._plan.parallel - 1)]
        self._idle.extend(self._clients)
        pool = ThreadPoolExecutor(self._plan.parallel, thread_name_prefix="score")
        waiting: deque[Future[ScoredRows]] = deque()
        try:
            for one in work:
                waiting.append(pool.submit(self._with_client, dialect, one))
                if len(waiting) >= 2 * self._plan.parallel:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            self._end(pool, waiting)

    def _end(self, pool: Any, waiting: deque[Future[ScoredRows]]) -> None:
        """Let nothing run on: neither after an error, nor when somebody pressed Ctrl-C."""
        from concurrent.futures import wait

        if waiting:
            self._stop.set()
        pool.shutdown(wait=False, cancel_futures=True)
        while running := [each for each in waiting if not each.done()]:
            for client in self._clients:
                client.abort()
            wait(running, 0.1)

    def _with_client(self, dialect: Dialect, work: Work) -> ScoredRows:
        client = self._idle.pop()  # there are as many as threads
        try:
            return self._scored(client, dialect, work)
        finally:
            self._idle.append(client)

    def _scored(self, client: ScoringClient, dialect: Dialect, work: Work) -> ScoredRows:
        results, raw, whole = self._asked(client, dialect, work, "predict")
        if whole and self._plan.proba:
            raise not_by_row(results[0], whole, f"endpoint {self._name!r}")
        probabilities: Sequence[Sequence[float]] = ()
        if self._plan.proba:
            shares, more, _ = self._asked(client, dialect, work, "predict_proba")
            probabilities = client.shares(shares)
            raw += more
        return ScoredRows(work.first, results, probabilities, raw, whole=whole)

    def _asked(self, client: ScoringClient, dialect: Dialect, work: Work, method: str) -> tuple[list[Any], list[bytes], int]:
        """The results of all rows of a batch, the replies, and the rows when the results are one for each request."""
        shaped, columns = bodies.shaped(work.rows, dialect, work.columns)
        results: list[Any] = []
        raw: list[bytes] = []
        asked = wholes = 0
        for data, number in bodies.parts(shaped):
            first = work.first + asked
            try:
                answer = self._delivered(client, bodies.envelope(data, method, dialect, columns, number))
                if answer.status != 200:
                    raise error_of(self._name, answer, first)
                found = bodies.read_reply(self._name, answer.body, number)
                if wholes and not isinstance(found, bodies.Whole):
                    raise not_by_row(results[0], asked, f"endpoint {self._name!r}")
                if isinstance(found, bodies.Whole):
                    if asked and not wholes:
                        raise not_by_row(found.answer, number, f"endpoint {self._name!r}")
                    wholes += 1
                    found = [found.answer]
                results += found
            except RefusedRowError as error:
                if error.row is not None:
                    raise
                rows = work.rows[asked : asked + number]
                raise self._narrowed(client, dialect, Work(first, rows, work.columns), method, error) from error
            except OpsmlError as error:
                if error.cause is None and not isinstance(error, NotListeningError):
                    error.cause = _place(first, number)
                raise
            raw.append(answer.body)
            asked += number
        return results, raw, asked if wholes else 0

    def _narrowed(
        self, client: ScoringClient, dialect: Dialect, work: Work, method: str, error: RefusedRowError
    ) -> RefusedRowError:
        """Which row a refusal that names none is about: found by halves, some ten small requests."""
        first, rows = work.first, work.rows
        while True:
            half = rows[: max(1, len(rows) // 2)]
            shaped, columns = bodies.shaped(half, dialect, work.columns)
            data, _ = next(bodies.parts(shaped))
            answer = self._delivered(client, bodies.envelope(data, method, dialect, columns, len(half)))
            refused = answer.status in (400, 422)
            if len(rows) == 1:
                break
            if refused:
                rows = half
            else:
                first, rows = first + len(half), rows[len(half) :]
        if refused:
            error.message, error.row = naming_row(error.message, first), first
        else:
            place = _place(work.first, len(work.rows))
            error.cause = f"{place}{', ' + error.cause if error.cause else ''}"
        return error

    def _delivered(self, client: ScoringClient, body: bytes) -> Answer:
        """The answer to a request, which goes out again when that is safe, after a pause."""
        for attempt in count(1):
            if self._stop.is_set():
                break
            attempts = ATTEMPTS if self._answered else ATTEMPTS_AT_FIRST
            asked_for = None
            try:
                answer = client.exchange(body, self.deployment)
            except NotListeningError as error:
                # At the start the endpoint is stopped; later its server may be about to come back.
                if not self._answered or attempt >= attempts:
                    raise client.not_listening(error) from error
            except UnansweredError:
                if attempt >= attempts or self._stop.is_set():
                    raise
            else:
                asked_for = _seconds(answer.retry_after)
                if answer.status not in TRY_AGAIN or attempt >= (attempts if asked_for is None else ATTEMPTS):
                    if answer.status == 200 and not self._answered:
                        self.deployment, self._answered = answer.deployment or self.deployment, True
                    return answer
            with self._lock:
                self.retried += 1
            pause = FIRST_DELAY_SECONDS * 2 ** (attempt - 1) if asked_for is None else asked_for
            if self._stop.wait(min(pause, LONGEST_DELAY_SECONDS)):
                break
        raise UnansweredError(f"scoring on endpoint {self._name!r} was ended")


def _numbered(batches: Iterable[Sequence[Row]]) -> Iterator[Work]:
    first = 0
    columns: dict[str, None] = {}
    for rows in batches:
        for row in rows:
            if row.keys() != columns.keys():
                columns.update(dict.fromkeys(row))
        yield Work(first, rows, tuple(columns))
        first += len(rows)


def _place(first: int, rows: int) -> str:
    counted = "counted from 0"
    return (
        f"row {first} of the input, {counted}" if rows == 1 else f"rows {first} to {first + rows - 1} of the input, {counted}"
    )


def _seconds(header: str | None) -> float | None:
    """What a Retry-After header asks for: seconds, or a date."""
    if not header:
        return None
    try:
        return max(0.0, float(header))
    except ValueError:
        pass
    try:
        return max(0.0, parsedate_to_datetime(header).timestamp() - time.time())
    except (ValueError, TypeError, OverflowError):
        return None
