"""Long-running operations: what a client polls until the work behind it is done.

An operation outlives this process: it is a record of the local workspace. What it waits for is told by a watch: a named
function that looks at local state. How soon a finished operation says so is the pace."""

from __future__ import annotations

import hashlib
import json
import secrets
import sqlite3
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from opsml_cli.domain.errors import UsageError

if TYPE_CHECKING:
    from opsml_cli.emulator.clock import WallClock
    from opsml_cli.emulator.faults import Faults
    from opsml_cli.emulator.identity import Identity
    from opsml_cli.emulator.site import Served
    from opsml_cli.emulator.wire import Call

# How long Azure takes at least, in seconds, by the operation's prefix.
_AZURE_SECONDS = {"oe": 90, "oeidp": 90, "od": 600, "be": 30, "bebes": 30, "bd": 30, "bdbes": 30, "s": 10, "jc": 5}
KEPT = timedelta(days=30)
PROVIDER = "Microsoft.MachineLearningServices"


@dataclass(frozen=True, slots=True)
class Outcome:
    """How the work stands: `done` None while it runs; False when it failed, with `message` and `code`."""

    done: bool | None
    message: str = ""
    code: str = "UserError"


CRASHED = Outcome(
    False,
    "User container has crashed or terminated: the server ended before it answered its probes. Please see troubleshooting "
    "guide, available here: https://aka.ms/oe-tsg#error-resourcenotready",
    "ResourceNotReady",
)

# From the workspace and the operation's subject (names) to how the work stands.
Watch = Callable[["Served", Sequence[str]], Outcome]


@dataclass(frozen=True, slots=True)
class Pace:
    """How soon a finished operation says so: after `polls` answers of `running`, after `seconds`, or (both None) after
    the time that Azure takes. `hint`: whether answers say when to come back, which Azure's never do."""

    polls: int | None = None
    seconds: float | None = None
    hint: bool = True

    @classmethod
    def read(cls, text: str) -> Pace:
        """`fast`, `azure`, `polls=N` or `seconds=S`. UsageError."""
        word, _, number = text.partition("=")
        try:
            if text == "fast":
                return cls(polls=0)
            if text == "azure":
                return cls(hint=False)
            if word == "polls" and int(number) >= 0:
                return cls(polls=int(number))
            if word == "seconds" and float(number) >= 0:
                return cls(seconds=float(number))
        except ValueError:
            pass
        raise UsageError(f"{text!r} is no pace", cause="use fast, azure, polls=N or seconds=S")

    def reached(self, operation: Operation, now: datetime) -> bool:
        """Whether work that is done may say so."""
        if operation.not_before and now < datetime.fromisoformat(operation.not_before):
            return False
        if self.polls is not None:
            return operation.polls > self.polls
        least = self.seconds if self.seconds is not None else _AZURE_SECONDS.get(operation.prefix, 60)
        return (now - datetime.fromisoformat(operation.started_at)).total_seconds() >= least


@dataclass(frozen=True, slots=True)
class Operation:
    """What is recorded. `not_before`: an injected fault keeps it from ending earlier; `crash`: one lets its container
    crash. `polls` counts the looks of clients; `ended_at` empty: it runs. `succeeded`, `message` and `code`
    are the end's."""

    id: str
    prefix: str
    watch: str
    subject: tuple[str, ...]
    running: str
    api_version: str
    started_at: str
    not_before: str = ""
    crash: bool = False
    polls: int = 0
    ended_at: str = ""
    succeeded: bool = True
    message: str = ""
    code: str = ""


class Operations:
    """The operations of every workspace, each in its own workspace's database. `watches` are those of all routes modules."""

    def __init__(self, pace: Pace, watches: Mapping[str, Watch], clock: WallClock, identity: Identity, faults: Faults) -> None:
        self._pace = pace
        self._watches = watches
        self._clock = clock
        self._identity = identity
        self._faults = faults

    def begin(
        self,
        call: Call,
        prefix: str,
        watch: str,
        subject: Sequence[str],
        *,
        location: str | None = None,
        running: str = "Updating",
        minutes: int = 30,
    ) -> Mapping[str, str]:
        """Record an operation, and give the headers of the first answer (Azure-AsyncOperation, Location and its timeout).

        `prefix` is Azure's (`oeidp`, `od`, `bebes`, `bdbes`, `s`, `jc`, `compute`); `watch` the name under which a routes
        module registered its Watch, `subject` the names it gets; `location`: `resource` (the resource's own URL, of a PUT),
        `results` (of a DELETE or POST) or None; `running` the poll's status meanwhile."""
        served = call.served
        now = self._clock.now()
        delay = self._faults.delay(call.method, call.path)
        operation = Operation(
            _new_id(prefix, served.workspace_id, subject),
            prefix,
            watch,
            tuple(subject),
            running,
            call.api_version,
            now.isoformat(),
            not_before=(now + timedelta(seconds=delay)).isoformat() if delay else "",
            # An online deployment has asked before (`crashes`), and has failed for good.
            crash=prefix != "od" and self._faults.crash(call.method, call.path),
        )
        with served.local.store.write() as connection:
            connection.execute("DELETE FROM operations WHERE created_at < ?", ((now - KEPT).isoformat(),))
            _insert(connection, operation)
        headers = {"x-ms-async-operation-timeout": f"PT{minutes // 60}H" if minutes % 60 == 0 else f"PT{minutes}M"}
        if prefix == "compute":
            url = self._url(call, served, "computeOperationsStatus", operation.id)
            return {"azure-asyncoperation": f"{url}&service=new", **headers, **self.pacing()}
        if prefix != "jc":
            headers["azure-asyncoperation"] = self._url(call, served, "mfeOperationsStatus", operation.id)
        if location == "resource":
            headers["location"] = f"{call.site.base}{call.path}?api-version={call.api_version}"
        elif location == "results":
            headers["location"] = self.results_url(call, served, operation.id)
        return {**headers, **self.pacing()}

    def crashes(self, call: Call) -> bool:
        """Whether a rehearsed fault lets the container crash that this request deploys."""
        return self._faults.crash(call.method, call.path)

    def pending(self, served: Served, watch: str, subject: Sequence[str]) -> bool:
        """Whether the newest operation on `subject` has not ended yet for its pollers: until then the resource shows the
        state in between, even when the work is done."""
        newest = self._newest(served, watch, subject)
        return newest is not None and not self._advanced(served, newest).ended_at

    def failure(self, served: Served, watch: str, subject: Sequence[str]) -> Outcome | None:
        """Why the newest operation on `subject` failed, once it did: the resource shows `Failed`, whatever became of the
        work itself."""
        newest = self._newest(served, watch, subject)
        if newest is None or not newest.ended_at or newest.succeeded:
            return None
        return Outcome(False, newest.message, newest.code)

    @staticmethod
    def _newest(served: Served, watch: str, subject: Sequence[str]) -> Operation | None:
        with served.local.store.read() as connection:
            row = connection.execute(
                "SELECT document FROM operations WHERE watch = ? AND subject = ? ORDER BY sequence DESC LIMIT 1",
                (watch, _subject(subject)),
            ).fetchone()
        return None if row is None else _read(row["document"])

    def look(self, served: Served, operation: str) -> Operation | None:
        """How an operation stands, counted as one poll; None for an unknown one."""
        with served.local.store.read() as connection:
            row = connection.execute("SELECT document FROM operations WHERE id = ?", (operation,)).fetchone()
        return None if row is None else self._advanced(served, _read(row["document"]))

    def results_url(self, call: Call, served: Served, operation: str) -> str:
        """Where the operation's result is polled."""
        return self._url(call, served, "mfeOperationResults", operation)

    def pacing(self) -> Mapping[str, str]:
        """The headers that tell a client when to poll again."""
        return {"retry-after-ms": "50"} if self._pace.hint else {}

    def _advanced(self, served: Served, operation: Operation) -> Operation:
        """The operation after one more look; recorded."""
        if operation.ended_at:
            return operation
        counted = replace(operation, polls=operation.polls + 1)
        now = self._clock.now()
        outcome = CRASHED if operation.crash else self._watches[operation.watch](served, operation.subject)
        if outcome.done is not None and self._pace.reached(counted, now):
            counted = replace(
                counted, ended_at=now.isoformat(), succeeded=outcome.done, message=outcome.message, code=outcome.code
            )
        if not counted.ended_at and not self._pace.polls:
            return counted
        with served.local.store.write() as connection:
            return _replace(connection, operation, counted)

    def _url(self, call: Call, served: Served, collection: str, operation: str) -> str:
        """As Azure's, with a signature that the client hands back untouched."""
        path = f"/subscriptions/{served.subscription}/providers/{PROVIDER}/locations/{served.region}/{collection}/{operation}"
        ticks = str(int(self._clock.now().timestamp() * 10_000_000) + 621_355_968_000_000_000)
        return f"{call.site.base}{path}?api-version={call.api_version}&{self.signature(operation, ticks)}"

    def signature(self, operation: str, ticks: str) -> str:
        """The query's signed part: time, certificate, signature, hash."""
        signed = self._identity.signature(f"{operation}\n{ticks}")
        digest = hashlib.sha256(operation.encode()).hexdigest()
        return f"t={ticks}&c={self._identity.certificate}&s={signed}&h={digest}"


def _new_id(prefix: str, workspace_id: str, subject: Sequence[str]) -> str:
    if prefix == "compute":
        return str(uuid.uuid4())
    last = subject[0] if prefix == "jc" else secrets.token_urlsafe(32) if prefix == "s" else str(uuid.uuid4())
    return f"{prefix}:{workspace_id}:{last}"


def _subject(names: Sequence[str]) -> str:
    return json.dumps([name.casefold() for name in names])


def _insert(connection: sqlite3.Connection, operation: Operation) -> None:
    connection.execute(
        "INSERT OR REPLACE INTO operations(id, watch, subject, sequence, created_at, document) "
        "VALUES (?, ?, ?, (SELECT COALESCE(MAX(sequence), 0) + 1 FROM operations), ?, ?)",
        (operation.id, operation.watch, _subject(operation.subject), operation.started_at, json.dumps(asdict(operation))),
    )


def _replace(connection: sqlite3.Connection, seen: Operation, changed: Operation) -> Operation:
    """Record `changed`, unless another poll was faster: then what that one recorded counts, for an end stays."""
    row = connection.execute("SELECT document FROM operations WHERE id = ?", (seen.id,)).fetchone()
    if row is None or _read(row["document"]) != seen:
        return changed if row is None else _read(row["document"])
    connection.execute("UPDATE operations SET document = ? WHERE id = ?", (json.dumps(asdict(changed)), seen.id))
    return changed


def _read(text: str) -> Operation:
    document: dict[str, Any] = json.loads(text)
    return Operation(**{**document, "subject": tuple(document["subject"])})
