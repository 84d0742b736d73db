"""Mini-batches to workers and back in order: several at once, each tried again as the deployment says."""

from __future__ import annotations

import os
import queue
import selectors
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from typing import IO, Any, Protocol

from opsml_cli.domain.errors import InvalidInputError
from opsml_cli.local.batch import transport
from opsml_cli.local.batch.minibatch import MiniBatch, MiniBatchError
from opsml_cli.local.batch.worker import read_frame, write_frame

_START_SECONDS = 600.0  # a large model may take its time to load
_GRACE_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Scored:
    """What became of a mini-batch: its lines and how many results they are, or why there are none."""

    batch: MiniBatch
    lines: bytes = b""
    count: int = 0
    error: str | None = None


class Scorer(Protocol):
    def score(self, batch: MiniBatch) -> tuple[bytes, int]:
        """MiniBatchError when it cannot be scored; InvalidInputError when no mini-batch can."""
        ...

    def close(self) -> None: ...


class InProcess:
    """A model of our own, in this process."""

    def __init__(self, model: Any) -> None:
        self._model = model

    def score(self, batch: MiniBatch) -> tuple[bytes, int]:
        from opsml_cli.local.batch import lines

        assert batch.block is not None
        results = self._model.results(batch)
        return lines.of_predictions(results, batch.block.first, batch.files[0].label), len(results)

    def close(self) -> None: ...


class WorkerProcess:
    """A worker in a process of its own, started when it is needed and again when it died."""

    def __init__(self, begin: Mapping[str, Any], timeout: float, environment: Mapping[str, str]) -> None:
        self._begin, self._timeout, self._environment = begin, timeout, dict(environment)
        self._process: subprocess.Popen[bytes] | None = None

    def score(self, batch: MiniBatch) -> tuple[bytes, int]:
        if self._process is None:
            self._start()
        if batch.block is None:
            header: Mapping[str, Any] = {"files": [str(each.path) for each in batch.files]}
            content = b""
        else:
            header, content = transport.sent(batch.block, batch.files[0].label)
        answer, lines = self._asked(header, content, self._timeout)
        if "error" in answer:
            raise MiniBatchError(answer["error"], final=bool(answer["final"]))
        return lines, int(answer["count"])

    def _start(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "opsml_cli.local.batch.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=self._environment,
        )
        answer, _ = self._asked(self._begin, b"", _START_SECONDS)
        if "error" in answer:
            self.close()
            what = "the scoring script does not start" if self._begin["kind"] == "script" else "the model does not load"
            raise InvalidInputError(f"{what}: {answer['error']}", fix="the log has where it happened: opsml jobs logs RUN")

    def _asked(self, header: Mapping[str, Any], content: bytes, seconds: float) -> tuple[dict[str, Any], bytes]:
        process = self._process
        assert process is not None and process.stdin is not None and process.stdout is not None
        deadline = time.monotonic() + seconds
        try:
            write_frame(process.stdin, header, content)  # type: ignore[arg-type]
            frame = read_frame(lambda size: _read(process.stdout, size, deadline))
        except BrokenPipeError:
            frame = None
        except TimeoutError:
            self._end()
            raise MiniBatchError(f"it took longer than the timeout of {seconds:g} s", final=False) from None
        if frame is None:
            code = self._end()
            how = f"was ended by signal {-code}" if code < 0 else f"ended with exit code {code}"
            raise MiniBatchError(f"the worker process {how}", final=False)
        return frame

    def _end(self) -> int:
        process, self._process = self._process, None
        assert process is not None
        with suppress(subprocess.TimeoutExpired):
            if process.stdout is not None and process.poll() is None:
                process.wait(0.2)  # it has closed its end: what it died of is known in a moment
        if process.poll() is None:
            process.kill()
        code = process.wait()
        for stream in (process.stdin, process.stdout):
            with suppress(OSError):
                stream.close()  # type: ignore[union-attr]
        return code

    def close(self) -> None:
        process = self._process
        if process is None:
            return
        with suppress(OSError):
            process.stdin.close()  # type: ignore[union-attr]
        with suppress(subprocess.TimeoutExpired):
            process.wait(_GRACE_SECONDS)
        self._end()


def _read(stream: IO[bytes] | None, size: int, deadline: float) -> bytes:
    """`size` bytes, fewer at the end; TimeoutError after `deadline`."""
    assert stream is not None
    if os.name == "nt":
        return stream.read(size)
    parts: list[bytes] = []
    with selectors.DefaultSelector() as selector:
        selector.register(stream, selectors.EVENT_READ)
        while size:
            rest = deadline - time.monotonic()
            if rest <= 0 or not selector.select(rest):
                raise TimeoutError
            part = os.read(stream.fileno(), min(size, 1 << 20))
            if not part:
                break
            parts.append(part)
            size -= len(part)
    return b"".join(parts)


def in_order(
    batches: Iterable[MiniBatch], make: Callable[[], Scorer], workers: int, retries: int, say: Callable[[str], None]
) -> Iterator[Scored]:
    """Every mini-batch scored, in order, `workers` at once; at most two for each worker are in memory."""
    scorers = [make() for _ in range(workers)]
    try:
        if workers == 1:
            for batch in batches:
                yield _tried(scorers[0], batch, retries, say)
            return
        free: queue.SimpleQueue[Scorer] = queue.SimpleQueue()
        for scorer in scorers:
            free.put(scorer)

        def work(batch: MiniBatch) -> Scored:
            scorer = free.get()
            try:
                return _tried(scorer, batch, retries, say)
            finally:
                free.put(scorer)

        pool = ThreadPoolExecutor(workers, thread_name_prefix="mini-batch")
        try:
            waiting: deque[Future[Scored]] = deque()
            for batch in batches:
                waiting.append(pool.submit(work, batch))
                if len(waiting) >= 2 * workers:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
    finally:
        for scorer in scorers:
            scorer.close()


def _tried(scorer: Scorer, batch: MiniBatch, retries: int, say: Callable[[str], None]) -> Scored:
    if batch.broken is not None:
        return Scored(batch, error=batch.broken)
    tries = 0
    while True:
        try:
            lines, count = scorer.score(batch)
            return Scored(batch, lines, count)
        except MiniBatchError as error:
            if error.final or tries >= retries:
                after = f" (after {tries} retries)" if tries else ""
                return Scored(batch, error=f"{error}{after}")
            tries += 1
            say(f"mini-batch {batch.number} ({batch.place}): {error}; retry {tries} of {retries}")
