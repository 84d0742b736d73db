"""A job's log on Azure: the logs of its runs, one behind the other, as one text with byte positions that do not move."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from opsml_cli.azureml.job_mapping import state_of
from opsml_cli.azureml.run_history import RunHistory
from opsml_cli.domain.errors import InvalidInputError, NotAllowedError, NotFoundError
from opsml_cli.domain.text_bytes import whole_characters

if TYPE_CHECKING:
    from opsml_cli.azureml.context import Context

CHUNK = 1 << 20
# What people write and read; the service's own logs of its machines are left out.
FOLDERS = ("user_logs/", "logs/")
_FRESH_SECONDS = 3600.0  # signed URLs are good for some hours


@dataclass(frozen=True, slots=True)
class LogFile:
    """A log of a run: its path among the run's files, and the signed URL of its content."""

    run: str
    path: str
    url: str
    finished: bool


class JobLogs:
    """The logs of one workspace's jobs.

    A training has none of its own: its children have. A child's log comes after all those of the children before it have
    ended, so what was read once never moves; with several trials at once the later ones wait for the earlier."""

    def __init__(self, context: Context, history: RunHistory) -> None:
        self._context = context
        self._history = history
        self._known: dict[str, tuple[float, list[LogFile]]] = {}  # of runs that have ended
        self._sizes: dict[tuple[str, str], int] = {}

    def read(self, job: str, position: int) -> tuple[str, int]:
        """The text from `position` (bytes), about a megabyte at most, and the next position."""
        found = bytearray()
        before = 0  # bytes of the files before this one
        for file in self._files(job):
            head = f"==> {file.run} {file.path} <==\n".encode()
            size = len(head) + self._size(file)
            start = position + len(found) - before
            if start < size:
                found += head[start : len(head)]
                begin = max(start - len(head), 0)
                found += self._content(file, begin, min(CHUNK - len(found), size - len(head) - begin))
            if position + len(found) < before + size or len(found) >= CHUNK:
                break
            before += size
        whole = whole_characters(bytes(found))
        return whole.decode("utf-8", "replace"), position + len(whole)

    def files(self, run: str, *, finished: bool) -> list[LogFile]:
        """The logs of one run in the order of their paths, the user's own first."""
        now = self._context.clock.monotonic()
        known = self._known.get(run)
        if known is not None and now - known[0] < _FRESH_SECONDS:
            return known[1]
        try:
            listed = self._history.details(run).get("logFiles") or {}
        except NotFoundError:
            return []
        found = [LogFile(run, path, str(url), finished) for path, url in listed.items() if path.startswith(FOLDERS)]
        found.sort(key=lambda file: (not file.path.startswith(FOLDERS[0]), file.path))
        if finished:
            self._known[run] = (now, found)
        return found

    def content(self, file: LogFile) -> Iterator[bytes]:
        """The whole file, in parts."""
        size, position = self._size(file), 0
        while position < size and (part := self._content(file, position, min(CHUNK, size - position))):
            yield part
            position += len(part)

    def _files(self, job: str) -> Iterator[LogFile]:
        """In the order of the text; ends behind the first run that still goes on."""
        own: Mapping[str, Any] = self._history.find(job) or {}
        ended = state_of(own.get("status")).finished
        children = self._history.children(job)
        for run in children:
            finished = state_of(run.get("status")).finished
            yield from self.files(str(run["runId"]), finished=finished)
            if not finished:
                return
        orchestrator = str((own.get("runTypeV2") or {}).get("orchestrator") or "").casefold()
        # More children may come, and a parent's log would have to move behind theirs.
        if orchestrator != "automl" and (ended or not (children or orchestrator == "pipeline")):
            yield from self.files(job, finished=ended)

    def _size(self, file: LogFile) -> int:
        """Bytes of the file; for a run that has ended, those at the first look."""
        key = (file.run, file.path)
        if key in self._sizes:
            return self._sizes[key]
        try:
            reply = self._context.rest.blob("HEAD", file.url, headers={}, audience="none")
        except NotFoundError:
            return 0
        size = int(reply.headers.get("content-length") or 0)
        if file.finished:
            self._sizes[key] = size
        return size

    def _content(self, file: LogFile, start: int, length: int) -> bytes:
        if length <= 0:
            return b""
        wanted = f"bytes={start}-{start + length - 1}"
        try:
            reply = self._context.rest.blob("GET", file.url, headers={"Range": wanted, "x-ms-range": wanted}, audience="none")
        except (NotFoundError, InvalidInputError):  # it was removed, or holds nothing to give in that range
            return b""
        except NotAllowedError:
            # The signature ended while this process watched: the next look asks for another.
            self._known.pop(file.run, None)
            return b""
        return reply.content[:length] if reply.status_code == 206 else reply.content[start : start + length]
